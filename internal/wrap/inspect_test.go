package wrap

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const urn = oauth.GrantTokenExchange

func asUTF16(s string, bigEndian bool) string {
	var b strings.Builder
	for i := range len(s) {
		if bigEndian {
			b.WriteString("\x00" + s[i:i+1])
		} else {
			b.WriteString(s[i:i+1] + "\x00")
		}
	}
	return b.String()
}

// onePart is a body of one part.
func onePart(header, value string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n" + header + "\r\n" + value + "\r\n--b--\r\n"
}

type request struct {
	name, path, contentType, body string
	change                        func(*http.Request)
}

// smuggled are requests that some parser of some language reads as a token
// exchange, or that hide what it would read.
func smuggled() []request {
	const form = formType
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add(name, value) }
	}
	return []request{
		{"repeated, exchange first", theirToken, form, "grant_type=" + urn + "&grant_type=password", nil},
		{"repeated, exchange last", theirToken, form, "grant_type=password&grant_type=" + urn, nil},
		{"repeated, both", theirToken, form, goodForm + "&" + goodForm, nil},
		{"other parameter repeated", theirToken, form, goodForm + "&subject_token=y", nil},
		{"PHP and Node: array", theirToken, form, "grant_type[]=" + urn, nil},
		{"PHP: array, escaped", theirToken, form, "grant_type%5B0%5D=" + urn, nil},
		{"PHP: point for underscore", theirToken, form, "grant.type=" + urn, nil},
		{"PHP: space for underscore", theirToken, form, "grant+type=" + urn, nil},
		{"PHP: leading space", theirToken, form, "+grant_type=" + urn, nil},
		{"NUL after the name", theirToken, form, "grant_type%00x=" + urn, nil},
		{"NUL after the value", theirToken, form, "grant_type=" + urn + "%00", nil},
		{"NUL inside", theirToken, form, "grant_type=" + urn[:10] + "\x00" + urn[10:], nil},
		{"space after the value", theirToken, form, "grant_type=" + urn + "+", nil},
		{"line break after the value", theirToken, form, "grant_type=" + urn + "\r\n", nil},
		{"name in other case", theirToken, form, "Grant_Type=" + urn, nil},
		{"value in other case", theirToken, form, "grant_type=" + strings.ToUpper(urn), nil},
		{"value with a Kelvin sign", theirToken, form, "grant_type=" + strings.Replace(urn, "k", "\u212a", 1), nil},
		{"value in full width", theirToken, form, "grant_type=" + strings.Replace(urn, "urn", "\uff55\uff52\uff4e", 1), nil},
		{"name escaped", theirToken, form, "%67rant_type=%75rn:ietf:params:oauth:grant-type:token-exchange&grant_type=password", nil},
		{"separated by a semicolon", theirToken, form, "grant_type=password;grant_type=" + urn, nil},
		{"separated by a semicolon alone", theirToken, form, "a=b;" + goodForm, nil},
		{"broken escape elsewhere", theirToken, form, goodForm + "&x=%zz", nil},
		{"escaped twice", theirToken, form, "grant_type=%2575rn:ietf:params:oauth:grant-type:token-exchange", nil},
		{"escaped too often to follow", theirToken, form, "grant_type=%" + strings.Repeat("25", 20) + "75", nil},
		{"IIS: %u", theirToken, form, "grant_type=%u0075rn:ietf:params:oauth:grant-type:token-exchange", nil},
		{"overlong UTF-8", theirToken, form, "grant_type=%C1%B5rn:ietf:params:oauth:grant-type:token-exchange", nil},
		{"overlong UTF-8, three bytes", theirToken, form, "grant_type=%E0%81%B5rn:ietf:params:oauth:grant-type:token-exchange", nil},
		{"byte order mark", theirToken, form, "\xef\xbb\xbfgrant_type=" + urn + "&grant_type=x", nil},
		{"joined by commas", theirToken, form, "grant_type=password," + urn, nil},
		{"UTF-16 little endian", theirToken, form, asUTF16("grant_type="+urn, false), nil},
		{"UTF-16 big endian, escaped NUL", theirToken, form, strings.ReplaceAll(asUTF16("grant_type="+urn, true), "\x00", "%00"), nil},
		{"another parameter has it", theirToken, form, "grant_type=password&x=" + urn, nil},
		{"character set UTF-7", theirToken, form + "; charset=utf-7", "grant_type=+AHUAcgBu-", nil},
		{"character set of EBCDIC", theirToken, form + "; charset=cp037", "\x87\x99", nil},
		{"character set in the form", theirToken, form, "_charset_=utf-7&grant_type=+AHUAcgBu-", nil},
		{"no media type", theirToken, "", goodForm, nil},
		{"media type in other case, repeated", theirToken, "APPLICATION/X-WWW-FORM-URLENCODED", goodForm + "&grant_type=x", nil},
		{"media type of text", theirToken, "text/plain", goodForm, nil},
		{"unknown media type", theirToken, "application/x-amz", "a=b", nil},
		{"XML", theirToken, "application/xml", "<a>&#117;rn</a>", nil},
		{"JSON", theirToken, "application/json", `{"grant_type":"` + urn + `"}`, nil},
		{"JSON with escapes", theirToken, "application/json", `{"grant_type":"\u0075rn:ietf:params:oauth:grant-type:token-exchange"}`, nil},
		{"JSON of a vendor", theirToken, "application/vnd.x+json", `["` + urn + `"]`, nil},
		{"JSON named a form", theirToken, form, `{"grant_type":"` + urn + `"}`, nil},
		{"multipart", theirToken, "multipart/form-data; boundary=b", onePart("", urn), nil},
		{"multipart in base64", theirToken, "multipart/form-data; boundary=b", onePart("Content-Transfer-Encoding: base64\r\n", "dXJu"), nil},
		{"multipart, quoted-printable", theirToken, "multipart/form-data; boundary=b", onePart("content-transfer-encoding:quoted-printable\r\n", "=75rn"), nil},
		{"multipart in UTF-7", theirToken, "multipart/form-data; boundary=b", onePart("Content-Type: text/plain; charset=\"UTF-7\"\r\n", "+AHU-"), nil},
		{"multipart of another kind", theirToken, "multipart/mixed; boundary=b", onePart("", "x"), nil},
		{"two media types", theirToken, "application/json", goodForm, header("Content-Type", form)},
		{"two media types on one line", theirToken, "application/json, " + form, "a=b", nil},
		{"compressed", theirToken, form, "\x1f\x8b\x08", header("Content-Encoding", "gzip")},
		{"said to be compressed", theirToken, form, goodForm, header("Content-Encoding", "identity")},
		{"in the query alone", theirToken + "?grant_type=" + urn, form, "", nil},
		{"in the query, other in the form", theirToken + "?grant_type=" + urn, form, "grant_type=password", nil},
		{"in the query, escaped", theirToken + "?grant_type=%75rn%3aietf%3aparams%3aoauth%3agrant-type%3atoken-exchange", form, "a=b", nil},
		{"in the query and the form", theirToken + "?grant_type=" + urn, form, goodForm, nil},
		{"in a path parameter", theirToken + ";grant_type=" + urn, form, "a=b", nil},
		{"in a cookie", theirToken, form, "a=b", header("Cookie", "grant_type="+urn)},
		{"behind a long header", theirToken, form, "a=b", header("X", strings.Repeat("x", oauth.MaxForm+1))},
		{"by GET", theirToken + "?" + goodForm, "", "", func(r *http.Request) { r.Method = http.MethodGet }},
		{"by PUT", theirToken, form, goodForm, func(r *http.Request) { r.Method = http.MethodPut }},
		{"by a method of its own", theirToken, form, goodForm, func(r *http.Request) { r.Method = "BREW" }},
		{"trailing slash", theirToken + "/", form, goodForm, nil},
		{"empty segment", "/dex//token", form, goodForm, nil},
		{"dot segment", "/dex/x/../token", form, goodForm, nil},
		{"dot segment with a parameter", "/dex/x/..;a=b/token", form, goodForm, nil},
		{"escaped twice in the path", "/dex/%2574oken", form, goodForm, nil},
		{"back slash", "/dex%5ctoken", form, goodForm, nil},
		{"path in other case", "/DEX/Token", form, goodForm, nil},
		{"path parameter", "/dex/token;jsessionid=1", form, goodForm, nil},
		{"NUL in the path", "/dex/token%00", form, goodForm, nil},
		{"format behind the path, as Rails has it", theirToken + ".json", form, goodForm, nil},
		{"format and slash", theirToken + ".x.y/", form, goodForm, nil},
		{"X-Original-URL", "/", form, goodForm, header("X-Original-URL", theirToken)},
		{"X-Rewrite-URL", "/", form, goodForm, header("X-Rewrite-URL", theirIssuer+"/token?a=b")},
	}
}

