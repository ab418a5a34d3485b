package op_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// A wrong password and an unknown user cannot be told apart, and cost the same.
func TestLogin_NobodyLearnsWhoExists(t *testing.T) {
	b := newBench(t, nil)
	known := b.login("bob@bob.example", "wrong")
	unknown := b.login("eva@bob.example", "wrong")
	clean := func(a answer, name string) string {
		s := hidden.ReplaceAllString(a.body, "")
		return strings.ReplaceAll(s, name, "")
	}
	if known.status != unknown.status || clean(known, "bob@bob.example") != clean(unknown, "eva@bob.example") {
		t.Error("the pages differ")
	}
	if len(b.compared) != 2 {
		t.Errorf("compared %d times, want one for each", len(b.compared))
	}
	if diff := cmp.Diff([]event.Outcome{event.Denied, event.Denied}, b.outcomes()); diff != "" {
		t.Error(diff)
	}
	// The right password of somebody else does not help an unknown user.
	if a := b.login("eva@bob.example", password); a.status != http.StatusForbidden {
		t.Errorf("unknown user with a known password: %d", a.status)
	}
	for _, long := range []string{strings.Repeat("x", 1025), ""} {
		if a := b.login("bob@bob.example", long); a.status != http.StatusForbidden {
			t.Errorf("password of %d bytes: %d", len(long), a.status)
		}
	}
	if len(b.compared) != 3 {
		t.Errorf("compared %d times: a long password must not be hashed", len(b.compared))
	}
}

