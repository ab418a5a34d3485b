// Package uma plugs caddy-uma into Caddy: the UMA 2.0 authorization server
// (uma_server), the security token service (uma_sts), the protection of a
// resource server (uma_protect) and the command `caddy uma`.
//
// It holds nothing but the imports, so that `xcaddy build --with` needs one
// module path only. Whoever wants a single role imports its package instead.
package uma

import (
	_ "github.com/caddy-uma/caddy-uma/caddyrs"           // uma_protect
	_ "github.com/caddy-uma/caddy-uma/caddysts"          // uma_sts
	_ "github.com/caddy-uma/caddy-uma/caddyuma"          // uma_server
	_ "github.com/caddy-uma/caddy-uma/caddyuma/postgres" // store postgres
)
