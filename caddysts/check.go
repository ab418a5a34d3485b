package caddysts

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// check finds mistakes without looking at the environment, so that it can run
// while a Caddyfile is adapted. Placeholders are not expanded.
func (h *Handler) check() error {
	if _, err := oauth.ParseIssuer(h.Issuer); err != nil {
		return fmt.Errorf("issuer '%s' %w", h.Issuer, err)
	}
	if h.Provider == nil {
		return errors.New("say where users come from: add a 'provider' block")
	}
	if err := h.checkScalars(); err != nil {
		return err
	}
	for _, c := range h.clients() {
		if err := c.check(); err != nil {
			return err
		}
	}
	engine, err := h.settings(func(_, text string) (string, error) { return text, nil })
	if err != nil {
		return err
	}
	if err := engine.Check(); err != nil {
		return err
	}
	return h.checkUsers(engine.EmailDomains)
}

func (h *Handler) checkScalars() error {
	if h.Leeway < 0 || time.Duration(h.Leeway) > 5*time.Minute {
		return errors.New("leeway must be between 0 and 5m")
	}
	if d := h.Lifetime.AccessToken; d != 0 && (time.Duration(d) < time.Second || time.Duration(d) > 24*time.Hour) {
		return errors.New("access_token lifetime must be between 1s and 24h")
	}
	if d := h.Provider.SessionLifetime; d != 0 && time.Duration(d) < time.Second {
		return errors.New("session_lifetime must be at least 1s")
	}
	for name, l := range map[string]*umaapp.RateLimit{"exchange": h.RateLimit.Exchange, "login": h.RateLimit.Login} {
		if l != nil && !l.Off && (l.Limit < 1 || l.Window <= 0) {
			return fmt.Errorf("rate_limit %s needs a number and a window, or 'off'", name)
		}
	}
	return nil
}

func (c *Client) check() error {
	switch {
	case c.ClientID == "":
		return errors.New("a client has no client_id")
	case c.Public && len(c.ClientSecrets) > 0:
		return fmt.Errorf("client '%s' is public and has a secret: remove one of them", c.ClientID)
	case !c.Public && len(c.ClientSecrets) == 0:
		return fmt.Errorf("client '%s' has no credentials: add a secret, or write 'client %s public'", c.ClientID, c.ClientID)
	}
	return nil
}

func (h *Handler) checkUsers(domains []string) error {
	if len(h.Provider.Users) == 0 {
		return errors.New("provider has no user")
	}
	seen := make(map[string]bool)
	for _, u := range h.Provider.Users {
		if err := u.check(domains); err != nil {
			return err
		}
		if key := strings.ToLower(u.Email); seen[key] {
			return fmt.Errorf("user '%s' is declared twice", u.Email)
		} else {
			seen[key] = true
		}
	}
	return nil
}

func (u *User) check(domains []string) error {
	address, err := oauth.ParseAddress(u.Email)
	if err != nil {
		return fmt.Errorf("user '%s' is %w", u.Email, err)
	}
	known := false
	for _, d := range domains {
		known = known || strings.EqualFold(d, address.Domain)
	}
	if !known {
		return fmt.Errorf("user '%s': %s is not an email_domain of this server (%s)", u.Email, address.Domain, strings.Join(domains, ", "))
	}
	for name := range u.Claims {
		if name == "" || sts.Reserved(name) {
			return fmt.Errorf("user '%s': the claim '%s' is set by the server", u.Email, name)
		}
	}
	if isPlaceholder(u.PasswordHash) {
		return nil
	}
	return checkHash(u.Email, u.PasswordHash)
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

// settings are those of the engine. secret expands a placeholder.
func (h *Handler) settings(secret func(field, text string) (string, error)) (sts.Config, error) {
	domains, err := h.emailDomains()
	if err != nil {
		return sts.Config{}, err
	}
	cfg := sts.Config{
		Issuer: h.Issuer, EmailDomains: domains, DenyTargets: h.DenyTargets, Release: h.Releases,
		ClaimsLifetime: time.Duration(h.Lifetime.ClaimsToken), NoCORS: h.NoCORS,
	}
	for _, t := range h.Targets {
		cfg.Targets = append(cfg.Targets, sts.Target{Names: t.Names, Release: t.Releases})
	}
	for _, c := range h.clients() {
		hashes, err := c.hashes(secret)
		if err != nil {
			return sts.Config{}, err
		}
		cfg.Clients = append(cfg.Clients, sts.Client{
			Client:  clientauth.Client{ID: c.ClientID, Public: c.Public, Credentials: clientauth.Credentials{Secrets: hashes}, Disabled: c.Disabled},
			Targets: c.Targets,
		})
	}
	return cfg, nil
}

// hashes are what is kept of the client's secrets.
func (c *Client) hashes(secret func(field, text string) (string, error)) ([][32]byte, error) {
	var hashes [][32]byte
	for _, text := range c.ClientSecrets {
		plain, err := secret("client_secret of "+c.ClientID, text)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, clientauth.HashSecret(plain))
	}
	return hashes, nil
}
