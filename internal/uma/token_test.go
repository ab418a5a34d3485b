package uma_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestOA_01_TokenRequest(t *testing.T) {
	b := newBench(t)
	form := "grant_type=client_credentials"
	for _, tc := range []struct {
		name, method, target, kind, body string
		status                           int
		code                             string
	}{
		{"good", "POST", "", "application/x-www-form-urlencoded", form, 200, ""},
		{"with a charset", "POST", "", "application/x-www-form-urlencoded; charset=UTF-8", form, 200, ""},
		{"GET", "GET", "?" + form, "", "", 405, "unsupported_method_type"},
		{"PUT", "PUT", "", "application/x-www-form-urlencoded", form, 405, "unsupported_method_type"},
		{"JSON", "POST", "", "application/json", `{"grant_type":"client_credentials"}`, 400, "invalid_request"},
		{"no media type", "POST", "", "", form, 400, "invalid_request"},
		{"multipart", "POST", "", "multipart/form-data; boundary=x", form, 400, "invalid_request"},
		{"parameters in the URL", "POST", "?" + form, "application/x-www-form-urlencoded", "", 400, "invalid_request"},
		{"another grant in the URL", "POST", "?grant_type=password", "application/x-www-form-urlencoded", form, 200, ""},
		{"OA-02 empty is absent", "POST", "", "application/x-www-form-urlencoded", "grant_type=", 400, "invalid_request"},
		{"OA-02 empty scope", "POST", "", "application/x-www-form-urlencoded", form + "&scope=", 200, ""},
		{"OA-02 unknown parameter", "POST", "", "application/x-www-form-urlencoded", form + "&x=y", 200, ""},
		{"OA-02 repeated", "POST", "", "application/x-www-form-urlencoded", form + "&" + form, 400, "invalid_request"},
		{"OA-02 repeated, one empty", "POST", "", "application/x-www-form-urlencoded", form + "&grant_type=", 400, "invalid_request"},
		{"OA-05 password", "POST", "", "application/x-www-form-urlencoded", "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"},
		{"OA-05 implicit", "POST", "", "application/x-www-form-urlencoded", "grant_type=implicit", 400, "unsupported_grant_type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), tc.method, issuer+"/uma/token"+tc.target, strings.NewReader(tc.body))
			if tc.kind != "" {
				r.Header.Set("Content-Type", tc.kind)
			}
			r.SetBasicAuth("api", apiSecret)
			res := b.do(b.server, r)
			if res.status != tc.status || res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
			if tc.status == 405 && res.header.Get("Allow") != "POST" {
				t.Errorf("Allow: %v", res.header)
			}
		})
	}
}

func TestOA_03_OneMethod(t *testing.T) {
	const odd = "p%25 +&=:ü"
	b := newBench(t, func(b *bench) {
		b.cfg.Clients = append(b.cfg.Clients, clientauth.Client{ID: "odd:id", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(odd)}}})
	})
	// A bad ticket: who gets that far has been authenticated.
	form := map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": "x"}
	with := func(name, value string) map[string]string {
		return map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": "x", name: value}
	}
	coded := basic(url.QueryEscape("odd:id"), url.QueryEscape(odd))
	for name, tc := range map[string]struct {
		form map[string]string
		edit func(*http.Request)
		code string
	}{
		"Basic, form-encoded":                {form, coded, "invalid_grant"},
		"Basic, not encoded":                 {form, basic("odd", "id:"+odd), "invalid_client"},
		"Basic and body":                     {with("client_secret", odd), coded, "invalid_request"},
		"Basic and assertion":                {with("client_assertion", "x.y.z"), coded, "invalid_request"},
		"Basic and another client_id":        {with("client_id", "app"), coded, "invalid_request"},
		"Basic and the same client_id":       {with("client_id", "odd:id"), coded, "invalid_grant"},
		"no client at all":                   {form, func(*http.Request) {}, "invalid_request"},
		"a user's token is no client":        {form, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "invalid_request"},
		"malformed Basic":                    {form, func(r *http.Request) { r.Header.Set("Authorization", "Basic !") }, "invalid_client"},
		"two Authorization headers":          {form, func(r *http.Request) { coded(r); r.Header.Add("Authorization", "Basic eDp5") }, "invalid_request"},
		"a public client":                    {with("client_id", "app"), func(*http.Request) {}, "invalid_grant"},
		"a public client with an assertion":  {map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": "x", "client_id": "app", "client_assertion": "x"}, func(*http.Request) {}, "invalid_client"},
		"a confidential one without secrets": {with("client_id", "odd:id"), func(*http.Request) {}, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.token(tc.form, tc.edit); res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
}

// OA-06: whatever comes in, errors are JSON in the permitted characters (held by
// the bench for every answer) and repeat nothing of the request.
func TestOA_06_NothingIsEchoed(t *testing.T) {
	b := newBench(t)
	const canary = "cAnArY\"\\<x>\r\né"
	escaped := url.QueryEscape(canary)
	ticket := b.fresh()
	bodies := []string{
		"grant_type=" + escaped,
		escaped + "=1&" + escaped + "=2",
		"grant_type=client_credentials&client_id=" + escaped,
		"grant_type=client_credentials&client_id=app&client_secret=" + escaped,
		"grant_type=client_credentials&client_id=app&scope=" + escaped,
		"grant_type=" + oauth.GrantUMATicket + "&client_id=app&ticket=" + escaped,
		"grant_type=" + oauth.GrantUMATicket + "&client_id=app&ticket=x&claim_token=" + escaped,
		"grant_type=" + oauth.GrantUMATicket + "&client_id=app&ticket=" + ticket + "&scope=" + escaped + "&claim_token=" + escaped + "&claim_token_format=" + escaped,
		"%zz=cAnArY", "\xff=cAnArY",
	}
	for _, body := range bodies {
		if res := b.post(b.server, body); res.status < 400 || strings.Contains(strings.ToLower(res.text), "canary") {
			t.Errorf("%s: %d %s", body, res.status, res.text)
		}
	}
	pat := b.pat("api")
	for _, body := range []string{`{"resource_scopes":["cAnArY x"]}`, `{"resource_scopes":[],"icon_uri":"%cAnArY"}`, `cAnArY`, `{"resource_scopes":[],"owner":"cAnArY"}`} {
		for _, path := range []string{"resource", "permission"} {
			if res := b.call(pat, http.MethodPost, path, body); res.status < 400 || strings.Contains(res.text, "cAnArY") {
				t.Errorf("%s: %d %s", body, res.status, res.text)
			}
		}
	}
}
