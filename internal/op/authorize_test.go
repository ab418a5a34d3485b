package op_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// checkPage checks what every page must say to the browser.
func checkPage(t *testing.T, a answer) {
	t.Helper()
	h := a.header
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	csp := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
		if !strings.Contains(csp, part) {
			t.Errorf("CSP %q lacks %s", csp, part)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(a.body, "<script") {
		t.Error("the page can run scripts")
	}
}

func TestSEC_16_Headers(t *testing.T) {
	b := newBench(t, nil)
	page := b.authorize()
	checkPage(t, page)
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app.example;") {
		t.Errorf("CSP = %q", csp)
	}
	for _, text := range []string{
		"<strong><bdi>app</bdi></strong>", "<strong><bdi>app.example</bdi></strong>", "id.example",
		`autocomplete="username"`, `autocomplete="current-password"`, `<label for="username">`, `<label for="password">`,
	} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	checkPage(t, b.authorize("client_id", "nobody"))
	wrong := b.login("bob@bob.example", "wrong")
	checkPage(t, wrong)
	if wrong.status != http.StatusForbidden || !strings.Contains(wrong.body, `role="alert"`) {
		t.Errorf("wrong password: %d %s", wrong.status, wrong.body)
	}
	done := b.login("bob@bob.example", password)
	checkPage(t, done)
	if done.status != http.StatusSeeOther {
		t.Errorf("after the login: %d, want 303", done.status)
	}
	for _, c := range append(page.header.Values("Set-Cookie"), done.header.Values("Set-Cookie")...) {
		for _, part := range []string{"__Host-", "Path=/;", "Secure", "HttpOnly", "SameSite=Lax"} {
			if !strings.Contains(c, part) {
				t.Errorf("cookie %q lacks %s", c, part)
			}
		}
	}
	css := b.get("style.css")
	if css.status != 200 || css.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("style: %d %v", css.status, css.header)
	}
}

func TestSEC_16_NoOpenRedirect(t *testing.T) {
	b := newBench(t, nil)
	for name, change := range map[string][]string{
		"unknown client":      {"client_id", "nobody"},
		"disabled client":     {"client_id", "old"},
		"no client":           {"client_id", ""},
		"no redirect URI":     {"redirect_uri", ""},
		"other host":          {"redirect_uri", "https://evil.example/cb"},
		"longer path":         {"redirect_uri", callback + "/x"},
		"other query":         {"redirect_uri", callback + "?x=2"},
		"other case":          {"redirect_uri", "https://APP.example/cb"},
		"user information":    {"redirect_uri", "https://app.example@evil.example/cb"},
		"fragment":            {"redirect_uri", callback + "#x"},
		"client without URIs": {"client_id", "webparty"},
		"other loopback":      {"client_id", "native", "redirect_uri", "http://127.0.0.2:80/cb"},
		"localhost":           {"client_id", "native", "redirect_uri", "http://localhost:80/cb"},
		"loopback path":       {"client_id", "native", "redirect_uri", "http://127.0.0.1:80/other"},
		"loopback no port":    {"client_id", "native", "redirect_uri", "http://127.0.0.1:/cb"},
		"loopback bad port":   {"client_id", "native", "redirect_uri", "http://127.0.0.1:65536/cb"},
		"loopback zero":       {"client_id", "native", "redirect_uri", "http://127.0.0.1:080/cb"},
		"loopback trick":      {"client_id", "native", "redirect_uri", "http://127.0.0.1:80@evil.example/cb"},
	} {
		a := b.authorize(append(change, "response_type", "token")...)
		if a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("%s: %d to %q, want a page with 400", name, a.status, a.header.Get("Location"))
		}
	}
	repeated := authorizeParams()
	repeated.Add("redirect_uri", "https://evil.example/")
	if a := b.get("authorize?" + repeated.Encode()); a.status != 400 {
		t.Errorf("repeated redirect_uri: %d", a.status)
	}
	if a := b.authorize("state", strings.Repeat("s", 9000)); a.status != 400 {
		t.Errorf("very long request: %d", a.status)
	}
	for _, uri := range []string{"http://127.0.0.1:5123/cb", "http://[::1]:5123/cb", "http://127.0.0.1/cb"} {
		if a := b.authorize("client_id", "native", "redirect_uri", uri); a.status != 200 {
			t.Errorf("%s: %d", uri, a.status)
		}
	}
}

