package sts_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
)

// TestTokenAt: the token endpoint of a provider in front of which we stand takes
// proofs for its own URL, and only for that.
func TestTokenAt(t *testing.T) {
	const endpoint = "https://bob.example/dex/token"
	for _, tt := range []struct {
		name, htu string
		status    int
	}{
		{"proof for the URL that is called", endpoint, http.StatusOK},
		{"proof for our own URL", issuer + "/sts/token", http.StatusBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			key, err := dpop.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			signer, err := dpop.NewSigner(key, b.cfg.Now)
			if err != nil {
				t.Fatal(err)
			}
			proof, err := signer.Prove(http.MethodPost, tt.htu, "", "")
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, endpoint, strings.NewReader(good().Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("DPoP", proof)
			w := httptest.NewRecorder()
			b.server.TokenAt(endpoint).ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("answer = %d %s, want %d", w.Code, w.Body, tt.status)
			}
		})
	}
}
