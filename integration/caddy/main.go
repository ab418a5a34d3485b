// Command caddy is a ready-made Caddy with all of caddy-uma in it. It is what
// `go run ./integration/caddy run --config Caddyfile.example` starts, and it is
// the same program that `xcaddy build --with` makes.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-uma/caddy-uma"
)

func main() { caddycmd.Main() }
