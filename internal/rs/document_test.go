package rs_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestOA_25_Document(t *testing.T) {
	for _, c := range []struct{ name, configured, learned, path, want string }{
		{"learned", "", "https://api.example", "/.well-known/oauth-protected-resource", "https://api.example"},
		{"configured", "https://api.example", "", "/.well-known/oauth-protected-resource", "https://api.example"},
		{"path", "", "https://api.example/base", "/.well-known/oauth-protected-resource/base", "https://api.example/base"},
		{"another's path", "", "https://api.example/base", "/.well-known/oauth-protected-resource", ""},
		{"below", "", "https://api.example", "/.well-known/oauth-protected-resource/x", ""},
		{"not a document", "", "https://api.example", "/.well-known/oauth-protected-resourceX", ""},
	} {
		t.Run("OA-25 "+c.name, func(t *testing.T) {
			w := newWorld(t, func(cfg *rs.Config) {
				cfg.ResourceURI = c.configured
				cfg.Scopes = []rs.Scope{{Name: "get"}, {Name: "post"}}
			})
			w.as.uri = c.learned
			rec := httptest.NewRecorder()
			own := w.rs.ServeMetadata(rec, httptest.NewRequest("GET", "https://evil.example"+c.path, nil))
			if own != (c.want != "") {
				t.Fatalf("own = %v", own)
			}
			if c.want == "" {
				return
			}
			var got map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"resource": c.want, "authorization_servers": []any{issuer}, "scopes_supported": []any{"get", "post"},
				"bearer_methods_supported":          []any{"header"},
				"dpop_signing_alg_values_supported": []any{"ES256", "ES384", "RS256", "PS256", "EdDSA"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOA_25_DocumentThatCannotBeLearned(t *testing.T) {
	w := newWorld(t)
	w.as.down = true
	rec := httptest.NewRecorder()
	if !w.rs.ServeMetadata(rec, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil)) || rec.Code != 503 {
		t.Errorf("answer = %d, want 503", rec.Code)
	}
	w.cfg.NoMetadata = true
	w.restart()
	if w.rs.ServeMetadata(rec, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource", nil)) {
		t.Error("served although it is off")
	}
}

func TestSEC_23_DocumentMayBeReadByPages(t *testing.T) {
	w := newWorld(t)
	for method, want := range map[string]int{"GET": 200, "OPTIONS": 204, "POST": 405} {
		rec := httptest.NewRecorder()
		w.rs.ServeMetadata(rec, httptest.NewRequest(method, "/.well-known/oauth-protected-resource", nil))
		if rec.Code != want || rec.Header().Get("Access-Control-Allow-Origin") != "*" || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s = %d %v, want %d", method, rec.Code, rec.Header(), want)
		}
	}
}
