package suggest_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/suggest"
)

func TestNearest(t *testing.T) {
	known := []string{"resource", "scope", "api", "now", "client_secret"}
	for word, want := range map[string]string{
		"resorce": "resource", "scopes": "scope", "apl": "api",
		"client_sercet": "client_secret", // two letters
		"client_sercte": "",              // three and more
		"foo":           "",
		"resource":      "", // it is known
		"":              "",
	} {
		if got := suggest.Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
