package caddyuma

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

func (h *Handler) parseResourceServer(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Errf("%s: write: resource_server <client_id> <resource_uri> [<client_secret>|local]", directive)
	}
	rs := ResourceServer{ClientID: args[0], ResourceURI: args[1], at: here(d)}
	if len(args) == 3 {
		credentials(args[2], "local", &rs.Local, &rs.ClientSecrets)
	}
	err := rs.Credentials.Words(syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"audience":       syntax.Text(directive, &rs.Audience),
			"owner":          syntax.Text(directive, &rs.Owner),
			"require_as_uri": syntax.Flag(&rs.RequireASURI),
			"release":        syntax.List(&rs.Releases),
			"rpt":            choice(&rs.RPT, rptJWT, rptOpaque),
			"require":        binding(&rs.Require),
		},
		Order: []string{"audience", "owner", "require_as_uri", "release", "rpt", "require"},
	}).Read(d)
	h.ResourceServers = append(h.ResourceServers, rs)
	return err
}

func (h *Handler) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("%s: write: client <client_id> [public|<client_secret>]", directive)
	}
	c := Client{ClientID: args[0], at: here(d)}
	if len(args) == 2 {
		credentials(args[1], "public", &c.Public, &c.ClientSecrets)
	}
	err := c.Credentials.Words(syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"scope":      syntax.List(&c.Scopes),
			"dpop_bound": syntax.Flag(&c.DPoPBound),
			"disabled":   syntax.Flag(&c.Disabled),
		},
		Order: []string{"scope", "dpop_bound", "disabled"},
		Later: []string{"claims_redirect_uri"},
	}).Read(d)
	h.Clients = append(h.Clients, c)
	return err
}

func (h *Handler) parsePolicy(d *caddyfile.Dispenser) error {
	p := Policy{at: here(d)}
	if err := syntax.Text(directive, &p.Name)(d); err != nil {
		return err
	}
	err := syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"resource_server": syntax.List(&p.ResourceServers),
			"resource":        syntax.List(&p.Resources),
			"type":            syntax.List(&p.Types),
			"scopes":          syntax.List(&p.Scopes),
			"from":            p.parseFrom,
			"client":          syntax.List(&p.Clients),
			"when":            p.parseWhen,
			"evaluate":        p.parseEvaluate,
			"required_claims": syntax.List(&p.RequiredClaims),
			"require":         binding(&p.Require),
			"accept_pct":      syntax.Flag(&p.AcceptPCT),
			"deny":            syntax.Flag(&p.Deny),
			"shadow":          syntax.Flag(&p.Shadow),
		},
		Order: []string{
			"resource_server", "resource", "type", "scopes", "from", "client", "when", "evaluate",
			"required_claims", "require", "accept_pct", "deny", "shadow",
		},
	}.Read(d)
	if err == nil && len(p.From)+len(p.FromIssuers) == 0 && !p.FromAnyone {
		err = p.at.wrap(fmt.Errorf("policy '%s' has no condition and would let in anybody with an e-mail address: add 'from bob.example' (or 'from anyone' if that is meant)", p.Name))
	}
	h.Policies = append(h.Policies, p)
	return err
}

func (p *Policy) parseFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return d.ArgErr()
	case args[0] == "anyone" && len(args) == 1:
		p.FromAnyone = true
		return nil
	case args[0] == "issuer" && len(args) > 1:
		p.FromIssuers = append(p.FromIssuers, args[1:]...)
		return nil
	}
	for _, text := range args {
		if _, _, err := parseFrom(text); err != nil {
			return d.Errf("policy '%s': %w", p.Name, err)
		}
	}
	p.From = append(p.From, args...)
	return nil
}

// parseWhen reads the condition and compiles it at once.
func (p *Policy) parseWhen(d *caddyfile.Dispenser) error {
	return syntax.When(d, fmt.Sprintf("policy '%s'", p.Name), &p.When, func(text string) error {
		_, _, err := cel.Compile(text)
		return err
	})
}

func (h *Handler) parseEmailDomain(d *caddyfile.Dispenser) error {
	e := EmailDomain{at: here(d)}
	for _, arg := range d.RemainingArgs() {
		switch {
		case arg == "deny":
			e.Deny = true
		case strings.Contains(arg, "://") && e.BaseURL != "":
			return d.Errf("%s: email_domain has two URLs", directive)
		case strings.Contains(arg, "://"):
			e.BaseURL = arg
		default:
			e.Domains = append(e.Domains, arg)
		}
	}
	if len(e.Domains) == 0 {
		return d.Errf("%s: write: email_domain <domain|*.domain|*...> [<base_url>|deny]", directive)
	}
	err := syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"webfinger":             syntax.Off(directive, &e.NoWebFinger),
			"trust_pool":            e.parseTrustPool,
			"same_domain":           syntax.Flag(&e.SameDomain),
			"assume_email_verified": syntax.Flag(&e.AssumeEmailVerified),
			"accept_typ":            syntax.List(&e.AcceptTyps),
			"deny":                  syntax.Flag(&e.Deny),
		},
		Order: []string{"webfinger", "trust_pool", "same_domain", "assume_email_verified", "accept_typ", "deny"},
	}.Read(d)
	h.EmailDomains = append(h.EmailDomains, e)
	return err
}

func (e *EmailDomain) parseTrustPool(d *caddyfile.Dispenser) error {
	if e.TrustPoolRaw != nil {
		return d.Errf("%s: trust_pool is set twice", directive)
	}
	raw, err := umaapp.ParseTrustPool(d)
	e.TrustPoolRaw = raw
	return err
}
