package caddyuma_test

import (
	"testing"

	_ "github.com/caddy-uma/caddy-uma/caddyuma"
	"github.com/caddy-uma/caddy-uma/internal/golden"
)

func TestCaddyfile(t *testing.T) { golden.Run(t) }
