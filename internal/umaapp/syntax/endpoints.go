package syntax

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Handler is a module that a directive sets up.
type Handler interface {
	caddyhttp.MiddlewareHandler
	// Unmarshal reads the directive; eaten is what was read as a matcher.
	Unmarshal(d *caddyfile.Dispenser, eaten string) error
}

// RegisterEndpoints registers a directive whose handler serves endpoints, before
// basic_auth: neither a catch-all nor the protection of the same site may
// swallow the token endpoint. It does what RegisterHandlerDirective does, but
// remembers what was read as a matcher, for the error message.
func RegisterEndpoints[T Handler](directive string, create func() T) {
	httpcaddyfile.RegisterDirective(directive, func(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
		if !h.Next() {
			return nil, h.ArgErr()
		}
		eaten := ""
		if peek := *h.Dispenser; peek.NextArg() {
			eaten = peek.Val()
		}
		matchers, err := h.ExtractMatcherSet()
		if err != nil {
			return nil, err
		}
		if matchers == nil {
			eaten = ""
		}
		m := create()
		if err := m.Unmarshal(h.Dispenser, eaten); err != nil {
			return nil, err
		}
		return h.NewRoute(matchers, m), nil
	})
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "basic_auth")
}

// Issuer reads the rest of the line of a directive: its issuer and nothing else.
// role is what the issuer is of, such as `UMA server`.
func Issuer(d *caddyfile.Dispenser, directive, role, eaten string) (string, error) {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0 && eaten != "":
		return "", d.Errf("%s: the issuer of the %s is missing ('%s' was read as a request matcher); write: %s %s https://as.example.com", directive, role, eaten, directive, eaten)
	case len(args) == 0:
		return "", d.Errf("%s: the issuer of the %s is missing; write: %s https://as.example.com", directive, role, directive)
	case len(args) > 1:
		return "", d.Errf("%s: only the issuer stands on this line, '%s' is too much", directive, args[1])
	}
	if _, err := oauth.ParseIssuer(args[0]); err != nil {
		return "", d.Errf("%s: issuer '%s' %w", directive, args[0], err)
	}
	return args[0], nil
}
