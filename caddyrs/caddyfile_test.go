package caddyrs

import (
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-uma/caddy-uma/internal/golden"
)

// TestCaddyfile adapts testdata: every word, and every mistake with its text.
func TestCaddyfile(t *testing.T) { golden.Run(t) }
