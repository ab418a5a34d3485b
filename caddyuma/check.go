package caddyuma

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/suggest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// secretFunc expands the secret of a client.
type secretFunc func(field, text string) (string, error)

// check finds mistakes without looking at the environment, so that it can run
// while a Caddyfile is adapted. Placeholders are not expanded.
func (h *Handler) check() error {
	if h.Discover != "" && h.Discover != "any" {
		return errors.New("discover must be 'any' or left out")
	}
	for _, e := range h.EmailDomains {
		if err := e.check(); err != nil {
			return e.at.wrap(err)
		}
	}
	cfg, err := h.settings(func(_, text string) (string, error) { return text, nil })
	if err != nil {
		return err
	}
	return cfg.Check()
}

// settings are those of the engine that a Caddyfile can state.
func (h *Handler) settings(secret secretFunc) (uma.Config, error) {
	cfg := uma.Config{
		Issuer: h.Issuer, EmailClaim: h.EmailClaim, NoPushedClaims: h.NoPushedClaims,
		DiscoverAny: h.Discover == "any", PartialGrant: h.PartialGrant, Rounds: h.NeedInfoRounds,
		NoCORS: h.NoCORS, Terms: h.Terms,
	}
	for _, rs := range h.ResourceServers {
		server, err := rs.settings(secret)
		if err != nil {
			return cfg, err
		}
		cfg.ResourceServers = append(cfg.ResourceServers, server)
	}
	for _, c := range h.clients() {
		client, err := c.settings(secret)
		if err != nil {
			return cfg, err
		}
		cfg.Clients = append(cfg.Clients, client)
	}
	for _, p := range h.Policies {
		rule, err := p.settings(h.ResourceServers)
		if err != nil {
			return cfg, p.at.wrap(fmt.Errorf("policy '%s': %w", p.Name, err))
		}
		cfg.Policies = append(cfg.Policies, rule)
	}
	return cfg, nil
}

func (rs ResourceServer) settings(secret secretFunc) (uma.ResourceServer, error) {
	hashes, err := hashSecrets("client_secret of "+rs.ClientID, rs.ClientSecrets, secret)
	if rs.Local && len(rs.ClientSecrets) > 0 {
		err = fmt.Errorf("resource_server '%s' is local and has a secret: remove one of them", rs.ClientID)
	}
	return uma.ResourceServer{
		ID: rs.ClientID, URI: rs.ResourceURI, Audience: rs.Audience, Owner: rs.Owner, Credentials: clientauth.Credentials{Secrets: hashes},
		Local: rs.Local, RequireASURI: rs.RequireASURI, Release: rs.Releases,
	}, err
}

func (c Client) settings(secret secretFunc) (clientauth.Client, error) {
	hashes, err := hashSecrets("client_secret of "+c.ClientID, c.ClientSecrets, secret)
	if c.Public && len(c.ClientSecrets) > 0 {
		err = fmt.Errorf("client '%s' is public and has a secret: remove one of them", c.ClientID)
	}
	return clientauth.Client{ID: c.ClientID, Public: c.Public, Credentials: clientauth.Credentials{Secrets: hashes}, Disabled: c.Disabled}, err
}

func hashSecrets(field string, secrets []string, expand secretFunc) ([][32]byte, error) {
	var hashes [][32]byte
	for _, text := range secrets {
		plain, err := expand(field, text)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, clientauth.HashSecret(plain))
	}
	return hashes, nil
}

func (p Policy) settings(servers []ResourceServer) (uma.Policy, error) {
	rule := uma.Policy{
		Name: p.Name, ResourceServers: p.ResourceServers, Resources: p.Resources, Types: p.Types,
		Scopes: p.Scopes, Clients: p.Clients, Deny: p.Deny,
		From: uma.From{Anyone: p.FromAnyone, Issuers: p.FromIssuers},
	}
	for _, text := range p.From {
		address, domain, err := parseFrom(text)
		if err != nil {
			return rule, err
		}
		if domain != "" {
			rule.From.Domains = append(rule.From.Domains, domain)
			continue
		}
		rule.From.Addresses = append(rule.From.Addresses, address)
	}
	if err := p.checkNames(servers); err != nil {
		return rule, err
	}
	when, err := p.condition()
	rule.When = when
	return rule, err
}

