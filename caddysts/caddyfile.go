package caddysts

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

const directive = "uma_sts"

// read reads one line and, if it has one, its block.
type read = func(*caddyfile.Dispenser) error

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	uma_sts [<matcher>] <issuer> {
//		email_domain <domains...>
//		upstream <op_issuer> [keycloak|entra|google|generic] {
//			…
//		}
//		wrap [<op_issuer>] [keycloak|entra|google|generic] {
//			…
//		}
//		merge_jwks
//		provider {
//			user <email> <password_hash> {
//				sub <text>
//				<claim> <values...>
//			}
//			users            <file>
//			consent
//			device_flow      off
//			session_lifetime <duration>
//		}
//		client <client_id> [public|<client_secret>] {
//			client_secret   <secret...>
//			jwks_uri        <uri>
//			jwks_file       <file>
//			tls_client_auth <subject_dn>
//			self_signed_tls_client_auth
//			redirect_uri    <uris...>
//			post_logout_redirect_uri <uris...>
//			first_party
//			target          <uri_prefix|name...>
//			dpop_bound
//			may_act
//			disabled
//		}
//		target <uri_prefix|name|*...> {
//			release <claims...>
//			when    <CEL>
//			consent
//			require dpop
//		}
//		deny_target <uri_prefix|name...>
//		release     <claims...>
//		lifetime    claims_token|access_token|refresh_token <duration>
//		rate_limit  exchange|login <n> <window>|off
//		leeway      <duration>
//		cors        off
//	}
//
// Claims of OpenID Connect are strings, all others arrays.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.Unmarshal(d, "") }

// Unmarshal reads the directive; eaten is what was read as a matcher.
func (h *Handler) Unmarshal(d *caddyfile.Dispenser, eaten string) (err error) {
	d.Next() // the directive
	first := *d
	if h.Issuer, err = syntax.Issuer(d, directive, "STS", eaten); err != nil {
		return err
	}
	if err := h.words().Read(d); err != nil {
		return err
	}
	if err := h.check(); err != nil { // what only the whole block can show
		return first.Errf("%s: %w", directive, err)
	}
	return nil
}

func (h *Handler) words() syntax.Words {
	return syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"email_domain": syntax.List(&h.EmailDomains),
			"upstream":     h.placement("upstream", h.parseUpstream),
			"wrap":         h.placement("wrap", h.parseWrap),
			"merge_jwks":   syntax.Flag(&h.MergeJWKS),
			"provider":     h.placement("provider", h.parseProvider),
			"client":       h.parseClient,
			"target":       h.parseTarget,
			"deny_target":  targets(&h.DenyTargets, false),
			"release":      releases(&h.Releases),
			"lifetime":     h.parseLifetime,
			"rate_limit":   h.parseRateLimit,
			"leeway":       syntax.Duration(directive, &h.Leeway),
			"cors":         syntax.Off(directive, &h.NoCORS),
		},
		Order: []string{
			"email_domain", "upstream", "wrap", "merge_jwks", "provider", "client", "target", "deny_target", "release",
			"lifetime", "rate_limit", "leeway", "cors",
		},
	}
}

func (h *Handler) parseLifetime(d *caddyfile.Dispenser) error {
	return oneOf(d, map[string]read{
		"claims_token": func(d *caddyfile.Dispenser) error {
			if err := syntax.Duration(directive, &h.Lifetime.ClaimsToken)(d); err != nil {
				return err
			}
			if h.Lifetime.ClaimsToken > caddy.Duration(sts.MaxClaimsLifetime) {
				return d.Errf("%s: claims_token lifetime is at most 5m", directive)
			}
			return nil
		},
		"access_token":  syntax.Duration(directive, &h.Lifetime.AccessToken),
		"refresh_token": syntax.Duration(directive, &h.Lifetime.RefreshToken),
	}, "claims_token", "access_token", "refresh_token")
}

func (h *Handler) parseRateLimit(d *caddyfile.Dispenser) error {
	return oneOf(d, map[string]read{
		"exchange": syntax.Rate(directive, &h.RateLimit.Exchange),
		"login":    syntax.Rate(directive, &h.RateLimit.Login),
	}, "exchange", "login")
}

// oneOf reads a line whose second word says what it is about.
func oneOf(d *caddyfile.Dispenser, known map[string]read, order ...string) error {
	line := d.Val()
	if !d.NextArg() {
		return d.ArgErr()
	}
	if read, ok := known[d.Val()]; ok {
		return read(d)
	}
	return syntax.Unknown(d, directive+" "+line, order...)
}

// targets reads names of targets; star: whether * is one.
func targets(to *[]string, star bool) read {
	return func(d *caddyfile.Dispenser) error {
		before := len(*to)
		if err := syntax.List(to)(d); err != nil {
			return err
		}
		for _, text := range (*to)[before:] {
			if err := sts.CheckTarget(text, star); err != nil {
				return d.Errf("%s: %w", directive, err)
			}
		}
		return nil
	}
}

// releases reads names of claims.
func releases(to *[]string) read {
	return func(d *caddyfile.Dispenser) error {
		if err := syntax.List(to)(d); err != nil {
			return err
		}
		if err := sts.CheckRelease(*to); err != nil {
			return d.Errf("%s: %w", directive, err)
		}
		return nil
	}
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
