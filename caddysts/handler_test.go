package caddysts_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/caddy-uma/caddy-uma/caddysts"
)

const (
	bcryptHash = "$2a$14$X3ulqf/iGxnf1k6oMZ.RZeJUoqI9PX2PM4rS5lkIKJXduLGXGPrt6"
	argonHash  = "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"
	users      = `"provider":{"users":[{"email":"bob@bob.example","password_hash":"` + bcryptHash + `"}]}`
	plain      = `"issuer":"https://bob.example",` + users
)

// context does what `caddy validate` does with a configuration without sites.
func context(t *testing.T) caddy.Context {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	text := `{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":"` + dir + `"},` +
		`"apps":{"uma":{"store":{"module":"bolt","path":"` + filepath.Join(dir, "uma.db") + `"}}}}`
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func load(ctx caddy.Context, members string) (*caddysts.Handler, error) {
	mod, err := ctx.LoadModuleByID("http.handlers.uma_sts", json.RawMessage("{"+members+"}"))
	if err != nil {
		return nil, err
	}
	return mod.(*caddysts.Handler), nil
}

func TestProvision(t *testing.T) {
	t.Setenv("STS_TEST_HASH", argonHash)
	t.Setenv("STS_TEST_EMPTY", "")
	t.Setenv("STS_TEST_PASSWORD", "hunter2-hunter2-hunter2-hunter2-hunter2")
	t.Setenv("STS_TEST_SECRET", "0123456789012345678901234567890123456789")
	user := func(email, hash string) string {
		return `"issuer":"https://bob.example","provider":{"users":[{"email":"` + email + `","password_hash":"` + hash + `"}]}`
	}
	tests := []struct{ name, members, want string }{
		{"plain", plain, ""},
		{"hash by environment", user("bob@bob.example", "{env.STS_TEST_HASH}"), ""},
		{"secret by environment", plain + `,"clients":[{"client_id":"web","client_secrets":["{env.STS_TEST_SECRET}"]}]`, ""},
		{"no issuer", users, "issuer ''"},
		{"no provider", `"issuer":"https://bob.example"`, "provider"},
		{"unset hash", user("bob@bob.example", "{env.STS_TEST_UNSET}"), "environment variable STS_TEST_UNSET is not set"},
		{"empty hash", user("bob@bob.example", "{env.STS_TEST_EMPTY}"), "is empty"},
		{"password in clear", user("bob@bob.example", "{env.STS_TEST_PASSWORD}"), "must be a password hash"},
		{"foreign user", user("bob@alice.example", bcryptHash), "alice.example is not an email_domain"},
		{"unset secret", plain + `,"clients":[{"client_id":"web","client_secrets":["{env.STS_TEST_UNSET}"]}]`, "STS_TEST_UNSET is not set"},
		{"short secret", plain + `,"clients":[{"client_id":"web","client_secrets":["short"]}]`, "shorter than 32"},
		{"request placeholder", plain + `,"clients":[{"client_id":"web","client_secrets":["{http.request.uri.path.file.secret}"]}]`, "is a request placeholder"},
		{"lifetime", plain + `,"lifetime":{"claims_token":"1h"}`, "claims_token lifetime is at most 5m"},
		{"negative leeway", plain + `,"leeway":"-1s"`, "leeway"},
		{"empty rate limit", plain + `,"rate_limit":{"login":{}}`, "rate_limit login"},
		{"target", plain + `,"targets":[{"names":["http://x"]}]`, "must be a canonical https URL"},
		{"condition", plain + `,"targets":[{"names":["x"],"when":"claim.x == 1"}]`, "target 'x': when: 1:1: undeclared reference to 'claim', did you mean 'claims'?"},
		{"good condition", plain + `,"targets":[{"names":["x"],"when":"claims.x == 1","require":"dpop"}]`, ""},
		{"target twice", plain + `,"targets":[{"names":["x"]},{"names":["x"],"when":"false"}]`, "target 'x' is written twice"},
		{"keys of no file", plain + `,"clients":[{"client_id":"web","jwks_file":"/nowhere/keys.json"}]`, "client 'web': jwks_file: "},
		{"keys of a URI", plain + `,"clients":[{"client_id":"web","jwks_uri":"https://web.example/jwks","may_act":true,"dpop_bound":true}]`, ""},
		{"public actor", plain + `,"clients":[{"client_id":"web","public":true,"may_act":true}]`, "may_act needs credentials"},
		{"reserved claim", `"issuer":"https://bob.example","provider":{"users":[{"email":"bob@bob.example","password_hash":"` + bcryptHash + `","claims":{"aud":"x"}}]}`, "set by the server"},
		{"missing users file", `"issuer":"https://bob.example","provider":{"users_file":"/nowhere/users.json"}`, "users file /nowhere/users.json: it does not exist"},
		{"unknown field", plain + `,"upstream":{}`, "unknown field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(context(t), tt.members)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Provision = %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Provision = %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error shows the password: %v", err)
			case err != nil && strings.Contains(err.Error(), "uma_sts: uma_sts: uma_sts"):
				// once by Caddy (the module), once by us
				t.Errorf("the directive stands there twice: %v", err)
			}
		})
	}
}