// TestOA_01_OA_02_NoExchangePasses: what any parser could read as an exchange is
// refused, never passed on.
func TestOA_01_OA_02_NoExchangePasses(t *testing.T) {
	op := newOP()
	f := newFront(t, nil)
	know(t, f, op)
	for _, tt := range smuggled() {
		t.Run(tt.name, func(t *testing.T) {
			r := post(tt.path, tt.contentType, tt.body)
			if tt.change != nil {
				tt.change(r)
			}
			w := serve(t, f, r, op)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"invalid_request"`) {
				t.Errorf("answer = %d %s, want 400 invalid_request", w.Code, w.Body)
			}
			if seen, _ := op.requests(); len(seen) > 0 {
				t.Fatalf("the provider got %v", seen[0].URL)
			}
		})
	}
}

func TestExchangeIsOurs(t *testing.T) {
	op := newOP()
	f := newFront(t, nil)
	know(t, f, op)
	for _, tt := range []request{
		{"form", theirToken, formType, goodForm, nil},
		{"form with a character set", theirToken, formType + "; charset=UTF-8", goodForm, nil},
		{"media type in other case", theirToken, "Application/X-WWW-Form-Urlencoded", goodForm, nil},
		{"harmless query", theirToken + "?p=policy", formType, goodForm, nil},
		{"escaped path", "/dex/%74oken", formType, goodForm, nil},
		{"escaped slash", "/dex%2ftoken", formType, goodForm, nil},
		{"resource repeated", theirToken, formType, goodForm + "&resource=https://a.example&resource=https://b.example", nil},
		{"unknown length", theirToken, formType, goodForm, func(r *http.Request) { r.ContentLength = -1 }},
		{"Basic", theirToken, formType, goodForm, func(r *http.Request) { r.SetBasicAuth("a", "b") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := post(tt.path, tt.contentType, tt.body)
			if tt.change != nil {
				tt.change(r)
			}
			if w := serve(t, f, r, op); w.Code != http.StatusOK || w.Body.String() != exchanged {
				t.Errorf("answer = %d %s", w.Code, w.Body)
			}
		})
	}
	if seen, _ := op.requests(); len(seen) > 0 {
		t.Errorf("the provider got %v", seen[0].URL)
	}
}

// TestOtherGrantsPass: everything else reaches the provider byte for byte.
func TestOtherGrantsPass(t *testing.T) {
	f := newFront(t, nil)
	know(t, f, newOP())
	for _, tt := range []request{
		{"code", theirToken, formType, "grant_type=authorization_code&code=a%2Bb&redirect_uri=https%3A%2F%2Fx%3Fy%3Dz", nil},
		{"broken form", theirToken, formType, "grant_type=%zz&&;=\xff", nil},
		{"repeated parameter", theirToken, formType, "a=1&a=2", nil},
		{"nothing", theirToken, "", "", nil},
		{"empty body of unknown type", theirToken, "application/x-amz", "", nil},
		{"no media type", theirToken, "", "a=b", nil},
		{"other character set", theirToken, formType + ";charset=ISO-8859-1", "a=%E4", nil},
		{"query", theirToken + "?p=%70olicy&x", formType, "a=b", nil},
		{"JSON", theirToken, "application/json", `{"grant_type":"password"}`, nil},
		{"multipart", theirToken, "multipart/form-data; boundary=b", onePart("Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n", "password"), nil},
		{"jwt-bearer", theirToken, formType, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=x", nil},
		{"almost the exchange", theirToken, formType, "grant_type=urn:ietf:params:oauth:grant-type:token-exchang", nil},
		{"Basic of somebody else", theirToken, formType, "grant_type=client_credentials", func(r *http.Request) { r.SetBasicAuth("theirs", "s%cret") }},
		{"unknown length", theirToken, formType, "grant_type=client_credentials", func(r *http.Request) { r.ContentLength = -1; r.TransferEncoding = []string{"chunked"} }},
		{"preflight", theirToken, "", "", func(r *http.Request) { r.Method = http.MethodOptions }},
		{"alias with another grant", theirToken + "/", formType, "grant_type=password", nil},
		{"exchange at another path", "/dex/register", "application/json", `{"grant_types":["` + urn + `"]}`, nil},
		{"exchange at a longer path", theirToken + "/x", formType, goodForm, nil},
		{"exactly the limit", theirToken, formType, strings.Repeat("a", oauth.MaxForm), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			op := newOP()
			r := post(tt.path, tt.contentType, tt.body)
			if tt.change != nil {
				tt.change(r)
			}
			before := r.Clone(t.Context())
			serve(t, f, r, op)
			seen, bodies := op.requests()
			if len(seen) != 1 || bodies[0] != tt.body {
				t.Fatalf("the provider got %v %q, want %q", seen, bodies, tt.body)
			}
			got := seen[0]
			if got.URL.String() != before.URL.String() || got.Method != before.Method || got.ContentLength != before.ContentLength ||
				!cmp.Equal(got.Header, before.Header) || !cmp.Equal(got.TransferEncoding, before.TransferEncoding) {
				t.Errorf("the provider got %+v, want %+v", got, before)
			}
		})
	}
}

func TestLargeBodies(t *testing.T) {
	op := newOP()
	f := newFront(t, nil)
	know(t, f, op)
	large := strings.Repeat("a", oauth.MaxForm+1)
	for path, want := range map[string]int{theirToken: 413, theirToken + "/": 413, "/dex/upload": 200} {
		if w := serve(t, f, post(path, formType, large), op); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if seen, bodies := op.requests(); len(seen) != 1 || bodies[0] != large {
		t.Errorf("the provider got %d requests", len(seen))
	}
}

// TestBrokenBody: a body that breaks off at the token endpoint reaches nobody.
func TestBrokenBody(t *testing.T) {
	op := newOP()
	f := newFront(t, nil)
	know(t, f, op)
	r := post(theirToken, formType, "")
	r.Body, r.ContentLength = http.MaxBytesReader(nil, post("/", "", goodForm).Body, 10), int64(len(goodForm))
	if w := serve(t, f, r, op); w.Code != http.StatusBadRequest {
		t.Errorf("answer = %d, want 400", w.Code)
	}
	if seen, _ := op.requests(); len(seen) > 0 {
		t.Error("the provider got half a body")
	}
}