// checkNames says what is wrong with the names in a policy, better than the
// engine can.
func (p Policy) checkNames(servers []ResourceServer) error {
	var ids []string
	for _, rs := range servers {
		ids = append(ids, rs.ClientID)
	}
	for _, id := range p.ResourceServers {
		if !slices.Contains(ids, id) {
			hint := ""
			if near := suggest.Nearest(id, ids); near != "" {
				hint = fmt.Sprintf(", did you mean '%s'?", near)
			}
			return fmt.Errorf("no resource_server '%s'; declared: %s%s", id, strings.Join(ids, ", "), hint)
		}
	}
	if len(p.Resources)+len(p.Types) > 0 && len(p.ResourceServers) == 0 && len(ids) > 1 {
		return fmt.Errorf("%s is ambiguous, %d resource servers are declared: add a resource_server line", firstThing(p), len(ids))
	}
	for _, issuer := range p.FromIssuers {
		if _, err := oauth.ParseIssuer(issuer); err != nil {
			return fmt.Errorf("from issuer '%s' %w", issuer, err)
		}
	}
	return nil
}

func firstThing(p Policy) string {
	if len(p.Resources) > 0 {
		return fmt.Sprintf("resource %q", p.Resources[0])
	}
	return fmt.Sprintf("type %q", p.Types[0])
}

func (p Policy) condition() (policy.Policy, error) {
	if p.When == "" {
		return nil, nil
	}
	when, usesClaims, err := compile(p.When)
	if err != nil {
		return nil, err
	}
	if usesClaims && p.FromAnyone {
		return nil, errors.New("claims.* is what any stranger's provider says about him; name domains or addresses in 'from'")
	}
	return when, nil
}

// compile gives compile errors with their caret line.
func compile(expression string) (policy.Policy, bool, error) {
	when, usesClaims, err := cel.Compile(expression)
	var e *cel.Error
	if errors.As(err, &e) && e.Snippet != "" {
		err = fmt.Errorf("%w\n%s", err, e.Snippet)
	}
	return when, usesClaims, err
}

// parseFrom reads an address, a domain or *.domain.
func parseFrom(text string) (oauth.Address, string, error) {
	if host, found := strings.CutPrefix(text, "@"); found {
		return oauth.Address{}, "", fmt.Errorf("'%s' is neither an address nor a domain; write %s", text, host)
	}
	if strings.Contains(text, "@") {
		address, err := oauth.ParseAddress(text)
		if err != nil {
			return address, "", fmt.Errorf("'%s' is %w", text, err)
		}
		return address, "", nil
	}
	domain, err := parsePattern(text)
	if err != nil {
		return oauth.Address{}, "", fmt.Errorf("'%s' is neither an address nor a domain", text)
	}
	return oauth.Address{}, domain, nil
}

// parsePattern reads a domain or *.domain, in lower case.
func parsePattern(text string) (string, error) {
	rest, wild := strings.CutPrefix(text, "*.")
	domain, err := oauth.ParseDomain(rest)
	if err != nil || !wild {
		return domain, err
	}
	return "*." + domain, nil
}

func (e EmailDomain) check() error {
	for _, text := range e.Domains {
		if _, err := parsePattern(text); err != nil && text != "*" {
			return fmt.Errorf("email_domain '%s' is %w", text, err)
		}
	}
	if e.BaseURL == "" {
		switch {
		case e.NoWebFinger:
			return errors.New("email_domain: 'webfinger off' needs the URL of the issuer")
		case e.TrustPoolRaw != nil:
			return errors.New("email_domain: 'trust_pool' needs a URL; it counts for its host and port only")
		case len(e.AcceptTyps) > 0:
			return errors.New("email_domain: 'accept_typ' needs a URL")
		}
		return nil
	}
	if _, err := oauth.ParseIssuer(e.BaseURL); err != nil {
		return fmt.Errorf("email_domain: '%s' %w", e.BaseURL, err)
	}
	if e.Deny {
		return errors.New("email_domain: a URL and 'deny' do not go together")
	}
	return nil
}
