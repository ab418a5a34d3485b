package op_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/op"
)

const bye = "https://app.example/bye"

// leaving is a bench whose clients have somewhere to go after a logout.
func leavingBench(t *testing.T) *bench {
	t.Helper()
	return newBench(t, func(c *op.Config) {
		c.Clients[0].PostLogoutRedirectURIs = []string{bye, "http://127.0.0.1/bye"}
		c.Clients[2].PostLogoutRedirectURIs = []string{"https://web.example/bye"}
	})
}

func (b *bench) idToken(changes ...string) string {
	b.t.Helper()
	token := b.redeem(tokenParams(b.code(changes...))).IDToken
	if token == "" {
		b.t.Fatal("no ID token")
	}
	return token
}

// loggedIn tells whether the browser has a session.
func (b *bench) loggedIn() bool {
	b.t.Helper()
	return !strings.Contains(b.get("account").body, `name="password"`)
}

func logoutPath(pairs ...string) string { return "logout?" + with(url.Values{}, pairs...).Encode() }

func TestLogout(t *testing.T) {
	b := leavingBench(t)
	hint := b.idToken()
	t.Run("of the session itself", func(t *testing.T) {
		b.pass(time.Hour) // the ID token has expired
		a := b.get(logoutPath("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "a &b"))
		if got := a.header.Get("Location"); a.status != 303 || got != bye+"?state=a+%26b" {
			t.Errorf("%d to %q", a.status, got)
		}
		if b.loggedIn() {
			t.Error("the session lives on")
		}
	})
	t.Run("nobody is logged in", func(t *testing.T) {
		if a := b.get(logoutPath("client_id", "app", "post_logout_redirect_uri", bye)); a.header.Get("Location") != bye {
			t.Errorf("%d to %q", a.status, a.header.Get("Location"))
		}
		if a := b.get("logout"); a.status != 200 || !strings.Contains(a.body, "You are logged out") {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
	t.Run("of another session it is asked", func(t *testing.T) {
		b.code("prompt", "login")
		page := b.get(logoutPath("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "s"))
		checkPage(t, page)
		if page.status != 200 || !b.loggedIn() || !strings.Contains(page.body, "app.example") {
			t.Fatalf("%d %s", page.status, page.body)
		}
		if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app.example;") {
			t.Errorf("CSP = %s", csp)
		}
		a := b.post("logout", url.Values{"request": {page.sealed(t)}})
		if a.status != 303 || a.header.Get("Location") != bye+"?state=s" || b.loggedIn() {
			t.Errorf("%d to %q", a.status, a.header.Get("Location"))
		}
	})
	t.Run("by form of the application", func(t *testing.T) {
		b.code("prompt", "login")
		a := b.post("logout", url.Values{"client_id": {"app"}, "post_logout_redirect_uri": {bye}})
		to, ok := strings.CutPrefix(a.header.Get("Location"), base)
		if a.status != 303 || !ok {
			t.Fatalf("%d to %q", a.status, a.header.Get("Location"))
		}
		page := b.get(to)
		if !b.loggedIn() {
			t.Fatal("nobody was asked")
		}
		if a := b.post("logout", url.Values{"request": {page.sealed(t)}}); a.header.Get("Location") != bye || b.loggedIn() {
			t.Errorf("%d to %q", a.status, a.header.Get("Location"))
		}
	})
	t.Run("a copied cookie is worth nothing", func(t *testing.T) {
		b.code("prompt", "login")
		thief := b.newBrowser()
		u, _ := url.Parse(b.server.URL)
		thief.Jar.SetCookies(u, b.browser.Jar.Cookies(u))
		page := b.get("logout")
		b.post("logout", url.Values{"request": {page.sealed(t)}})
		b.browser = thief
		if b.loggedIn() {
			t.Error("the session lives on")
		}
	})
}

func TestLogout_Refuses(t *testing.T) {
	b := leavingBench(t)
	hint := b.idToken()
	for name, c := range map[string][]string{
		"unknown client":            {"client_id", "nobody"},
		"disabled client":           {"client_id", "old"},
		"not registered":            {"client_id", "app", "post_logout_redirect_uri", "https://evil.example/"},
		"longer":                    {"client_id", "app", "post_logout_redirect_uri", bye + "/"},
		"with a query":              {"client_id", "app", "post_logout_redirect_uri", bye + "?x"},
		"with a port":               {"client_id", "app", "post_logout_redirect_uri", "http://127.0.0.1:80/bye"},
		"of the login":              {"client_id", "app", "post_logout_redirect_uri", callback},
		"of another client":         {"client_id", "app", "post_logout_redirect_uri", "https://web.example/bye"},
		"without client":            {"post_logout_redirect_uri", bye},
		"hint for another client":   {"client_id", "web", "id_token_hint", hint},
		"hint and another's target": {"id_token_hint", hint, "post_logout_redirect_uri", "https://web.example/bye"},
		"hint that is none":         {"id_token_hint", "x"},
		"altered hint":              {"id_token_hint", hint[:len(hint)-6] + "AAAAAA"},
		"access token":              {"id_token_hint", strings.Repeat("a", 43)},
		"very long":                 {"state", strings.Repeat("s", 9000)},
	} {
		a := b.get(logoutPath(c...))
		if a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("%s: %d to %q", name, a.status, a.header.Get("Location"))
		}
		if !b.loggedIn() {
			t.Fatalf("%s: logged out", name)
		}
	}
	foreign := leavingBench(t) // with keys of its own
	other := foreign.idToken()
	if a := b.get(logoutPath("id_token_hint", other)); a.status != 200 || !b.loggedIn() || !strings.Contains(a.body, "Log out?") {
		t.Errorf("the ID token of another key: %d", a.status)
	}
	if a := b.do(b.request(http.MethodPut, "logout", "")); a.status != 405 {
		t.Errorf("PUT: %d", a.status)
	}
}

func TestLogout_CSRF(t *testing.T) {
	b := leavingBench(t)
	b.code()
	form := url.Values{"request": {b.get("logout").sealed(t)}}
	cross := b.request(http.MethodPost, "logout", form.Encode())
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(cross); a.status != 400 || !b.loggedIn() {
		t.Errorf("from another site: %d", a.status)
	}
	if a := b.post("logout", with(form, "request", b.get("account").sealed(t))); a.status != 400 || !b.loggedIn() {
		t.Errorf("the form of another page: %d", a.status)
	}
	b.store.fail(nil, errBroken)
	if a := b.post("logout", form); a.status != 503 {
		t.Errorf("a store that fails: %d", a.status)
	}
	b.store.fail(nil, nil)
	if !b.loggedIn() {
		t.Error("logged out in half")
	}
	if a := b.post("logout", form); a.status != 200 || b.loggedIn() {
		t.Errorf("the page itself: %d", a.status)
	}
}

func TestNew_RefusesPostLogout(t *testing.T) {
	b := newBench(t, nil)
	for _, uri := range []string{"javascript:alert(1)", "http://app.example/", bye + "#x", "/bye"} {
		cfg := b.cfg
		cfg.Clients = []op.Client{{ID: "x", PostLogoutRedirectURIs: []string{uri}}}
		if _, err := op.New(cfg); err == nil {
			t.Errorf("%s: accepted", uri)
		}
	}
}

// FuzzLogout: whatever comes, the browser goes to a registered address only.
func FuzzLogout(f *testing.F) {
	f.Add("client_id=app&post_logout_redirect_uri=https://app.example/bye&state=x")
	f.Add("id_token_hint=a.b.c&post_logout_redirect_uri=//evil.example")
	b := newBench(f, func(c *op.Config) { c.Clients[0].PostLogoutRedirectURIs = []string{bye} })
	f.Fuzz(func(t *testing.T, query string) {
		to := location(b.provider, "logout", query)
		if to != "" && to != bye && !strings.HasPrefix(to, bye+"?state=") {
			t.Errorf("redirected to %q", to)
		}
	})
}
