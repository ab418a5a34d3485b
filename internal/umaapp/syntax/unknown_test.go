package syntax_test

import (
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

func TestUnknown(t *testing.T) {
	d := caddyfile.NewTestDispenser("resorce x")
	d.Next()
	err := syntax.Unknown(d, "uma_protect", "client_id", "resource", "scope")
	const want = "uma_protect: unknown subdirective 'resorce', did you mean 'resource'?, at Testfile:1"
	if err.Error() != want {
		t.Errorf("Unknown = %q, want %q", err, want)
	}
}
