package health_test

import (
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth" // basic_auth, whose order is compared

	"github.com/caddy-uma/caddy-uma/internal/golden"
	_ "github.com/caddy-uma/caddy-uma/internal/umaapp"
)

func TestCaddyfiles(t *testing.T) { golden.Run(t) }