func TestAuthorize_ErrorsByRedirect(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []struct {
		name   string
		change []string
		want   string
	}{
		{"no response type", []string{"response_type", ""}, "invalid_request"},
		{"implicit", []string{"response_type", "token"}, "unsupported_response_type"},
		{"hybrid", []string{"response_type", "code id_token"}, "unsupported_response_type"},
		{"no PKCE", []string{"code_challenge", ""}, "invalid_request"},
		{"plain", []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"plain by default", []string{"code_challenge_method", ""}, "invalid_request"},
		{"short challenge", []string{"code_challenge", "abc"}, "invalid_request"},
		{"confidential without PKCE", []string{"client_id", "web", "code_challenge", ""}, "invalid_request"},
		{"response mode", []string{"response_mode", "fragment"}, "invalid_request"},
		{"request object", []string{"request", "e30"}, "request_not_supported"},
		{"request by reference", []string{"request_uri", "https://evil.example/"}, "request_uri_not_supported"},
		{"prompt", []string{"prompt", "none login"}, "invalid_request"},
		{"scope", []string{"scope", "openid \"x\""}, "invalid_scope"},
		{"max_age", []string{"max_age", "-1"}, "invalid_request"},
		{"nobody there", []string{"prompt", "none"}, "login_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.authorize(append(c.change, "redirect_uri", callback)...)
			v := a.params(t)
			if v.Get("error") != c.want || v.Get("state") != "st &=?" || v.Get("iss") != issuer || v.Has("code") {
				t.Errorf("answer = %v, want %s", v, c.want)
			}
		})
	}
}

func TestAuthorize_Answer(t *testing.T) {
	b := newBench(t, nil)
	a := b.login("BOB@bob.EXAMPLE", password, "redirect_uri", callback+"?x=1")
	v := a.params(t)
	if v.Get("x") != "1" || v.Get("state") != "st &=?" || v.Get("iss") != issuer || len(v) != 4 {
		t.Errorf("answer = %v", v)
	}
	if got := b.outcomes(); len(got) != 1 || got[0] != event.Granted {
		t.Errorf("outcomes = %v", got)
	}
	b.redeem(tokenParams(v.Get("code"), "redirect_uri", callback+"?x=1"))
	// Parameters may come in the body (OpenID Connect Core §3.1.2.1).
	b.browser = b.newBrowser()
	if a := b.post("authorize", authorizeParams()); a.status != 200 {
		t.Errorf("POST: %d", a.status)
	}
	if a := b.do(b.request(http.MethodDelete, "authorize", "")); a.status != 405 {
		t.Errorf("DELETE: %d", a.status)
	}
}

func TestSession(t *testing.T) {
	b := newBench(t, nil)
	b.code()
	page := b.authorize("state", "second")
	if strings.Contains(page.body, `type="password"`) || !strings.Contains(page.body, "Bob@Bob.example") {
		t.Fatalf("with a session: %s", page.body)
	}
	form := url.Values{"request": {page.sealed(t)}, "action": {"continue"}}
	b.pass(time.Minute)
	code := b.post("login", form).params(t).Get("code")
	_, claims := decode(t, b.redeem(tokenParams(code)).IDToken)
	if want := float64(b.clock().Unix() - 60); claims["auth_time"] != want {
		t.Errorf("auth_time = %v, want %v", claims["auth_time"], want)
	}
	if a := b.post("login", form); a.status != 400 {
		t.Errorf("a page gave two codes: %d", a.status)
	}
	if v := b.authorize("prompt", "none").params(t); v.Get("code") == "" {
		t.Errorf("prompt=none: %v", v)
	}
	if v := b.authorize("prompt", "none", "client_id", "web").params(t); v.Get("error") != "consent_required" {
		t.Errorf("prompt=none of a client that was never let in: %v", v)
	}
	if v := b.authorize("prompt", "none", "client_id", "ours").params(t); v.Get("code") == "" {
		t.Errorf("prompt=none of a first-party client: %v", v)
	}
	native := []string{"client_id", "native", "redirect_uri", "http://127.0.0.1:1/cb", "prompt", "none"}
	if v := b.authorize(native...).params(t); v.Get("error") != "consent_required" {
		t.Errorf("prompt=none of a client that any program could be: %v", v)
	}
	for name, change := range map[string][]string{
		"prompt=login": {"prompt", "login"}, "select_account": {"prompt", "select_account"}, "max_age": {"max_age", "60"},
	} {
		if a := b.authorize(change...); !strings.Contains(a.body, `type="password"`) {
			t.Errorf("%s: no password asked for", name)
		}
	}
	if v := b.authorize("prompt", "none", "max_age", "60").params(t); v.Get("error") != "login_required" {
		t.Errorf("prompt=none with an old session: %v", v)
	}
	b.pass(12 * time.Hour)
	if v := b.authorize("prompt", "none").params(t); v.Get("error") != "login_required" {
		t.Errorf("after the session: %v", v)
	}
}
