package syntax_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

const (
	public = "https://as.alice.example"
	local  = "https://as.localhost:8443"
	long   = "0123456789abcdef0123456789abcdef"
)

func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(long+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("UMA_TEST_SECRET", long)
	t.Setenv("UMA_TEST_SHORT", "short")
	tests := []struct{ name, value, issuer, want string }{
		{"literal", long, public, long},
		{"environment", "{env.UMA_TEST_SECRET}", public, long},
		{"file", "{file." + file + "}", public, long},
		{"demo at localhost", "example-only-change-me-0000000000", local, "example-only-change-me-0000000000"},
		{"short at localhost", "{env.UMA_TEST_SHORT}", "https://localhost", "short"},
		{"braces inside", "a{b}c" + long, public, "a{b}c" + long},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := syntax.Secret("uma_protect", "client_secret", tt.value, tt.issuer)
			if err != nil || got != tt.want {
				t.Errorf("Secret = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestSecretRefused(t *testing.T) {
	t.Setenv("UMA_TEST_EMPTY", "")
	t.Setenv("UMA_TEST_SHORT", long[1:])
	tests := []struct{ name, value, issuer, want string }{
		{"empty", "", public, "uma_protect: client_secret is empty"},
		{"variable not set", "{env.UMA_TEST_NOT_SET}", public, "uma_protect: client_secret is empty: environment variable UMA_TEST_NOT_SET is not set"},
		{"variable empty", "{env.UMA_TEST_EMPTY}", public, "uma_protect: client_secret is empty: environment variable UMA_TEST_EMPTY is empty"},
		{"variable not set at localhost", "{env.UMA_TEST_NOT_SET}", local, "is not set"},
		{"no file", "{file./nowhere/secret}", public, "client_secret is empty: file /nowhere/secret is empty or cannot be read"},
		{"request placeholder", "{http.request.uri.path.file.secret}", public, "client_secret: '{file.secret}' is a request placeholder inside a site; use an absolute path: {file./path/to/secret}"},
		{"relative file", "{file.secret}", public, "client_secret: '{file.secret}' is a request placeholder"},
		{"other placeholder", "{http.request.header.X}", public, "client_secret: '{http.request.header.X}' cannot be used here"},
		{"placeholder in a text", "x{env.UMA_TEST_SHORT}", public, "a placeholder must be the whole value"},
		{"one character too short", "{env.UMA_TEST_SHORT}", public, "client_secret is shorter than 32 characters"},
		{"demo", "example-only-change-me-0000000000", public, "client_secret is the one of the example"},
		{"demo, host that only looks local", "example-only-change-me-0000000000", "https://localhost.example", "is the one of the example"},
		{"demo, user information", "example-only-change-me-0000000000", "https://localhost@as.example", "is the one of the example"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := syntax.Secret("uma_protect", "client_secret", tt.value, tt.issuer)
			if err == nil || got != "" {
				t.Fatalf("Secret = %q, %v, want an error", got, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), long[1:]) {
				t.Error("the error shows the secret")
			}
		})
	}
}