func TestLogin_CSRF(t *testing.T) {
	b := newBench(t, nil)
	page := b.authorize()
	form := url.Values{"request": {page.sealed(t)}, "username": {"bob@bob.example"}, "password": {password}}
	victim := b.browser
	refused := func(name string, req *http.Request) {
		t.Helper()
		if a := b.do(req); a.status != 400 || a.header.Get("Location") != "" {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	post := func(f url.Values) *http.Request { return b.request(http.MethodPost, "login", f.Encode()) }

	b.browser = b.newBrowser()
	refused("without the cookie", post(form))
	b.authorize()
	refused("the page of another browser", post(form))
	b.browser = victim
	cross := post(form)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	refused("from another site", cross)
	refused("forged", post(with(form, "request", strings.Repeat("A", 200))))
	refused("none", post(with(form, "request", "")))
	twice := with(form)
	twice.Add("username", "eve@bob.example")
	refused("two names", post(twice))

	same := post(form)
	same.Header.Set("Sec-Fetch-Site", "same-origin")
	if v := b.do(same).params(t); v.Get("code") == "" {
		t.Errorf("the page itself: %v", v)
	}
	refused("used already", post(form))
	late := b.authorize("prompt", "login")
	b.pass(10 * time.Minute)
	refused("too late", post(with(form, "request", late.sealed(t))))
	if a := b.get("login"); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d", a.status)
	}
}

func TestSEC_18_Logins(t *testing.T) {
	b := newBench(t, func(c *op.Config) { c.Logins = limit.New(2, time.Minute, 100, c.Now) })
	for range 2 {
		if a := b.login("bob@bob.example", "wrong"); a.status != 403 {
			t.Fatalf("status %d", a.status)
		}
	}
	a := b.login("eve@bob.example", password)
	if a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("third from one address: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	b.mu.Lock()
	b.ip = "192.0.2.2"
	b.mu.Unlock()
	if a := b.login("bob@bob.example", password); a.status != 429 {
		t.Errorf("third for one user: %d", a.status)
	}
	if a := b.login("eve@bob.example", password); a.status != 303 {
		t.Errorf("another user from another address: %d", a.status)
	}
	want := []event.Outcome{event.Denied, event.Denied, event.Refused, event.Refused, event.Granted}
	if diff := cmp.Diff(want, b.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func challengeParams(changes ...string) url.Values {
	return with(url.Values{
		"client_id": {"native"}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {codeChallenge(verifier)}, "code_challenge_method": {"S256"},
		"username": {"bob@bob.example"}, "password": {password},
	}, changes...)
}

func TestChallenge(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []struct {
		name   string
		change []string
		status int
		code   string
	}{
		{"wrong password", []string{"password", "wrong"}, 403, "access_denied"},
		{"unknown user", []string{"username", "eva@bob.example"}, 403, "access_denied"},
		{"no password", []string{"password", ""}, 400, "insufficient_authorization"},
		{"no name", []string{"username", ""}, 400, "insufficient_authorization"},
		{"third party", []string{"client_id", "app"}, 400, "unauthorized_client"},
		{"unknown client", []string{"client_id", "nobody"}, 401, "invalid_client"},
		{"confidential client without secret", []string{"client_id", "webparty"}, 401, "invalid_client"},
		{"no PKCE", []string{"code_challenge", ""}, 400, "invalid_request"},
		{"plain", []string{"code_challenge_method", "plain"}, 400, "invalid_request"},
		{"implicit", []string{"response_type", "token"}, 400, "unsupported_response_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.post("challenge", challengeParams(c.change...))
			a.want(t, c.status, c.code)
			if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("header = %v", a.header)
			}
			if got := b.outcomes(); len(got) != 1 || got[0] == event.Granted {
				t.Errorf("outcomes = %v", got)
			}
		})
	}
	a := b.post("challenge", challengeParams())
	_, code, _ := strings.Cut(a.body, `"authorization_code":"`)
	if code = strings.TrimSuffix(code, `"}`); a.status != 200 || len(code) != 43 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := b.redeem(tokenParams(code, "client_id", "native", "redirect_uri", "")); got.IDToken == "" {
		t.Error("no ID token")
	}
	if a := b.get("challenge"); a.status != 405 {
		t.Errorf("GET: %d", a.status)
	}
	if a := b.post("challenge", challengeParams("client_id", "webparty", "client_secret", webKey)); a.status != 200 {
		t.Errorf("confidential first-party client: %d %s", a.status, a.body)
	}
}

func TestExtend(t *testing.T) {
	b := newBench(t, nil)
	m := oauth.Metadata{GrantTypesSupported: []string{oauth.GrantTokenExchange}}
	m.TokenEndpointAuthMethodsSupported = []string{oauth.AuthNone, oauth.AuthSecretBasic}
	m.TokenEndpointAuthSigningAlgs = []string{"ES256"}
	b.provider.Extend(&m)
	want := oauth.Metadata{
		TokenEndpointAuthMethodsSupported:         []string{oauth.AuthNone, oauth.AuthSecretBasic},
		TokenEndpointAuthSigningAlgs:              []string{"ES256"},
		UserinfoEndpoint:                          issuer + "/sts/userinfo",
		RevocationEndpoint:                        issuer + "/sts/revoke",
		RevocationEndpointAuthMethodsSupported:    []string{oauth.AuthNone, oauth.AuthSecretBasic},
		RevocationEndpointAuthSigningAlgs:         []string{"ES256"},
		IntrospectionEndpoint:                     issuer + "/sts/introspect",
		IntrospectionEndpointAuthMethodsSupported: []string{oauth.AuthSecretBasic},
		IntrospectionEndpointAuthSigningAlgs:      []string{"ES256"},
		DPoPSigningAlgValuesSupported:             dpop.Algs(),
		ClaimsSupported:                           m.ClaimsSupported,
		AuthorizationEndpoint:                     issuer + "/sts/authorize",
		AuthorizationChallengeEndpoint:            issuer + "/sts/challenge",
		ScopesSupported:                           []string{"openid", "email", "profile", "groups", "offline_access"},
		DeviceAuthorizationEndpoint:               issuer + "/sts/device_authorization",
		EndSessionEndpoint:                        issuer + "/sts/logout",
		GrantTypesSupported:                       []string{oauth.GrantTokenExchange, "authorization_code", "refresh_token", oauth.GrantDeviceCode},
		ResponseTypesSupported:                    []string{"code"},
		SubjectTypesSupported:                     []string{"public"},
		IDTokenSigningAlgValuesSupported:          []string{"ES256"},
		CodeChallengeMethodsSupported:             []string{"S256"},
		AuthorizationResponseIss:                  true,
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
	m = oauth.Metadata{}
	b.second(func(c *op.Config) { c.Clients = c.Clients[:1] }).Extend(&m)
	if m.AuthorizationChallengeEndpoint != "" || m.IntrospectionEndpoint != "" {
		t.Error("an endpoint without a client for it")
	}
	for path, want := range map[string]bool{"authorize": true, "login": true, "userinfo": true, "introspect": true, "revoke": true, "challenge": true, "style.css": true, "token": false, "": false} {
		if got := b.provider.Handles(base + path); got != want {
			t.Errorf("Handles(%s) = %v", path, got)
		}
	}
	if b.provider.Handles("/sts/authorize") {
		t.Error("the path of the issuer counts")
	}
}

func TestNew_Refuses(t *testing.T) {
	b := newBench(t, nil)
	client := func(uri string) func(*op.Config) {
		return func(c *op.Config) { c.Clients = []op.Client{{ID: "x", RedirectURIs: []string{uri}}} }
	}
	for name, change := range map[string]func(*op.Config){
		"issuer in clear": func(c *op.Config) { c.Issuer = "http://id.example" },
		"user twice": func(c *op.Config) {
			c.Users = append(c.Users[:1:1], op.User{Email: "bob@BOB.example", PasswordHash: "x"})
		},
		"user without hash": func(c *op.Config) { c.Users = []op.User{{Email: "a@b.example"}} },
		"client twice":      func(c *op.Config) { c.Clients = []op.Client{{ID: "x"}, {ID: "x"}} },
		"no store":          func(c *op.Config) { c.Store = nil },
		"negative lifetime": func(c *op.Config) { c.AccessLifetime = -1 },
		"http":              client("http://app.example/cb"), "javascript": client("javascript:alert(1)"),
		"data": client("data:text/html,x"), "fragment": client(callback + "#"), "relative": client("/cb"),
		"wildcard": client("https://*.example/cb"), "user information": client("https://a@app.example/cb"),
	} {
		cfg := b.cfg
		change(&cfg)
		if _, err := op.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, uri := range []string{callback, "http://127.0.0.1/cb", "http://[::1]:80/cb", "http://localhost/cb", "com.example.app:/cb"} {
		cfg := b.cfg
		client(uri)(&cfg)
		if _, err := op.New(cfg); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// FuzzAuthorize: whatever comes, a redirect goes to a registered address only.
func FuzzAuthorize(f *testing.F) {
	f.Add(authorizeParams().Encode())
	f.Add("client_id=native&redirect_uri=http://127.0.0.1:1/cb&prompt=none")
	f.Add("client_id=app&redirect_uri=https://evil.example/%0d%0a")
	b := newBench(f, nil)
	f.Fuzz(func(t *testing.T, query string) {
		req := httptest.NewRequest(http.MethodGet, base+"authorize", nil)
		req.URL.RawQuery = query
		w := httptest.NewRecorder()
		b.provider.ServeHTTP(w, req)
		to := w.Header().Get("Location")
		if to != "" && !strings.HasPrefix(to, callback+"?") && !strings.HasPrefix(to, "http://127.0.0.1") && !strings.HasPrefix(to, "http://[::1]") {
			t.Errorf("redirected to %q", to)
		}
	})
}
