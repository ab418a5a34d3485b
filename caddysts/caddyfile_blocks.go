package caddysts

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// parseProvider reads
//
//	provider {
//		user <email> <password_hash> {
//			<claim> <values...>
//		}
//		session_lifetime <duration>
//	}
func (h *Handler) parseProvider(d *caddyfile.Dispenser) error {
	if h.Provider != nil {
		return d.Errf("uma_sts: provider is written twice")
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	h.Provider = new(Provider)
	return umaapp.Words{
		Directive: directive,
		Known: map[string]read{
			"user":             h.Provider.parseUser,
			"session_lifetime": umaapp.Duration(directive, &h.Provider.SessionLifetime),
		},
		Order: []string{"user", "session_lifetime"},
		Later: []string{"users", "consent", "device_flow", "passkeys"},
	}.Read(d)
}

func (p *Provider) parseUser(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("uma_sts: write: user <email> <password_hash>; make the hash with: caddy hash-password")
	}
	u := User{Email: args[0], PasswordHash: args[1]}
	if _, err := oauth.ParseAddress(u.Email); err != nil {
		return d.Errf("uma_sts: user '%s' is %w", u.Email, err)
	}
	if !isPlaceholder(u.PasswordHash) {
		if err := checkHash(u.Email, u.PasswordHash); err != nil {
			return d.Errf("uma_sts: %w", err)
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := u.parseClaim(d); err != nil {
			return err
		}
	}
	p.Users = append(p.Users, u)
	return nil
}

// stringClaims are the claims of OpenID Connect Core §5.1 that are strings.
var stringClaims = map[string]bool{
	"name": true, "given_name": true, "family_name": true, "middle_name": true, "nickname": true,
	"preferred_username": true, "profile": true, "picture": true, "website": true, "gender": true,
	"birthdate": true, "zoneinfo": true, "locale": true, "phone_number": true,
}

// otherClaims of OpenID Connect Core §5.1 are neither strings nor lists.
var otherClaims = map[string]bool{"phone_number_verified": true, "address": true, "updated_at": true}

func (u *User) parseClaim(d *caddyfile.Dispenser) error {
	name, values := d.Val(), d.RemainingArgs()
	if u.Claims == nil {
		u.Claims = make(map[string]any)
	}
	_, twice := u.Claims[name]
	switch {
	case sts.Reserved(name):
		return d.Errf("uma_sts: user '%s': the claim '%s' is set by the server", u.Email, name)
	case otherClaims[name]:
		return d.Errf("uma_sts: user '%s': the claim '%s' is not a text; it can be written in JSON only", u.Email, name)
	case len(values) == 0:
		return d.ArgErr()
	case stringClaims[name] && (twice || len(values) > 1):
		return d.Errf("uma_sts: user '%s': the claim '%s' has one value; put quotes around several words", u.Email, name)
	case stringClaims[name]:
		u.Claims[name] = values[0]
	default:
		old, _ := u.Claims[name].([]string)
		u.Claims[name] = append(old, values...)
	}
	return nil
}

// parseClient reads
//
//	client <client_id> [public|<client_secret>] {
//		client_secret <secret...>
//		redirect_uri  <uris...>
//		first_party
//		target        <uri_prefix|name...>
//		disabled
//	}
func (h *Handler) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("uma_sts: write: client <client_id> [public|<client_secret>]")
	}
	c := Client{ClientID: args[0]}
	for _, other := range h.Clients {
		if other.ClientID == c.ClientID {
			return d.Errf("uma_sts: client '%s' is declared twice", c.ClientID)
		}
	}
	switch {
	case len(args) == 2 && args[1] == "public":
		c.Public = true
	case len(args) == 2:
		c.ClientSecrets = []string{args[1]}
	}
	first := *d
	if err := c.words().Read(d); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return first.Errf("uma_sts: %w", err)
	}
	h.Clients = append(h.Clients, c)
	return nil
}

func (c *Client) words() umaapp.Words {
	return umaapp.Words{
		Directive: directive,
		Known: map[string]read{
			"client_secret": umaapp.List(&c.ClientSecrets),
			"redirect_uri":  umaapp.List(&c.RedirectURIs),
			"first_party":   umaapp.Flag(&c.FirstParty),
			"target":        targets(&c.Targets, false),
			"disabled":      umaapp.Flag(&c.Disabled),
		},
		Order: []string{"client_secret", "redirect_uri", "first_party", "target", "disabled"},
		Later: []string{"jwks_uri", "jwks_file", "may_act"},
	}
}

// parseTarget reads
//
//	target <uri_prefix|name|*...> {
//		release <claims...>
//	}
func (h *Handler) parseTarget(d *caddyfile.Dispenser) error {
	var t Target
	if err := targets(&t.Names, true)(d); err != nil {
		return err
	}
	err := umaapp.Words{
		Directive: directive,
		Known:     map[string]read{"release": releases(&t.Releases)},
		Order:     []string{"release"},
		Later:     []string{"when", "consent", "require"},
	}.Read(d)
	h.Targets = append(h.Targets, t)
	return err
}
