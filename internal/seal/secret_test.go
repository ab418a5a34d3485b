package seal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// UG-64: what is kept under a secret is readable with that secret and for that
// purpose alone.
func TestFromSecret(t *testing.T) {
	secret := strings.Repeat("s", 43)
	box := func(secret, purpose string) *seal.Box {
		t.Helper()
		keys, err := seal.FromSecret(secret, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return seal.NewBox(keys)
	}
	text, err := box(secret, "process").Seal(t.Context(), []byte("bob@bob.example"), "process", "id")
	if err != nil || strings.Contains(text, "bob") {
		t.Fatalf("Seal = %q, %v", text, err)
	}
	for _, tc := range []struct{ name, secret, purpose, data string }{
		{"the same", secret, "process", "id"},
		{"another secret", secret[1:] + "t", "process", "id"},
		{"another purpose", secret, "pct", "id"},
		{"other data", secret, "process", "ie"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plain, err := box(tc.secret, tc.purpose).Open(t.Context(), text, "process", tc.data)
			if tc.name == "the same" {
				if err != nil || string(plain) != "bob@bob.example" {
					t.Errorf("Open = %q, %v", plain, err)
				}
				return
			}
			if !errors.Is(err, seal.ErrOpen) {
				t.Errorf("Open = %q, %v, want ErrOpen", plain, err)
			}
		})
	}
}
