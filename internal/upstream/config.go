package upstream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	// maxToken is the largest access token in bytes; the form is not larger.
	maxToken = oauth.MaxForm
	// maxCalls is how many calls of one provider run at a time.
	maxCalls = 32
	// failurePause is how long a host that failed is left alone.
	failurePause = 5 * time.Second
	// metadataAge is how long the provider's metadata is used.
	metadataAge = 15 * time.Minute
	// shortLife is the life of a token whose end the provider does not tell.
	shortLife = 2 * time.Minute

	defaultCache = 10 * time.Second
	maxCache     = time.Minute
)

// CheckAll tells what is wrong with the settings of the providers of one service,
// leaving aside HTTP and Now. Adapters use it before those exist.
func CheckAll(all ...Config) error {
	made := make([]*Upstream, 0, len(all))
	for _, cfg := range all {
		u := new(Upstream)
		if err := u.configure(cfg); err != nil {
			return fmt.Errorf("upstream %s: %w", cfg.Issuer, err)
		}
		made = append(made, u)
	}
	_, err := NewSet(made...)
	return err
}

// configure checks the settings and fills defaults.
func (u *Upstream) configure(cfg Config) error {
	if _, err := oauth.ParseIssuer(cfg.Issuer); err != nil {
		return fmt.Errorf("issuer '%s' %w", cfg.Issuer, err)
	}
	p, ok := presets()[cfg.Preset]
	if !ok {
		return fmt.Errorf("preset '%s' is unknown; there are keycloak, entra, google and generic", cfg.Preset)
	}
	u.preset, u.cfg = p, cfg
	if u.cfg.Log == nil {
		u.cfg.Log = zap.NewNop()
	}
	for _, check := range []func() error{u.setCheck, u.checkPreset, u.setTypes, u.setCache, u.setDomains, u.checkClaims} {
		if err := check(); err != nil {
			return err
		}
	}
	u.cfg.Claims = maps.Clone(cfg.Claims)
	u.selves = append([]string{cfg.Self}, cfg.Audience...)
	return nil
}

func (u *Upstream) setCheck() error {
	c := &u.cfg
	if u.preset.check != "" && c.Check != "" {
		return fmt.Errorf("the preset %s has a check of its own: remove 'check'", c.Preset)
	}
	if c.Check == "" {
		c.Check = u.preset.check
	}
	switch c.Check {
	case "", CheckJWT:
		c.Check = CheckJWT
	case CheckIntrospection:
		if c.ClientID == "" || c.Secret == "" && c.Key == nil {
			return errors.New("check introspection needs client_id, and client_secret or private_key_jwt: who asks the provider")
		}
	case CheckUserinfo:
		if !c.AcceptUnbound {
			return errors.New("with check userinfo nobody can tell for whom a token was made: any application that ever got one could present it here; if the clients that may exchange tokens are trusted, write accept_unbound_tokens")
		}
	case checkTokeninfo:
	default:
		return fmt.Errorf("check '%s' is unknown; there are jwt, introspection and userinfo", c.Check)
	}
	return c.checkCredentials()
}

// checkCredentials refuses what would be ignored.
func (c *Config) checkCredentials() error {
	switch asks := c.Check == CheckIntrospection; {
	case !asks && (c.ClientID != "" || c.Secret != "" || c.Key != nil):
		return errors.New("client_id, client_secret and private_key_jwt are of use with check introspection only")
	case c.Secret != "" && c.Key != nil:
		return errors.New("client_secret and private_key_jwt are two ways of the same: choose one")
	case c.AcceptUnbound && c.Check != CheckUserinfo:
		return errors.New("accept_unbound_tokens is of use with check userinfo only")
	}
	return nil
}

// setTypes: where an ID token has the typ of an access token, something else must
// tell them apart (CONFORMANCE A26).
func (u *Upstream) setTypes() error {
	c := &u.cfg
	if len(c.Types) > 0 && c.Check != CheckJWT {
		return errors.New("typ is of use with check jwt only")
	}
	if len(c.Types) == 0 {
		c.Types = u.preset.types
	}
	loose := slices.ContainsFunc(c.Types, func(typ string) bool { return !isAccessType(typ) })
	if loose && len(c.Audience) == 0 && !u.preset.tellsApart {
		return errors.New("with typ JWT an ID token looks like an access token; add 'audience' (or a preset that can tell them apart)")
	}
	if u.preset.needsAudience && len(c.Audience) == 0 {
		return fmt.Errorf("the preset %s needs 'audience': %s", c.Preset, u.preset.audienceHint)
	}
	return nil
}

// checkPreset refuses settings that a vendor's tokens can never fit.
func (u *Upstream) checkPreset() error {
	c := &u.cfg
	if p := u.preset.issuer; p != nil && !p.MatchString(c.Issuer) {
		return fmt.Errorf("the preset %s is for the issuer %s", c.Preset, u.preset.issuerHint)
	}
	if c.Check == CheckUserinfo && c.Preset != "" && c.Preset != "generic" {
		return fmt.Errorf("check userinfo tells less than the preset %s can: leave one of them out", c.Preset)
	}
	if c.Check == checkTokeninfo && len(c.Audience) > 0 {
		return fmt.Errorf("the preset %s has no use for 'audience': its tokens are made for the client alone", c.Preset)
	}
	return nil
}

// checkClaims: only what the provider says of the user gets another name.
func (u *Upstream) checkClaims() error {
	for ours, theirs := range u.cfg.Claims {
		if ours == "" || theirs == "" || protocol(ours) {
			return fmt.Errorf("claim '%s' cannot be taken from '%s': it is no claim about the user", ours, theirs)
		}
	}
	return nil
}

func isAccessType(typ string) bool { return accessType(typ) == oauth.TypAccessToken }

func (u *Upstream) setCache() error {
	c := &u.cfg
	if c.CacheAge == 0 {
		c.CacheAge = defaultCache
	}
	if c.CacheAge < 0 || c.CacheAge > maxCache {
		return fmt.Errorf("cache must be between 1s and %s: so long a token that was revoked at the provider can be exchanged", maxCache)
	}
	return nil
}

func (u *Upstream) setDomains() error {
	u.domains = make(map[string]bool, len(u.cfg.Domains))
	for _, text := range u.cfg.Domains {
		domain, err := oauth.ParseDomain(text)
		if err != nil {
			return fmt.Errorf("email_domain '%s': %w", text, err)
		}
		u.domains[domain] = true
	}
	if len(u.domains) == 0 {
		return errors.New("email_domain is required: the domains whose addresses the provider speaks for")
	}
	return nil
}
