package caddysts

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// check finds mistakes without looking at the environment, so that it can run
// while a Caddyfile is adapted. Placeholders are not expanded.
func (h *Handler) check() error {
	if _, err := oauth.ParseIssuer(h.Issuer); err != nil {
		return fmt.Errorf("issuer '%s' %w", h.Issuer, err)
	}
	if err := h.checkPlacement(); err != nil {
		return err
	}
	if err := h.checkScalars(); err != nil {
		return err
	}
	if err := h.checkConsent(); err != nil {
		return err
	}
	engine, err := h.settings(nothing())
	if err != nil {
		return err
	}
	if err := syntax.Caret(engine.Check()); err != nil {
		return err
	}
	return h.checkSource(engine.EmailDomains)
}

// checkPlacement wants exactly one answer to where users come from.
func (h *Handler) checkPlacement() error {
	placements := 0
	for _, there := range []bool{len(h.Upstreams) > 0, h.Wrap != nil, h.Provider != nil} {
		if there {
			placements++
		}
	}
	switch {
	case placements == 0:
		return errors.New("say where users come from: add upstream, wrap or provider")
	case placements > 1:
		return errors.New("choose one of upstream, wrap, provider")
	case h.MergeJWKS && h.Wrap == nil:
		return errMergeAlone
	}
	return nil
}

// checkSource checks what the placement alone has.
func (h *Handler) checkSource(domains []string) error {
	if h.Wrap != nil {
		return h.checkWrap(domains)
	}
	if len(h.Upstreams) > 0 {
		return h.checkUpstreams(h.Upstreams, domains)
	}
	return h.Provider.check(domains)
}

func (h *Handler) checkScalars() error {
	if h.Leeway < 0 || time.Duration(h.Leeway) > 5*time.Minute {
		return errors.New("leeway must be between 0 and 5m")
	}
	if d := h.Lifetime.AccessToken; d != 0 && (time.Duration(d) < time.Second || time.Duration(d) > 24*time.Hour) {
		return errors.New("access_token lifetime must be between 1s and 24h")
	}
	if d := h.Lifetime.RefreshToken; d != 0 && (time.Duration(d) < time.Second || time.Duration(d) > 366*24*time.Hour) {
		return errors.New("refresh_token lifetime must be between 1s and 366d")
	}
	for name, l := range map[string]*syntax.RateLimit{"exchange": h.RateLimit.Exchange, "login": h.RateLimit.Login} {
		if l != nil && !l.Off && (l.Limit < 1 || l.Window <= 0) {
			return fmt.Errorf("rate_limit %s needs a number and a window, or 'off'", name)
		}
	}
	return nil
}

// emailDomains are those of the configuration, or the host of the issuer.
func (h *Handler) emailDomains() ([]string, error) {
	if len(h.EmailDomains) > 0 {
		return h.EmailDomains, nil
	}
	u, err := oauth.ParseIssuer(h.Issuer)
	if err != nil {
		return nil, err
	}
	domain, err := oauth.ParseDomain(u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("email_domain is required: '%s' is no domain of e-mail addresses", u.Hostname())
	}
	return []string{domain}, nil
}

// settings are those of the engine that a Caddyfile can state.
func (h *Handler) settings(from umaapp.Lookup) (sts.Config, error) {
	domains, err := h.emailDomains()
	if err != nil {
		return sts.Config{}, err
	}
	cfg := sts.Config{
		Issuer: h.Issuer, EmailDomains: domains, DenyTargets: h.DenyTargets, Release: h.Releases,
		ClaimsLifetime: time.Duration(h.Lifetime.ClaimsToken), NoCORS: h.NoCORS,
		ConsentAll: h.Provider != nil && h.Provider.Consent,
	}
	for _, t := range h.Targets {
		target, err := t.settings()
		if err != nil {
			return sts.Config{}, err
		}
		cfg.Targets = append(cfg.Targets, target)
	}
	for _, c := range h.clients() {
		client, err := c.settings(from)
		if err != nil {
			return sts.Config{}, err
		}
		cfg.Clients = append(cfg.Clients, client)
	}
	return cfg, nil
}
