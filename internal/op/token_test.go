package op_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

func TestToken(t *testing.T) {
	b := newBench(t, nil)
	got := b.redeem(tokenParams(b.code()))
	if got.TokenType != "Bearer" || got.ExpiresIn != 600 || got.Scope != "openid email profile" || len(got.AccessToken) != 43 {
		t.Errorf("answer = %+v", got)
	}
	header, claims := decode(t, got.IDToken)
	if header["typ"] != "JWT" || header["alg"] != "ES256" {
		t.Errorf("header = %v", header)
	}
	keys, err := b.provider.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].KID != header["kid"] {
		t.Errorf("Keys() = %v, %v", keys, err)
	}
	if sub, _ := claims["sub"].(string); len(sub) != 22 {
		t.Errorf("sub = %v", claims["sub"])
	}
	delete(claims, "sub")
	now := float64(b.clock().Unix())
	want := map[string]any{
		"iss": issuer, "aud": "app", "nonce": "n-1", "iat": now, "exp": now + 300, "auth_time": now,
		"email": "Bob@Bob.example", "email_verified": true, "name": "Bob",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	if got := b.redeem(tokenParams(b.codeAgain("scope", "email other"))); got.IDToken != "" || got.Scope != "email" {
		t.Errorf("without openid: %+v", got)
	}
}

// codeAgain uses a browser without a session.
func (b *bench) codeAgain(changes ...string) string {
	b.browser = b.newBrowser()
	return b.code(changes...)
}

func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWS: %q", token)
	}
	for i, v := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

func TestOA_01_TokenRequest(t *testing.T) {
	b := newBench(t, nil)
	a := b.get("token?" + tokenParams("x").Encode())
	if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	req := b.request(http.MethodPost, "token", `{"grant_type":"authorization_code"}`)
	req.Header.Set("Content-Type", "application/json")
	b.do(req).want(t, 400, "invalid_request")

	code := b.code()
	b.post("token?"+tokenParams(code).Encode(), url.Values{}).want(t, 400, "invalid_request")
	b.post("token?code="+code, tokenParams("")).want(t, 400, "invalid_request")
	b.redeem(tokenParams(code)) // nothing of that was a presentation
}

func TestOA_02_Parameters(t *testing.T) {
	b := newBench(t, nil)
	code := b.code()
	repeated := tokenParams(code)
	repeated.Add("code_verifier", verifier)
	b.post("token", repeated).want(t, 400, "invalid_request")
	empty := tokenParams(code)
	empty.Set("grant_type", "")
	b.post("token", empty).want(t, 400, "invalid_request")
	ignored := tokenParams(code, "unknown", "1")
	ignored.Set("client_secret", "")
	b.redeem(ignored)
}

func TestOA_03_ClientAuthentication(t *testing.T) {
	b := newBench(t, nil)
	basic := func(form url.Values, id, key string) *http.Request {
		req := b.request(http.MethodPost, "token", form.Encode())
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(key))
		return req
	}
	code := b.code("client_id", "web")
	b.do(basic(tokenParams(code, "client_id", "web", "client_secret", webKey), "web", webKey)).want(t, 400, "invalid_request")
	if a := b.do(basic(tokenParams(code, "client_id", ""), "web", webKey)); a.status != 200 {
		t.Errorf("form-encoded Basic: %d %s", a.status, a.body)
	}
	b.redeem(tokenParams(b.codeAgain("client_id", "web"), "client_id", "web", "client_secret", webKey))
}

func TestOA_04_BadSecret(t *testing.T) {
	b := newBench(t, nil)
	req := b.request(http.MethodPost, "token", tokenParams("x", "client_id", "").Encode())
	req.SetBasicAuth("web", "wrong")
	a := b.do(req)
	a.want(t, 401, "invalid_client")
	if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	a = b.post("token", tokenParams("x", "client_id", "web", "client_secret", "wrong"))
	a.want(t, 401, "invalid_client")
	if got := a.header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("WWW-Authenticate = %q for a secret in the body", got)
	}
	for _, id := range []string{"web", "old", "nobody"} {
		b.post("token", tokenParams("x", "client_id", id)).want(t, 401, "invalid_client")
	}
}

