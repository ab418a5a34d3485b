package caddyuma

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// guests is the namespace of the modules that may decide.
const guests = "uma.policies"

var errNoInitialAccessToken = errors.New("registration needs an initial access token, such as {env.REGISTRATION_TOKEN}: it is never open to everybody")

func errNoPolicy(mod any) error {
	return fmt.Errorf("%T is no policy: it must have the method Evaluate of caddyuma/policy.Policy", mod)
}

// check finds mistakes without looking at the environment, so that it can run
// while a Caddyfile is adapted. Placeholders are not expanded, files not read.
func (h *Handler) check() error {
	if h.Discover != "" && h.Discover != "any" {
		return errors.New("discover must be 'any' or left out")
	}
	if err := h.checkRates(); err != nil {
		return err
	}
	for _, e := range h.EmailDomains {
		if err := e.check(); err != nil {
			return e.at.wrap(err)
		}
	}
	cfg, err := h.settings(umaapp.Lookup{Secret: h.literal, Keys: umaapp.AnyJWKS})
	if err != nil {
		return err
	}
	return h.locate(cfg.Check())
}

// checkRates: without a number and a window there would be no limit.
func (h *Handler) checkRates() error {
	for _, r := range []struct {
		word  string
		limit *syntax.RateLimit
	}{
		{"token", h.RateLimit.Token},
		{"ticket", h.RateLimit.Ticket},
		{"registration", h.RateLimit.Registration},
	} {
		if l := r.limit; l != nil && !l.Off && (l.Limit < 1 || l.Window <= 0) {
			return fmt.Errorf("rate_limit %s needs a number and a window, or 'off'", r.word)
		}
	}
	return nil
}

// literal checks a secret that stands in the configuration itself.
func (h *Handler) literal(field, text string) (string, error) {
	if strings.HasPrefix(text, "{") {
		return text, nil
	}
	return syntax.Secret(directive, field, text, h.Issuer)
}

// locate puts the line of a setting behind what the engine says of it.
func (h *Handler) locate(err error) error {
	e, ok := errors.AsType[*uma.SettingError](err)
	if !ok {
		return err
	}
	if at := h.position(e); at.line != nil {
		return at.wrap(e)
	}
	return err
}

// position is where a setting was written; of two with one name the second.
func (h *Handler) position(e *uma.SettingError) (at position) {
	for _, rs := range h.ResourceServers {
		if e.Kind == uma.KindResourceServer && e.Name == rs.ClientID {
			at = rs.at
		}
	}
	for _, c := range h.Clients {
		if e.Kind == uma.KindClient && e.Name == c.ClientID {
			at = c.at
		}
	}
	for _, p := range h.Policies {
		if e.Kind == uma.KindPolicy && e.Name == p.Name {
			at = p.at
		}
	}
	return at
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
