package logs

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	liveTicket = "AQAAAAAvd2VsbCBoaWRkZW4gdGlja2V0IG9mIGEgdGVzdA"
	liveProof  = "eyJ0eXAiOiJkcG9wK2p3dCJ9.eyJqdGkiOiJvbmUifQ.c2lnbmF0dXJl"
	livePAT    = "pat_0123456789012345678901234567890123456789012"
)

func TestSEC_22_Clean(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"/photos?size=large&tag=code", "/photos?size=large&tag=code"},
		{"/cb?code=" + liveTicket + "&x=1", "/cb?code=REDACTED&x=1"},
		{"/cb?x=1&CODE=" + liveTicket, "/cb?x=1&CODE=REDACTED"},
		{"/cb?%63ode=" + liveTicket, "/cb?REDACTED"},
		{"/cb?error_code=17&barcode=12345678&promo_code=abc", "/cb?error_code=17&barcode=12345678&promo_code=abc"},
		{"https://x.example/login?next=https%3A%2F%2Fy.example%2Fcb%3Fcode%3D" + liveTicket, "https://x.example/login?REDACTED"},
		{"https://x.example/login?next=https%3A%2F%2Fy.example%2Fcb%3Fpage%3D2", "https://x.example/login?next=https%3A%2F%2Fy.example%2Fcb%3Fpage%3D2"},
		{"/a%2520b?q=%252525", "/a%2520b?q=%252525"},
		{"/a?q=%2525252525252541", "REDACTED"},
		{`UMA realm="x", as_uri="https://as.example", ticket="` + liveTicket + `", resource_metadata="https://api.example/m"`, `UMA realm="x", as_uri="https://as.example", ticket=REDACTED, resource_metadata="https://api.example/m"`},
		{`UMA ticket = "a\"` + liveTicket + `"`, `UMA ticket = REDACTED`},
		{"ticket_challenge=Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c", "ticket_challenge=Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c"},
		{"Get \"https://as.example/x?access_token=" + liveTicket + "\": EOF", "Get \"https://as.example/x?access_token=REDACTED\": EOF"},
		{"the proof " + liveProof + " is bad", "the proof REDACTED is bad"},
		{"a " + livePAT + ".", "a REDACTED."},
		{"Bearer " + liveTicket, "Bearer REDACTED"},
		{"basic Ym9iOmJvYi1kZW1v", "basic REDACTED"},
		{"the Basic rules of it", "the Basic rules of it"},
		{"/.well-known/webfinger?resource=acct%3Abob%40bob.example&rel=x", "/.well-known/webfinger?resource=acct%3AREDACTED%40bob.example&rel=x"},
		{"/authorize?client_id=c&login_hint=bob@bob.example", "/authorize?client_id=c&login_hint=REDACTED"},
		{"acct:bob@bob.example", "acct:REDACTED@bob.example"},
		{`{"access_token":"` + liveTicket + `","token_type":"Bearer"}`, `{"access_token":"REDACTED","token_type":"Bearer"}`},
		{`err: {\"pct\": \"` + liveTicket + `\"}`, `err: {\"pct\": \"REDACTED\"}`},
		{"/?t=" + strings.Repeat("aB3-", 30) + "&x=1", "/?t=REDACTED&x=1"},
		{"/x/" + strings.Repeat("aB3_", 25) + "/y", "/x/REDACTED/y"},
		{"/x/" + strings.Repeat("aB3_", 24) + "/y", "/x/" + strings.Repeat("aB3_", 24) + "/y"},
		{"/blog/" + strings.Repeat("a-long-title-17-", 10), "/blog/" + strings.Repeat("a-long-title-17-", 10)},
		{"/sts/device?user_code=ABCD-EFGH", "/sts/device?user_code=REDACTED"},
		{"/sts/consent?request=" + liveTicket, "/sts/consent?request=REDACTED"},
		{`said \"UMA realm=\"x\", ticket=\"` + liveTicket + `\""`, `said \"UMA realm=\"x\", ticket=REDACTED"`},
		{`host=db password='` + liveTicket + ` x' user=uma`, `host=db password=REDACTED user=uma`},
		{"postgres://uma:" + liveTicket + "@db/uma", "postgres://REDACTED@db/uma"},
		{"postgres://uma@db:5432/uma, bob@bob.example", "postgres://uma@db:5432/uma, bob@bob.example"},
		{`{"initial_tokens":["` + liveTicket + `","a]b"],"n":1}`, `{"initial_tokens":[REDACTED],"n":1}`},
		{`{"scopes":["read"],"code":17}`, `{"scopes":["read"],"code":17}`},
		{`{"password":"a\"` + liveTicket + `","n":1}`, `{"password":"REDACTED","n":1}`},
		{`{"url":"/cb?x=1\u0026code=` + liveTicket + `"}`, `{"url":"/cb?x=1\u0026code=REDACTED"}`},
		{`a\nticket=` + liveTicket, `a\nticket=REDACTED`},
		{`"\n` + livePAT + `"`, `"\nREDACTED"`},
		{`\n` + liveProof, `\nREDACTED`},
		{`{\\\"pct\\\":\\\"` + liveTicket + `\\\"}`, `{\\\"pct\\\":\\\"REDACTED\\\"}`},
		{"{\"pct\"\n: \"" + liveTicket + `"}`, "{\"pct\"\n: \"REDACTED\"}"},
		{`{\\\"pct\\\":\\\"` + liveTicket + `"}`, `{\\\"pct\\\":\\\"REDACTED"}`},
		{`{"pct":"` + liveTicket, `{"pct":"REDACTED`},
		{"Bearer\t" + liveTicket, "Bearer\tREDACTED"},
		{"/cb?oauth_token=" + liveTicket + "&x-amz-security-token=" + liveTicket, "/cb?oauth_token=REDACTED&x-amz-security-token=REDACTED"},
		{`{"X-Vault-Token":["` + liveTicket + `"]}`, `{"X-Vault-Token":[REDACTED]}`},
		{"Cookie: s=" + liveTicket + "; b=c\nHost: x", "Cookie: REDACTED\nHost: x"},
		{"map[Accept:[a] Set-Cookie:[s=" + liveTicket + "] Via:[b]]", "map[Accept:[a] Set-Cookie:[REDACTED] Via:[b]]"},
		{"map[Authorization:[Token " + liveTicket + "] client_secret:[" + liveTicket + "] code:[" + liveTicket + "] page:[2]]", "map[Authorization:[REDACTED] client_secret:[REDACTED] code:[REDACTED] page:[2]]"},
		{"Authorization: Negotiate " + liveTicket + "\nHost: x", "Authorization: REDACTED\nHost: x"},
		{"authorization=Bearer+" + liveTicket + "&dpop=" + liveTicket, "authorization=REDACTED&dpop=REDACTED"},
		{"Cookie: a=\"" + liveTicket + "\"; b=" + liveTicket + "\nHost: x", "Cookie: REDACTED\nHost: x"},
		{`"Cookie: a=` + liveTicket + `" was sent`, `"Cookie: REDACTED" was sent`},
		{"/cb?code=" + liveTicket[:9] + "," + liveTicket + "'" + liveTicket + ";" + liveTicket + "&x=1", "/cb?code=REDACTED&x=1"},
		{"code=" + liveTicket + ", then", "code=REDACTED, then"},
		{`{"clientSecret":"` + liveTicket + `","refreshToken":["` + liveTicket + `"],"tokenType":"x"}`, `{"clientSecret":"REDACTED","refreshToken":[REDACTED],"tokenType":"x"}`},
		{"/cb?accessToken=" + liveTicket + "&passphrase=" + liveTicket, "/cb?accessToken=REDACTED&passphrase=REDACTED"},
		{`{"password":12345678,"code":17}`, `{"password":REDACTED,"code":17}`},
		{"/v1_" + liveProof + "/x", "/v1_REDACTED/x"},
		{"/" + liveProof + "~WyJzYWx0IiwiZW1haWwiLCJib2IiXQ~" + liveProof + "?a", "/REDACTED?a"},
		{"X-Api-Key: " + liveTicket, "X-Api-Key: REDACTED"},
		{"rpc error: code = Unavailable desc = x", "rpc error: code = Unavailable desc = x"},
		{"status code=404", "status code=404"},
		{"code=123456", "code=REDACTED"},
		{"Basic authentication failed", "Basic authentication failed"},
		{"rt_names_of_a_function_that_is_long", "rt_names_of_a_function_that_is_long"},
	} {
		if got := clean(tc.in); got != tc.want {
			t.Errorf("clean(%q)\n got %q\nwant %q", tc.in, got, tc.want)
		}
		if got := clean(tc.want); got != tc.want {
			t.Errorf("twice: clean(%q) = %q", tc.want, got)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("/cb?%63ode=x&a=%", "code")
	f.Add("%25%25%2", "ticket")
	f.Fuzz(func(t *testing.T, text, name string) {
		clean(text)
		for _, secret := range secretParams {
			if strings.Contains(clean(text+" /x?"+secret+"="+liveTicket), liveTicket) {
				t.Errorf("%q shows %s", text, secret)
			}
		}
		_ = cleanMember(name, text)
	})
}

// filtered is the line that the filter makes.
func filtered(t *testing.T, with []zap.Field, fields ...zap.Field) string {
	t.Helper()
	c := cleaning(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()))
	var enc zapcore.Encoder = &c
	if with != nil {
		enc = enc.Clone()
		for _, field := range with {
			field.AddTo(enc)
		}
	}
	buf, err := enc.EncodeEntry(zapcore.Entry{Message: "said code=" + liveTicket, Time: time.Unix(0, 0)}, fields)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(buf.Bytes()) {
		t.Errorf("no JSON: %s", buf)
	}
	return buf.String()
}

