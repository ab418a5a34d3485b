package uma_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestUG_04_Metadata(t *testing.T) {
	b := newBench(t)
	doc := b.get("/.well-known/uma2-configuration")
	if doc.status != 200 || doc.get("issuer") != issuer || doc.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", doc.status, doc.header, doc.text)
	}
	t.Run("UG-06 the profile", func(t *testing.T) {
		if list, _ := doc.body["uma_profiles_supported"].([]any); !slices.Contains(list, any(oauth.ProfileURI)) {
			t.Errorf("%v", list)
		}
	})
	t.Run("UF-07 the endpoints answer", func(t *testing.T) {
		for _, name := range []string{"permission_endpoint", "resource_registration_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"} {
			path := strings.TrimPrefix(doc.get(name), issuer)
			if res := b.get(path); res.status == 404 || path == doc.get(name) || path == "" {
				t.Errorf("%s = %q: %d", name, doc.get(name), res.status)
			}
		}
	})
	t.Run("OD-12 the same document of RFC 8414", func(t *testing.T) {
		if other := b.get("/.well-known/oauth-authorization-server"); other.text != doc.text {
			t.Errorf("%s", other.text)
		}
	})
	t.Run("OD-13 only what is there", func(t *testing.T) {
		for _, name := range []string{"issuer", "token_endpoint", "jwks_uri", "grant_types_supported", "token_endpoint_auth_methods_supported", "response_types_supported"} {
			if _, there := doc.body[name]; !there {
				t.Errorf("%s is missing", name)
			}
		}
		for name, value := range doc.body {
			if list, isList := value.([]any); isList && len(list) == 0 && name != "response_types_supported" {
				t.Errorf("%s is empty", name)
			}
		}
		for _, name := range []string{"claims_interaction_endpoint", "registration_endpoint", "authorization_endpoint", "op_tos_uri"} {
			if _, there := doc.body[name]; there {
				t.Errorf("%s is not offered", name)
			}
		}
		if list, _ := doc.body["grant_types_supported"].([]any); slices.Contains(list, any("refresh_token")) {
			t.Errorf("grant types %v", list)
		}
		refresh := newBench(t, func(b *bench) { b.cfg.RefreshLifetime = time.Hour })
		if list, _ := refresh.get("/.well-known/uma2-configuration").body["grant_types_supported"].([]any); !slices.Contains(list, any("refresh_token")) {
			t.Errorf("grant types with refresh tokens %v", list)
		}
		with := newBench(t, func(b *bench) { b.cfg.Terms = "https://alice.example/terms" })
		if res := with.get("/.well-known/uma2-configuration"); res.get("op_tos_uri") != "https://alice.example/terms" {
			t.Errorf("op_tos_uri: %s", res.text)
		}
	})
}

func TestUG_04_IssuerWithPath(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Issuer = issuer + "/t1"; b.rings() })
	appended := b.get("/t1/.well-known/uma2-configuration")
	if appended.status != 200 || appended.get("issuer") != issuer+"/t1" || appended.get("token_endpoint") != issuer+"/t1/uma/token" {
		t.Errorf("%d %s", appended.status, appended.text)
	}
	if inserted := b.get("/.well-known/oauth-authorization-server/t1"); inserted.text != appended.text {
		t.Errorf("OD-12: %d %s", inserted.status, inserted.text)
	}
	for _, path := range []string{"/.well-known/uma2-configuration", "/uma/token", "/t1/uma", "/t10/uma/token"} {
		if b.server.Handles(path) {
			t.Errorf("%s is not its path", path)
		}
	}
	if !b.server.Handles("/t1/uma/token") || !b.server.Handles("/t1/uma/nothing") {
		t.Error("its own paths")
	}
	if res := b.get("/t1/uma/nothing"); res.status != 404 {
		t.Errorf("%d", res.status)
	}
}

func TestUG_04_JWKS(t *testing.T) {
	b := newBench(t)
	res := b.get("/uma/jwks")
	keys, _ := res.body["keys"].([]any)
	if res.status != 200 || len(keys) != 3 || !strings.Contains(res.header.Get("Cache-Control"), "max-age") {
		t.Fatalf("%d %v %s", res.status, res.header, res.text)
	}
	t.Run("SEC-11 nothing private", func(t *testing.T) {
		for _, entry := range keys {
			key, _ := entry.(map[string]any)
			for name := range key {
				if !slices.Contains([]string{"kty", "crv", "x", "y", "kid", "alg", "use"}, name) {
					t.Errorf("member %s", name)
				}
			}
		}
	})
	t.Run("a broken key storage", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.storage.Fail = http.ErrServerClosed })
		if res := b.get("/uma/jwks"); res.status != 503 || strings.Contains(res.text, http.ErrServerClosed.Error()) {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

// SEC-23: pages of other origins may use the public endpoints, without
// credentials, and never the protection API.
func TestSEC_23_CORS(t *testing.T) {
	b := newBench(t)
	ask := func(b *bench, method, path, origin string) http.Header {
		r := httptest.NewRequestWithContext(t.Context(), method, issuer+path, nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		rec := httptest.NewRecorder()
		b.server.ServeHTTP(rec, r)
		if rec.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s allows credentials", path)
		}
		return rec.Header()
	}
	const page = "https://page.example"
	for path, public := range map[string]bool{
		"/uma/token": true, "/uma/jwks": true, "/.well-known/uma2-configuration": true, "/uma/revoke": true, "/uma/introspect": false,
		"/uma/permission": false, "/uma/resource": false, "/uma/resource/" + strings.Repeat("A", 22): false,
	} {
		for _, method := range []string{http.MethodOptions, http.MethodGet, http.MethodPost} {
			if allowed := ask(b, method, path, page).Get("Access-Control-Allow-Origin"); (allowed == "*") != public {
				t.Errorf("%s %s: %q", method, path, allowed)
			}
		}
		if allowed := ask(b, http.MethodGet, path, "").Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("%s without Origin: %q", path, allowed)
		}
	}
	t.Run("preflight", func(t *testing.T) {
		h := ask(b, http.MethodOptions, "/uma/token", page)
		if h.Get("Access-Control-Allow-Methods") != "POST" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%v", h)
		}
	})
	t.Run("SEC-18 a preflight makes nothing", func(t *testing.T) {
		if len(b.decisions()) != 0 || b.op.Conns() != 0 {
			t.Error("something happened")
		}
	})
	t.Run("off", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.NoCORS = true })
		if h := ask(b, http.MethodOptions, "/uma/token", page); h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v", h)
		}
	})
}
