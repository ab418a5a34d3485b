package syntax

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/suggest"
)

// Unknown is the error for an unknown subdirective, which is the current token:
//
//	uma_protect: unknown subdirective 'resorce', did you mean 'resource'?, at Caddyfile:12
func Unknown(d *caddyfile.Dispenser, directive string, known ...string) error {
	word := d.Val()
	if near := suggest.Nearest(word, known); near != "" {
		return d.Errf("%s: unknown subdirective '%s', did you mean '%s'?", directive, word, near)
	}
	return d.Errf("%s: unknown subdirective '%s'; known: %s", directive, word, strings.Join(known, ", "))
}

// NotYet is the error for a word of the grammar that this version does not have,
// which is the current token:
//
//	uma: 'network_proxy' is not supported yet, at Caddyfile:4
func NotYet(d *caddyfile.Dispenser, directive string) error {
	return d.WrapErr(notYet(directive, d.Val()))
}

func notYet(directive, word string) error {
	return fmt.Errorf("%s: '%s' is not supported yet", directive, word)
}
