package caddyuma

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// settings are those of the engine that a Caddyfile can state.
func (h *Handler) settings(from umaapp.Lookup) (uma.Config, error) {
	cfg := uma.Config{
		Issuer: h.Issuer, EmailClaim: h.EmailClaim, NoPushedClaims: h.NoPushedClaims,
		DiscoverAny: h.Discover == "any", PartialGrant: h.PartialGrant, Rounds: h.NeedInfoRounds,
		Continuity: uma.Continuity(h.Continuity), DPoPNonces: h.DPoPNonces,
		NoCORS: h.NoCORS, Terms: h.Terms,
	}
	h.fillTimes(&cfg)
	if err := h.fillClients(&cfg, from); err != nil {
		return cfg, err
	}
	for _, rs := range h.ResourceServers {
		server, err := rs.settings(from)
		if err != nil {
			return cfg, rs.at.wrap(err)
		}
		cfg.ResourceServers = append(cfg.ResourceServers, server)
	}
	for _, p := range h.Policies {
		rule, err := p.settings()
		if err != nil {
			return cfg, p.at.wrap(fmt.Errorf("policy '%s': %w", p.Name, err))
		}
		cfg.Policies = append(cfg.Policies, rule)
	}
	return cfg, nil
}

func (h *Handler) fillTimes(cfg *uma.Config) {
	cfg.TicketLifetime = or(h.Lifetime.Ticket, 5*time.Minute)
	cfg.RPTLifetime = or(h.Lifetime.RPT, 5*time.Minute)
	cfg.PATLifetime = or(h.Lifetime.PAT, time.Hour)
	cfg.RefreshLifetime = time.Duration(h.RefreshTokens)
	cfg.PCTLifetime = time.Duration(h.PCT)
	cfg.ReplayGrace = or(h.ReplayGrace, 10*time.Second)
	cfg.Leeway = or(h.Leeway, time.Minute)
}

func or(d caddy.Duration, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return time.Duration(d)
}

// fillClients: those that are written down, and how others may come.
func (h *Handler) fillClients(cfg *uma.Config, from umaapp.Lookup) error {
	for _, c := range h.clients() {
		client, err := c.settings(from)
		if err != nil {
			return c.at.wrap(err)
		}
		cfg.Clients = append(cfg.Clients, client)
	}
	if m := h.ClientMetadataDocuments; m != nil {
		cfg.ClientDocuments = new(uma.ClientDocuments)
		for _, text := range m.Domains {
			cfg.ClientDocuments.Domains = append(cfg.ClientDocuments.Domains, strings.ToLower(text))
		}
	}
	if r := h.Registration; r != nil {
		return r.at.wrap(r.fill(cfg, from))
	}
	return nil
}

func (r Registration) fill(cfg *uma.Config, from umaapp.Lookup) (err error) {
	if len(r.InitialAccessTokens) == 0 {
		return errNoInitialAccessToken
	}
	cfg.InitialAccessTokens, err = umaapp.HashSecrets("initial access token of registration", r.InitialAccessTokens, from)
	return err
}

func (rs ResourceServer) settings(from umaapp.Lookup) (uma.ResourceServer, error) {
	credentials, err := rs.Credentials.Settings("resource_server", rs.ClientID, from)
	switch {
	case rs.Local && len(rs.ClientSecrets) > 0:
		err = fmt.Errorf("resource_server '%s' is local and has a secret: remove one of them", rs.ClientID)
	case rs.Local && !rs.Credentials.Empty():
		err = fmt.Errorf("resource_server '%s' is local and has keys or a certificate: remove 'local' or these", rs.ClientID)
	case !slices.Contains([]string{"", rptJWT, rptOpaque}, rs.RPT):
		err = fmt.Errorf("resource_server '%s': rpt '%s' is unknown; write jwt or opaque", rs.ClientID, rs.RPT)
	}
	return uma.ResourceServer{
		ID: rs.ClientID, URI: rs.ResourceURI, Audience: rs.Audience, Owner: rs.Owner, Credentials: credentials,
		Local: rs.Local, RequireASURI: rs.RequireASURI, Release: rs.Releases,
		Opaque: rs.RPT == rptOpaque, Require: uma.Binding(rs.Require),
	}, err
}

func (c Client) settings(from umaapp.Lookup) (clientauth.Client, error) {
	credentials, err := c.Credentials.Settings("client", c.ClientID, from)
	if c.Public && len(c.ClientSecrets) > 0 { // before what is wrong with the secret
		err = fmt.Errorf("client '%s' is public and has a secret: remove one of them", c.ClientID)
	}
	return clientauth.Client{
		ID: c.ClientID, Public: c.Public, Credentials: credentials,
		Scopes: c.Scopes, DPoPBound: c.DPoPBound, Disabled: c.Disabled,
	}, err
}

func (p Policy) settings() (uma.Policy, error) {
	rule := uma.Policy{
		Name: p.Name, ResourceServers: p.ResourceServers, Resources: p.Resources, Types: p.Types,
		Scopes: p.Scopes, Clients: p.Clients, From: uma.From{Anyone: p.FromAnyone, Issuers: p.FromIssuers},
		RequiredClaims: p.RequiredClaims, Require: uma.Binding(p.Require), AcceptPCT: p.AcceptPCT,
		Deny: p.Deny, Shadow: p.Shadow,
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
	for _, issuer := range p.FromIssuers {
		if _, err := oauth.ParseIssuer(issuer); err != nil {
			return rule, fmt.Errorf("from issuer '%s' %w", issuer, err)
		}
	}
	when, err := p.condition()
	rule.When = when
	return rule, err
}

func (p Policy) condition() (policy.Policy, error) {
	if p.When == "" {
		return nil, nil
	}
	when, usesClaims, err := cel.Compile(p.When)
	if err != nil {
		return nil, syntax.Caret(err)
	}
	if usesClaims && p.FromAnyone {
		return nil, errors.New("claims.* is what any stranger's provider says about him; name domains or addresses in 'from'")
	}
	return when, nil
}