func TestProvisionTouchesNothing(t *testing.T) {
	ctx := context(t)
	if _, err := load(ctx, plain); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(os.Getenv("XDG_DATA_HOME"))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "uma") {
			t.Errorf("Provision made %s", e.Name())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSameIssuerTwice(t *testing.T) {
	ctx := context(t)
	for range 2 {
		if _, err := load(ctx, plain); err != nil {
			t.Errorf("equal blocks: %v", err)
		}
	}
	if _, err := load(ctx, plain+`,"no_cors":true`); err == nil || !strings.Contains(err.Error(), "configured twice with different settings") {
		t.Errorf("different blocks: %v", err)
	}
	if _, err := load(ctx, strings.Replace(plain, "https://bob.example", "https://bob.example/x", 1)); err != nil {
		t.Errorf("another issuer: %v", err)
	}
}

// serve sends a request and tells whether the next handler got it.
func serve(t *testing.T, h *caddysts.Handler, r *http.Request) (w *httptest.ResponseRecorder, passed bool) {
	t.Helper()
	w = httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		passed = true
		return nil
	})
	if err := h.ServeHTTP(w, r, next); err != nil {
		t.Fatal(err)
	}
	return w, passed
}

func TestServeHTTP(t *testing.T) {
	h, err := load(context(t), plain)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		tls        bool
		status     int // 0 = handed on
	}{
		{"metadata", "/.well-known/openid-configuration", true, 200},
		{"metadata, other name", "/.well-known/oauth-authorization-server", true, 200},
		{"keys", "/sts/jwks", true, 200},
		{"webfinger", "/.well-known/webfinger?resource=acct:x@bob.example", true, 200},
		{"token endpoint", "/sts/token", true, 405},
		{"SEC-24 metadata in clear", "/.well-known/openid-configuration", false, 403},
		{"SEC-24 token endpoint in clear", "/sts/token", false, 403},
		{"SEC-24 login page in clear", "/sts/authorize", false, 403},
		{"other path", "/", true, 0},
		{"other path in clear", "/", false, 0},
		{"other path below", "/sts/token/x", true, 0},
		{"AS metadata", "/.well-known/uma2-configuration", true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://elsewhere.example"+tt.path, nil)
			r.Header.Set("X-Forwarded-Proto", "https") // of nobody that is trusted
			if tt.tls {
				r.TLS = new(tls.ConnectionState)
			}
			w, passed := serve(t, h, r)
			if passed != (tt.status == 0) || !passed && w.Code != tt.status {
				t.Errorf("answer = %d %s, handed on %v, want %d", w.Code, w.Body, passed, tt.status)
			}
			if strings.Contains(w.Body.String(), "elsewhere") {
				t.Errorf("the answer depends on Host: %s", w.Body)
			}
		})
	}
}

func TestOD_10_MetadataWithTheProvider(t *testing.T) {
	h, err := load(context(t), plain)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "https://bob.example/.well-known/openid-configuration", nil)
	w, _ := serve(t, h, r)
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported", "grant_types_supported", "device_authorization_endpoint", "end_session_endpoint"} {
		if m[name] == nil {
			t.Errorf("%s is missing in %s", name, w.Body)
		}
	}
	for _, name := range []string{"userinfo_endpoint", "pushed_authorization_request_endpoint"} {
		if m[name] != nil {
			t.Errorf("OD-13: %s is not offered yet", name)
		}
	}
}

func TestOD_13_DeviceFlowOff(t *testing.T) {
	h, err := load(context(t), strings.Replace(plain, `"provider":{`, `"provider":{"no_device_flow":true,`, 1))
	if err != nil {
		t.Fatal(err)
	}
	w, _ := serve(t, h, httptest.NewRequest(http.MethodGet, "https://bob.example/.well-known/openid-configuration", nil))
	if strings.Contains(w.Body.String(), "device") || !strings.Contains(w.Body.String(), "authorization_code") {
		t.Errorf("metadata = %s", w.Body)
	}
	if _, passed := serve(t, h, httptest.NewRequest(http.MethodGet, "https://bob.example/sts/device", nil)); !passed {
		t.Error("the page for devices is there")
	}
}
