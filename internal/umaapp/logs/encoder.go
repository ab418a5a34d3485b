// Package logs has the log encoders uma_filter, which takes credentials out of the lines
// of other encoders, and uma_chain, which links them, and the warning about logs that
// would show credentials.
package logs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// wrappedEncoder loads the encoder below one of ours; raw is its field WrappedRaw.
func wrappedEncoder(ctx caddy.Context, outer any, raw json.RawMessage) (zapcore.Encoder, error) {
	if raw == nil {
		inner := new(logging.JSONEncoder)
		return inner, inner.Provision(ctx)
	}
	mod, err := ctx.LoadModule(outer, "WrappedRaw")
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	inner, ok := mod.(zapcore.Encoder)
	if !ok {
		return nil, fmt.Errorf("wrap: %T is no log encoder", mod)
	}
	return inner, nil
}

// parseEncoder reads the lines of an encoder that wraps another one:
//
//	<name> [<encoder>] {
//		wrap <encoder> ...
//		...
//	}
//
// A block belongs to the outer encoder; who has something to say about the inner
// one writes `wrap`.
func parseEncoder(d *caddyfile.Dispenser, wrap *json.RawMessage, words map[string]func(*caddyfile.Dispenser) error) error {
	d.Next()
	name := d.Val()
	if d.NextArg() {
		inner := d.Val()
		if _, err := caddy.GetModule(encoders + inner); err != nil {
			return d.Errf("%s: there is no log encoder '%s'; write: format %s json", name, inner, name)
		}
		*wrap = caddyconfig.JSON(map[string]string{"format": inner}, nil)
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return syntax.Words{Directive: name, Known: words, Order: slices.Sorted(maps.Keys(words))}.Read(d)
}

const encoders = "caddy.logging.encoders."

// wrapping reads the line `wrap`.
func wrapping(directive string, wrap *json.RawMessage) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error { return parseWrap(d, directive, wrap) }
}

func parseWrap(d *caddyfile.Dispenser, directive string, wrap *json.RawMessage) error {
	if *wrap != nil {
		return d.Errf("%s: wrap is set twice", directive)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	inner := d.Val()
	mod, err := caddyfile.UnmarshalModule(d, encoders+inner)
	if err != nil {
		return err
	}
	if _, ok := mod.(zapcore.Encoder); !ok {
		return d.Errf("%s: %s is no log encoder", directive, inner)
	}
	*wrap = caddyconfig.JSONModuleObject(mod, "format", inner, nil)
	return nil
}
