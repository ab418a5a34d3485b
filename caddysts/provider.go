package caddysts

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Provider is the embedded OpenID provider: users from the configuration or from
// a file, authorization code with PKCE and a login page.
type Provider struct {
	// The users. At least one, unless there is `users_file`.
	Users []User `json:"users,omitempty"`
	// A JSON file with users besides those, read again when it has changed:
	// `{"users": [{"email": "…", "password_hash": "…", "claims": {…}}]}`. A user
	// with `"disabled": true` cannot log in and his tokens are worth nothing. It is
	// best replaced by renaming another file. One that cannot be read or holds a
	// mistake is an error at load; later it is logged, and the users stay as they
	// were.
	UsersFile string `json:"users_file,omitempty"`
	// Whether users are asked before a target learns something about them, for
	// every target. Default: only for targets that demand it.
	Consent bool `json:"consent,omitempty"`
	// Whether devices without a browser cannot be connected (RFC 8628). Default:
	// they can.
	NoDeviceFlow bool `json:"no_device_flow,omitempty"`
	// How long a browser stays logged in. Default: 12h.
	SessionLifetime caddy.Duration `json:"session_lifetime,omitempty"`
}

// User is a user of the embedded provider.
type User struct {
	// The e-mail address; its domain must be one of `email_domains`. It counts
	// as verified.
	Email string `json:"email,omitempty"`
	// The output of `caddy hash-password` (argon2id or bcrypt), or a
	// placeholder `{env.X}` or `{file./path}` for it.
	PasswordHash string `json:"password_hash,omitempty"`
	// A text that tells the user from somebody else who had the address before, such
	// as the year he came: it makes another `sub`, and nothing of the other one
	// counts for him. Default: none.
	Sub string `json:"sub,omitempty"`
	// Further claims. They leave the server only where `releases` names them.
	Claims map[string]any `json:"claims,omitempty"`
}

// parseProvider reads
//
//	provider {
//		user <email> <password_hash> {
//			sub <text>
//			<claim> <values...>
//		}
//		users <file>
//		consent
//		device_flow off
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
	return syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"user":             h.Provider.parseUser,
			"users":            syntax.Text(directive, &h.Provider.UsersFile),
			"consent":          syntax.Flag(&h.Provider.Consent),
			"device_flow":      syntax.Off(directive, &h.Provider.NoDeviceFlow),
			"session_lifetime": syntax.Duration(directive, &h.Provider.SessionLifetime),
		},
		Order: []string{"user", "users", "consent", "device_flow", "session_lifetime"},
		Later: []string{"passkeys"},
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
	if d.Val() == "sub" {
		return syntax.Text(directive, &u.Sub)(d)
	}
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

// check checks the block; domains are those of the users' addresses.
func (p *Provider) check(domains []string) error {
	if d := p.SessionLifetime; d != 0 && time.Duration(d) < time.Second {
		return errors.New("session_lifetime must be at least 1s")
	}
	if len(p.Users) == 0 && p.UsersFile == "" {
		return errors.New("provider has no user; add a 'user', or 'users' with a file of them")
	}
	seen := make(map[string]bool)
	for _, u := range p.Users {
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
	if !ofDomains(address, domains) {
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

func ofDomains(a oauth.Address, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return strings.EqualFold(d, a.Domain) })
}

// provider makes the embedded provider.
func (h *Handler) provider(app *umaapp.App, authenticate authenticate) (source, error) {
	access, session := or(h.Lifetime.AccessToken, defaultAccess), or(h.Provider.SessionLifetime, defaultSession)
	// ID tokens live no longer than a session; sealed state of the provider
	// (codes, cookies) neither.
	tokens, err := h.ring(app, "id-token", max(access, session))
	if err != nil {
		return source{}, err
	}
	secrets, err := h.ring(app, "op", max(access, session))
	if err != nil {
		return source{}, err
	}
	own, err := h.users()
	if err != nil {
		return source{}, err
	}
	users, err := h.usersFile(own)
	if err != nil {
		return source{}, err
	}
	proofs, err := h.proofs(app)
	if err != nil {
		return source{}, err
	}
	logins, err := umaapp.Keep(app, fmt.Sprintf("sts %q limit login %+v", h.Issuer, h.RateLimit.Login), func() *limit.Limiter {
		return h.RateLimit.Login.Limiter(10, time.Minute)
	})
	if err != nil {
		return source{}, err
	}
	p, err := op.New(op.Config{
		Issuer: h.Issuer, Users: users.all, Clients: h.providerClients(), Authenticate: authenticate, Store: app.Store(),
		IDTokens: tokens, Secrets: secrets, Compare: compare,
		NoDeviceFlow: h.Provider.NoDeviceFlow, AccessLifetime: access, SessionLife: session,
		RefreshLifetime: or(h.Lifetime.RefreshToken, defaultRefresh), Proofs: proofs, NoCORS: h.NoCORS,
		Logins: logins, ClientIP: umaapp.ClientIP,
		Observe: app.Observe(), Now: time.Now, Log: h.log,
	})
	if err != nil {
		return source{}, err
	}
	users.set = p.SetUsers
	return source{
		resolve: p.Resolve, endpoints: p, other: p, keys: p.Keys, extend: p.Extend,
		consent: p.Consented, refresh: users.refresh, admin: p.Admin(),
	}, nil
}

func (h *Handler) users() ([]op.User, error) {
	var users []op.User
	for _, u := range h.Provider.Users {
		hash, err := u.passwordHash()
		if err != nil {
			return nil, err
		}
		users = append(users, op.User{Email: u.Email, PasswordHash: hash, Sub: u.Sub, Claims: u.Claims})
	}
	return users, nil
}

func (h *Handler) providerClients() []op.Client {
	var clients []op.Client
	for _, c := range h.clients() {
		clients = append(clients, op.Client{
			ID: c.ClientID, Public: c.Public, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
			FirstParty: c.FirstParty, Disabled: c.Disabled,
		})
	}
	return clients
}
