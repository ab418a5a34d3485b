package caddyrs

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// opened verifies an assertion with the keys that the site publishes.
func opened(t *testing.T, s *site, compact string) map[string]any {
	t.Helper()
	resp, body := s.do("GET", "/.well-known/uma-protect-jwks", "")
	if resp.StatusCode != 200 {
		t.Fatalf("keys = %d %s", resp.StatusCode, body)
	}
	keys, err := jose.ParseJWKS([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(compact, 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Verify(t.Context(), keys, []string{"ES256"}, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestSEC_19_Assertion(t *testing.T) {
	for name, lines := range map[string]string{"with metadata": "", "without": "\t\tmetadata off\n"} {
		t.Run("SEC-19 "+name, func(t *testing.T) {
			s := newSite(t, strings.Replace(protect(lines+"\t\tassertion X-Assertion backend"), "uma_protect ", "uma_protect /private/* ", 1)+proxy)
			s.do("GET", "/private/", "")
			spoofed := []string{"X-Assertion", "forged", "X_Assertion", "forged", "X.Assertion", "forged", "Connection", "X-Assertion"}
			s.do("GET", "/private/", "", append(spoofed, bearer(s.as.rpt(resource, []string{"get"}, nil))...)...)
			r, _ := s.lastHit()
			if n := len(r.Header.Values("X-Assertion")); n != 1 {
				t.Fatalf("%d assertions in %v", n, r.Header)
			}
			claims := opened(t, s, r.Header.Get("X-Assertion"))
			if claims["sub"] != "u-1" || claims["aud"] != "backend" || claims["iss"] != resource {
				t.Errorf("claims = %v", claims)
			}
			s.do("GET", "/public", "", spoofed...)
			if r, _ := s.lastHit(); len(r.Header.Values("X-Assertion"))+len(r.Header.Values("X_assertion")) != 0 {
				t.Errorf("a public request has an assertion: %v", r.Header)
			}
			want := 200
			if lines != "" {
				want = 202 // the backend's
			}
			if resp, _ := s.do("GET", "/.well-known/oauth-protected-resource", ""); resp.StatusCode != want {
				t.Errorf("document = %d, want %d", resp.StatusCode, want)
			}
		})
	}
}

func TestCA_42_NoAssertionNoHit(t *testing.T) {
	s := newSite(t, protect("\t\tassertion X-Assertion backend")+proxy)
	s.do("GET", "/", "")
	// Keys cannot be made where a file is in the way.
	if err := os.WriteFile(filepath.Join(s.storage, "uma"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	resp, _ := s.do("GET", "/", "", bearer(s.as.rpt(resource, []string{"get"}, nil))...)
	if resp.StatusCode != http.StatusServiceUnavailable || s.hitCount() != 0 {
		t.Errorf("answer = %d after %d hits, want 503 and none", resp.StatusCode, s.hitCount())
	}
}

// TestCA_41_KeysShadowNothing: without assertions the place of their keys is the
// backend's.
func TestCA_41_KeysShadowNothing(t *testing.T) {
	s := newSite(t, strings.Replace(protect(""), "uma_protect ", "uma_protect /private/* ", 1)+proxy)
	if resp, _ := s.do("GET", "/.well-known/uma-protect-jwks", ""); resp.StatusCode != 202 {
		t.Errorf("answer = %d, want the backend's", resp.StatusCode)
	}
}
