package caddysts

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

const directive = "uma_sts"

// registerDirective puts uma_sts before basic_auth: neither a catch-all nor the
// protection of the same site may swallow the token endpoint.
func registerDirective() {
	httpcaddyfile.RegisterDirective(directive, parseDirective)
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "basic_auth")
}

// parseDirective is what RegisterHandlerDirective does, but it remembers what
// was read as a matcher, for the error message.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
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
	handler := new(Handler)
	if err := handler.unmarshal(h.Dispenser, eaten); err != nil {
		return nil, err
	}
	return h.NewRoute(matchers, handler), nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	uma_sts [<matcher>] <issuer> {
//		email_domain <domains...>
//		provider {
//			user <email> <password_hash> {
//				<claim> <values...>
//			}
//			session_lifetime <duration>
//		}
//		client <client_id> [public|<client_secret>] {
//			client_secret <secret...>
//			redirect_uri  <uris...>
//			first_party
//			target        <uri_prefix|name...>
//			disabled
//		}
//		target <uri_prefix|name|*...> {
//			release <claims...>
//		}
//		deny_target <uri_prefix|name...>
//		release     <claims...>
//		lifetime    claims_token|access_token <duration>
//		rate_limit  exchange|login <n> <window>|off
//		leeway      <duration>
//		cors        off
//	}
//
// Claims of OpenID Connect are strings, all others arrays.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.unmarshal(d, "") }

func (h *Handler) unmarshal(d *caddyfile.Dispenser, eaten string) error {
	d.Next() // the directive
	first := *d
	if err := h.parseIssuer(d, eaten); err != nil {
		return err
	}
	for d.NextBlock(0) {
		if err := h.parseLine(d); err != nil {
			return err
		}
	}
	if err := h.check(); err != nil { // what only the whole block can show
		return first.Errf("uma_sts: %w", err)
	}
	return nil
}

func (h *Handler) parseIssuer(d *caddyfile.Dispenser, eaten string) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0 && eaten != "":
		return d.Errf("uma_sts: the issuer of the STS is missing ('%s' was read as a request matcher); write: uma_sts %s https://sts.example.com", eaten, eaten)
	case len(args) == 0:
		return d.Errf("uma_sts: the issuer of the STS is missing; write: uma_sts https://sts.example.com")
	case len(args) > 1:
		return d.Errf("uma_sts: only the issuer stands on this line, '%s' is too much", args[1])
	}
	h.Issuer = args[0]
	if _, err := oauth.ParseIssuer(h.Issuer); err != nil {
		return d.Errf("uma_sts: issuer '%s' %w", h.Issuer, err)
	}
	return nil
}

// Words of the block, and those of later versions.
var (
	words      = []string{"email_domain", "provider", "client", "target", "deny_target", "release", "lifetime", "rate_limit", "leeway", "cors"}
	laterWords = []string{"upstream", "wrap", "merge_jwks"}
)

func (h *Handler) parseLine(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "email_domain":
		return list(d, &h.EmailDomains)
	case "provider":
		return h.parseProvider(d)
	case "client":
		return h.parseClient(d)
	case "target":
		return h.parseTarget(d)
	case "deny_target":
		return targets(d, &h.DenyTargets, false)
	case "release":
		return releases(d, &h.Releases)
	case "lifetime":
		return h.parseLifetime(d)
	case "rate_limit":
		return h.parseRateLimit(d)
	case "leeway":
		return duration(d, "leeway", &h.Leeway)
	case "cors":
		return h.parseCORS(d)
	}
	return unknown(d, words, laterWords)
}

// unknown is the error for a word that is not in known.
func unknown(d *caddyfile.Dispenser, known, later []string) error {
	for _, word := range later {
		if d.Val() == word {
			return umaapp.NotYet(d, directive)
		}
	}
	return umaapp.Unknown(d, directive, known...)
}

func (h *Handler) parseLifetime(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	switch d.Val() {
	case "claims_token":
		if err := duration(d, "lifetime claims_token", &h.Lifetime.ClaimsToken); err != nil {
			return err
		}
		if h.Lifetime.ClaimsToken > caddy.Duration(sts.MaxClaimsLifetime) {
			return d.Errf("uma_sts: claims_token lifetime is at most 5m")
		}
		return nil
	case "access_token":
		return duration(d, "lifetime access_token", &h.Lifetime.AccessToken)
	}
	return umaapp.Unknown(d, "uma_sts lifetime", "claims_token", "access_token")
}

func (h *Handler) parseRateLimit(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	var field **RateLimit
	switch d.Val() {
	case "exchange":
		field = &h.RateLimit.Exchange
	case "login":
		field = &h.RateLimit.Login
	default:
		return umaapp.Unknown(d, "uma_sts rate_limit", "exchange", "login")
	}
	if *field != nil {
		return d.Errf("uma_sts: rate_limit %s is set twice", d.Val())
	}
	limit, err := rate(d)
	*field = limit
	return err
}

// rate reads `<n> <window>` or `off`.
func rate(d *caddyfile.Dispenser) (*RateLimit, error) {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		return &RateLimit{Off: true}, nil
	}
	if len(args) != 2 {
		return nil, d.ArgErr()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return nil, d.Errf("uma_sts: '%s' is not a number of requests", args[0])
	}
	window, err := caddy.ParseDuration(args[1])
	if err != nil || window <= 0 {
		return nil, d.Errf("uma_sts: '%s' is not a duration such as 1m", args[1])
	}
	return &RateLimit{Limit: n, Window: caddy.Duration(window)}, nil
}

func (h *Handler) parseCORS(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case h.CORS != "":
		return d.Errf("uma_sts: cors is set twice")
	case len(args) != 1 || args[0] != "off":
		return d.Errf("uma_sts: cors is on by default; write 'cors off' or leave the line out")
	}
	h.CORS = "off"
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
