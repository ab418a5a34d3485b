package caddysts_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const wrapped = `"issuer":"https://sso.bob.example/claims","email_domains":["bob.example"],` +
	`"wrap":{"issuer":"https://sso.bob.example/dex"}`

// dex is a provider as the next handler. It asks for what Caddy's own handlers
// look for in a request, and says who was asked.
func dex(t *testing.T) caddyhttp.Handler {
	t.Helper()
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path != "/dex/.well-known/openid-configuration" {
			_, err := io.WriteString(w, "dex answers")
			return err
		}
		repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if _, isBool := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !ok || !isBool {
			t.Error("the request for metadata has no context of Caddy's")
			return nil
		}
		if got := repl.ReplaceAll("{http.request.host} {http.request.scheme}", ""); got != "sso.bob.example https" {
			t.Errorf("placeholders say %q", got)
		}
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, `{"issuer":"https://sso.bob.example/dex","token_endpoint":"https://sso.bob.example/dex/token","jwks_uri":"https://sso.bob.example/dex/keys"}`)
		return err
	})
}

func TestA28_Wrap(t *testing.T) {
	h, err := load(context(t), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	next := dex(t)
	grant := "grant_type=" + oauth.GrantTokenExchange + "&client_id=caddy-uma"
	tests := []struct {
		name, method, path, body string
		tls                      bool
		status                   int
		says                     string
	}{
		{"metadata of ours", "GET", "/claims/.well-known/openid-configuration", "", true, 200, `"https://sso.bob.example/claims/sts/token"`},
		{"CA-01 exchange at the provider's token endpoint", "POST", "/dex/token", grant, true, 400, "invalid_request"},
		{"SEC-24 exchange in clear", "POST", "/dex/token", grant, false, 403, "https"},
		{"OA-02 exchange twice", "POST", "/dex/token", grant + "&" + grant, true, 400, "each parameter once"},
		{"another grant", "POST", "/dex/token", "grant_type=password", true, 200, "dex answers"},
		{"another grant in clear", "POST", "/dex/token", "grant_type=password", false, 200, "dex answers"},
		{"another grant at our endpoint", "POST", "/claims/sts/token", "grant_type=password", true, 400, "unsupported_grant_type"},
		{"webfinger", "GET", "/.well-known/webfinger?resource=acct:x@bob.example", "", true, 200, `"https://sso.bob.example/claims"`},
		{"metadata of the provider", "GET", "/dex/.well-known/oauth-authorization-server", "", true, 200, "dex answers"},
		{"page of the provider", "GET", "/dex/auth", "", false, 200, "dex answers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, "http://elsewhere.example"+tt.path, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tt.tls {
				r.TLS = new(tls.ConnectionState)
			}
			w := httptest.NewRecorder()
			if err := h.ServeHTTP(w, r, next); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || strings.Contains(w.Body.String(), "elsewhere") {
				t.Errorf("answer = %d %s, want %d %s", w.Code, w.Body, tt.status, tt.says)
			}
		})
	}
}

// TestA28_MergedPaths: with one issuer, WebFinger is all that is ours alone.
func TestA28_MergedPaths(t *testing.T) {
	h, err := load(context(t), `"issuer":"https://sso.bob.example/dex","email_domains":["bob.example"],"wrap":{},"merge_jwks":true`)
	if err != nil {
		t.Fatal(err)
	}
	next := dex(t)
	for path, want := range map[string]string{
		"/.well-known/webfinger?resource=acct:x@bob.example": `"https://sso.bob.example/dex"`,
		"/dex/.well-known/openid-configuration":              oauth.GrantTokenExchange,
		"/dex/sts/token":                                     "dex answers",
		"/dex/sts/jwks":                                      "dex answers",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "https://sso.bob.example"+path, nil)
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		if err := h.ServeHTTP(w, r, next); err != nil || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, %v", path, w.Code, w.Body, err)
		}
	}
}

func TestWrapMistakes(t *testing.T) {
	const ours = `"issuer":"https://sso.bob.example/claims","email_domains":["bob.example"]`
	for name, tt := range map[string]struct{ members, want string }{
		"no issuer":                 {ours + `,"wrap":{}`, "wrap needs the issuer of the OpenID provider"},
		"no wrap":                   {plain + `,"merge_jwks":true`, "there is no 'wrap'"},
		"with provider":             {plain + `,"wrap":{"issuer":"https://bob.example/dex"}`, "choose one of upstream, wrap, provider"},
		"same issuer":               {ours + `,"wrap":{"issuer":"https://sso.bob.example/claims"}`, "write merge_jwks"},
		"other issuer, merged":      {ours + `,"wrap":{"issuer":"https://sso.bob.example/dex"},"merge_jwks":true`, "with merge_jwks both are one issuer"},
		"other host":                {ours + `,"wrap":{"issuer":"https://kc.bob.example/dex"}`, "write 'upstream https://kc.bob.example/dex'"},
		"other port":                {ours + `,"wrap":{"issuer":"https://sso.bob.example:8443/dex"}`, "is on another host"},
		"below our own":             {ours + `,"wrap":{"issuer":"https://sso.bob.example/claims/sts"}`, "this server's own endpoints"},
		"no canonical issuer":       {ours + `,"wrap":{"issuer":"https://sso.bob.example/x/../dex"}`, "must be an https URL"},
		"beside our own":            {ours + `,"wrap":{"issuer":"https://sso.bob.example/claims/stsx"}`, ""},
		"the host itself":           {ours + `,"wrap":{"issuer":"https://sso.bob.example"}`, ""},
		"same issuer, written":      {ours + `,"wrap":{"issuer":"https://sso.bob.example/claims"},"merge_jwks":true`, ""},
		"A28 merged, target *":      {ours + `,"wrap":{},"merge_jwks":true,"targets":[{"names":["https://api.alice.example"]},{"names":["*"]}]`, "target * cannot be used with merge_jwks"},
		"A28 merged, target":        {ours + `,"wrap":{},"merge_jwks":true,"targets":[{"names":["https://api.alice.example","files"]}]`, ""},
		"A28 not merged, target *":  {ours + `,"wrap":{"issuer":"https://sso.bob.example/dex"},"targets":[{"names":["*"]}]`, ""},
		"A28 merged, asking client": {ours + `,"wrap":{"check":"introspection","client_id":"asks","client_secret":"s"},"merge_jwks":true,"targets":[{"names":["asks"]}]`, "target 'asks' is the client_id of 'wrap'"},
		"A28 merged, other name":    {ours + `,"wrap":{"check":"introspection","client_id":"asks","client_secret":"s"},"merge_jwks":true,"targets":[{"names":["files"]}]`, ""},
		"same issuer by itself":     {ours + `,"wrap":{},"merge_jwks":true`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(context(t), tt.members)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Provision = %v, want %q", err, tt.want)
			}
		})
	}
}
