package caddyuma

import (
	"errors"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

type read = func(*caddyfile.Dispenser) error

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	uma_server [<matcher>] <issuer> {
//		resource_server <client_id> <resource_uri> [<client_secret>|local] {
//			audience        <name>
//			client_secret   <secret...>
//			jwks_uri        <uri>
//			jwks_file       <file>
//			tls_client_auth <subject_dn>
//			self_signed_tls_client_auth
//			owner           <id>|*
//			require_as_uri
//			release         <claims...>
//			rpt             jwt|opaque
//			require         dpop|mtls
//		}
//		client <client_id> [public|<client_secret>] {
//			client_secret   <secret...>
//			jwks_uri        <uri>
//			jwks_file       <file>
//			tls_client_auth <subject_dn>
//			self_signed_tls_client_auth
//			scope           <scopes...>
//			dpop_bound
//			disabled
//		}
//		client_metadata_documents [<domains...>]
//		registration <initial_access_token...>
//		policy <name> {
//			resource_server <client_ids...>
//			resource        <names...>
//			type            <uris...>
//			scopes          <scopes...>
//			from            <address|domain|*.domain...>
//			from            issuer <url...>
//			from            anyone
//			client          <client_ids...>
//			when            <CEL>
//			evaluate        <module> ...
//			required_claims <names...>
//			require         dpop|mtls
//			accept_pct
//			deny
//			shadow
//		}
//		email_domain <domain|*.domain|*...> [<base_url>|deny] {
//			webfinger  off
//			trust_pool <module> ...
//			same_domain
//			assume_email_verified
//			accept_typ <typ...>
//			deny
//		}
//		discovery_domain_document off
//		continuity       deny|warn|off
//		discover         any
//		email_claim      <name>
//		pushed_claims    off
//		partial_grant
//		need_info_rounds <n>
//		refresh_tokens   [<max_lifetime>]
//		pct              [<lifetime>]
//		lifetime         ticket|rpt|pat <duration>
//		replay_grace     <duration>
//		dpop_nonces
//		leeway           <duration>
//		rate_limit       token|ticket|registration <n> <window>|off
//		cors             off
//		terms            <uri>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return h.Unmarshal(d, "") }

// Unmarshal is UnmarshalCaddyfile with what was read as a matcher.
func (h *Handler) Unmarshal(d *caddyfile.Dispenser, eaten string) error {
	d.Next() // the directive
	first := *d
	issuer, err := syntax.Issuer(d, directive, "UMA server", eaten)
	if err != nil {
		return err
	}
	h.Issuer = issuer
	if err := h.words().Read(d); err != nil {
		return err
	}
	err = h.check() // what only the whole block can show
	if withLine, ok := errors.AsType[located](err); ok {
		return withLine.error
	}
	if err != nil {
		return first.WrapErr(named(err))
	}
	return nil
}

func (h *Handler) words() syntax.Words {
	return syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"resource_server":           h.parseResourceServer,
			"client":                    h.parseClient,
			"client_metadata_documents": h.parseDocuments,
			"registration":              h.parseRegistration,
			"policy":                    h.parsePolicy,
			"email_domain":              h.parseEmailDomain,
			"discovery_domain_document": syntax.Off(directive, &h.NoDomainDocument),
			"continuity":                choice(&h.Continuity, "deny", "warn", "off"),
			"discover":                  h.parseDiscover,
			"email_claim":               syntax.Text(directive, &h.EmailClaim),
			"pushed_claims":             syntax.Off(directive, &h.NoPushedClaims),
			"partial_grant":             syntax.Flag(&h.PartialGrant),
			"need_info_rounds":          h.parseRounds,
			"refresh_tokens":            durationOr(&h.RefreshTokens, refreshLifetime),
			"pct":                       durationOr(&h.PCT, pctLifetime),
			"lifetime":                  h.parseLifetime,
			"replay_grace":              syntax.Duration(directive, &h.ReplayGrace),
			"dpop_nonces":               syntax.Flag(&h.DPoPNonces),
			"leeway":                    syntax.Duration(directive, &h.Leeway),
			"rate_limit":                h.parseRateLimit,
			"cors":                      syntax.Off(directive, &h.NoCORS),
			"terms":                     syntax.Text(directive, &h.Terms),
		},
		Order: []string{
			"resource_server", "client", "client_metadata_documents", "registration", "policy", "email_domain",
			"discovery_domain_document", "continuity", "discover", "email_claim", "pushed_claims", "partial_grant",
			"need_info_rounds", "refresh_tokens", "pct", "lifetime", "replay_grace", "dpop_nonces", "leeway",
			"rate_limit", "cors", "terms",
		},
	}
}

func (h *Handler) parseDiscover(d *caddyfile.Dispenser) error {
	if args := d.RemainingArgs(); len(args) != 1 || args[0] != "any" {
		return d.Errf("%s: write 'discover any' or leave the line out", directive)
	}
	h.Discover = "any"
	return nil
}

func (h *Handler) parseRounds(d *caddyfile.Dispenser) error {
	text := ""
	if err := syntax.Text(directive, &text)(d); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 100 || h.NeedInfoRounds != 0 {
		return d.Errf("%s: need_info_rounds takes one number from 1 to 100, once", directive)
	}
	h.NeedInfoRounds = n
	return nil
}

func (h *Handler) parseLifetime(d *caddyfile.Dispenser) error {
	return oneOf(d, "lifetime", map[string]read{
		"ticket": syntax.Duration(directive, &h.Lifetime.Ticket),
		"rpt":    syntax.Duration(directive, &h.Lifetime.RPT),
		"pat":    syntax.Duration(directive, &h.Lifetime.PAT),
	}, "ticket", "rpt", "pat")
}

func (h *Handler) parseRateLimit(d *caddyfile.Dispenser) error {
	return oneOf(d, "rate_limit", map[string]read{
		"token":        syntax.Rate(directive, &h.RateLimit.Token),
		"ticket":       syntax.Rate(directive, &h.RateLimit.Ticket),
		"registration": syntax.Rate(directive, &h.RateLimit.Registration),
	}, "token", "ticket", "registration")
}

// oneOf reads a line whose first argument says what the rest is.
func oneOf(d *caddyfile.Dispenser, word string, known map[string]read, order ...string) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	if parse, ok := known[d.Val()]; ok {
		return parse(d)
	}
	return syntax.Unknown(d, directive+" "+word, order...)
}

// credentials reads the last argument of a client or resource_server line.
func credentials(arg string, public string, flag *bool, secrets *[]string) {
	if arg == public {
		*flag = true
		return
	}
	*secrets = append(*secrets, arg)
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