func TestOA_05_OtherGrants(t *testing.T) {
	b := newBench(t, nil)
	for _, grant := range []string{"password", "client_credentials", "implicit"} {
		b.post("token", tokenParams("x", "grant_type", grant)).want(t, 400, "unsupported_grant_type")
	}
}

// A wrong presentation burns the code: afterwards the right one fails, too.
func TestToken_Burn(t *testing.T) {
	for name, change := range map[string][]string{
		"verifier":         {"code_verifier", strings.Repeat("x", 43)},
		"no verifier":      {"code_verifier", ""},
		"short verifier":   {"code_verifier", "abc"},
		"client":           {"client_id", "native"},
		"redirect URI":     {"redirect_uri", callback + "?x=1"},
		"no redirect URI":  {"redirect_uri", ""},
		"plain (RFC 7636)": {"code_verifier", codeChallenge(verifier)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			code := b.code()
			b.post("token", tokenParams(code, change...)).want(t, 400, "invalid_grant")
			b.post("token", tokenParams(code)).want(t, 400, "invalid_grant")
		})
	}
}

func TestToken_CodeLife(t *testing.T) {
	b := newBench(t, nil)
	code := b.code()
	b.pass(59 * time.Second)
	b.redeem(tokenParams(code))
	code = b.codeAgain()
	b.pass(60 * time.Second)
	b.post("token", tokenParams(code)).want(t, 400, "invalid_grant")
	b.post("token", tokenParams("garbage")).want(t, 400, "invalid_grant")
}

// A code that comes twice revokes what came of it (RFC 6749 §4.1.2).
func TestToken_Replay(t *testing.T) {
	b := newBench(t, nil)
	code := b.code()
	access := b.redeem(tokenParams(code)).AccessToken
	if _, err := b.provider.Resolve(t.Context(), access); err != nil {
		t.Fatal(err)
	}
	b.post("token", tokenParams(code)).want(t, 400, "invalid_grant")
	if _, err := b.provider.Resolve(t.Context(), access); !errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("after the replay: %v", err)
	}
}

func TestToken_ManyAtOnce(t *testing.T) {
	b := newBench(t, nil)
	code := b.code()
	var wg sync.WaitGroup
	statuses := make([]int, 8)
	for i := range statuses {
		wg.Go(func() { statuses[i] = b.post("token", tokenParams(code)).status })
	}
	wg.Wait()
	won := 0
	for _, s := range statuses {
		if s == 200 {
			won++
		} else if s != 400 {
			t.Errorf("status %d", s)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d got tokens for one code", won, len(statuses))
	}
}

// What cannot be recorded is not issued, and not refused either.
func TestSEC_13_StoreFails(t *testing.T) {
	b := newBench(t, nil)
	code := b.code()
	broken := errors.New("disk")
	b.store.fail(nil, broken)
	b.post("token", tokenParams(code)).want(t, 503, "temporarily_unavailable")
	b.post("token", tokenParams(code, "client_id", "native")).want(t, 503, "temporarily_unavailable")
	b.store.fail(broken, nil)
	b.post("token", tokenParams(code)).want(t, 503, "temporarily_unavailable")
	b.store.fail(nil, nil)
	access := b.redeem(tokenParams(code)).AccessToken
	b.store.fail(broken, nil)
	if _, err := b.provider.Resolve(t.Context(), access); err == nil || errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("Resolve() with a broken store = %v", err)
	}
	b.store.fail(nil, nil)
	b.browser = b.newBrowser()
	page := b.authorize()
	b.store.fail(nil, broken)
	a := b.post("login", url.Values{"request": {page.sealed(t)}, "username": {"bob@bob.example"}, "password": {password}})
	if v := a.params(t); v.Get("error") != "temporarily_unavailable" || v.Get("code") != "" {
		t.Errorf("login with a broken store: %v", v)
	}
	for _, c := range a.header.Values("Set-Cookie") {
		if strings.Contains(c, "session") {
			t.Error("a session that was not recorded")
		}
	}
}

// Ids that people type do not look like flags.
func TestSecret_Typed(t *testing.T) {
	for range 2000 { // one in 64 would
		if id := op.Secret(); id[0] == '-' {
			t.Fatal(id)
		}
	}
}
