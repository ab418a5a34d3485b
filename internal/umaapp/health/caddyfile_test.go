package health_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/golden"
	_ "github.com/caddy-uma/caddy-uma/internal/umaapp"
)

func TestCaddyfiles(t *testing.T) { golden.Run(t) }
