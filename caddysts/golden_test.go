package caddysts_test

import (
	"testing"

	_ "github.com/caddy-uma/caddy-uma/caddysts"
	"github.com/caddy-uma/caddy-uma/internal/golden"
)

// TestCaddyfile adapts testdata: every word, and every mistake with its text.
func TestCaddyfile(t *testing.T) { golden.Run(t) }