// No kind of field shows a credential, and what is none stays.
func TestSEC_22_FilterFields(t *testing.T) {
	request := &http.Request{
		Method: http.MethodGet, Host: "api.example", RequestURI: "/x?ticket=" + liveTicket, RemoteAddr: "192.0.2.1:1",
		Header: http.Header{"Dpop": {liveProof}, "Authorization": {"DPoP " + liveTicket}, "Referer": {"https://y.example/?code=" + liveTicket}, "Accept": {"text/html"}, "X-Api-Key": {liveTicket}},
	}
	all := []zap.Field{
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: request, ShouldLogCredentials: true}),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: http.Header{"Www-Authenticate": {`UMA ticket="` + liveTicket + `"`}, "Location": {"/cb?code=" + liveTicket}, "Set-Cookie": {"s=" + liveTicket}}, ShouldLogCredentials: true}),
		zap.Any("headers", http.Header{"Dpop": {liveTicket}, "Accept": {"text/html"}}),
		zap.Any("config", map[string]any{"client_secret": liveTicket, "list": []any{map[string]any{"password": liveTicket, "name": "kept"}}}),
		zap.Error(errors.New("Post \"/token?refresh_token=" + liveTicket + "\": EOF")),
		zap.Strings("uris", []string{"/a?token=" + liveTicket}), zap.String("token", liveTicket), zap.ByteString("body", []byte("code="+liveTicket)),
		zap.Binary("raw", []byte(liveTicket)), zap.Stringer("url", stringer("/b?pct="+liveTicket)), zap.Strings("secrets", []string{liveTicket}),
		zap.Object("id_token", caddyhttp.LoggableHTTPHeader{Header: http.Header{"A": {liveTicket}}}), zap.Any("numbers", map[string]any{"large": int64(1234567890123456789)}),
		zap.Any("others", http.Header{"X_Api_Key": {liveTicket}, "Private-Token": {liveTicket}}),
		zap.Objects("many", []zapcore.ObjectMarshaler{caddyhttp.LoggableHTTPHeader{Header: http.Header{"Dpop": {liveTicket}}}}),
		zap.Reflect("unreadable", func() {}), zap.Int("status", 401), zap.Duration("duration", time.Second), zap.String("code", "invalid_grant"),
	}
	for name, line := range map[string]string{
		"fields": filtered(t, nil, all...), "with": filtered(t, all), "below a name": filtered(t, []zap.Field{zap.Namespace("n")}, all...),
	} {
		for _, live := range []string{liveTicket, liveProof, "c2lnbmF0dXJl"} {
			if strings.Contains(line, live) {
				t.Errorf("%s: shows %s in %s", name, live, line)
			}
		}
		for _, kept := range []string{`"Accept":["text/html"]`, `"name":"kept"`, `"status":401`, `"duration":1`, `"host":"api.example"`, `"code":"invalid_grant"`, `"large":1234567890123456789`} {
			if !strings.Contains(line, kept) {
				t.Errorf("%s: lost %s in %s", name, kept, line)
			}
		}
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

func BenchmarkFilterAccessLine(b *testing.B) {
	request := &http.Request{
		Method: http.MethodGet, Host: "api.example", RequestURI: "/photos/17?size=large", RemoteAddr: "192.0.2.1:1",
		Header: http.Header{"Dpop": {liveProof}, "Authorization": {"DPoP x"}, "User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}, "Accept": {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}, "Accept-Language": {"en-US,en;q=0.5"}},
	}
	fields := []zap.Field{
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: request}), zap.Int("status", 200),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: http.Header{"Content-Type": {"text/html"}, "Cache-Control": {"no-store"}, "Date": {"Thu, 26 Nov 2026 08:00:00 GMT"}}}),
	}
	plain := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	cleaned := cleaning(plain)
	for name, enc := range map[string]zapcore.Encoder{"plain": plain, "filter": &cleaned} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				buf, err := enc.EncodeEntry(zapcore.Entry{Message: "handled request"}, fields)
				if err != nil {
					b.Fatal(err)
				}
				buf.Free()
			}
		})
	}
}
