package caddysts

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// Provider is the embedded OpenID provider: users from the configuration,
// authorization code with PKCE and a login page.
type Provider struct {
	// The users. At least one.
	Users []User `json:"users,omitempty"`
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
	// Further claims. They leave the server only where `releases` names them.
	Claims map[string]any `json:"claims,omitempty"`
}

// Client is a client that may exchange tokens.
type Client struct {
	// The client_id.
	ClientID string `json:"client_id,omitempty"`
	// A public client has no secret.
	Public bool `json:"public,omitempty"`
	// The secrets, several during a rotation: placeholders `{env.X}` or
	// `{file./path}`, or literal text.
	ClientSecrets []string `json:"client_secrets,omitempty"`
	// Where the login page may send the browser back to. A loopback URI without
	// a port matches every port.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// Whether the client may log users in at the authorization challenge
	// endpoint, that is, see their passwords.
	FirstParty bool `json:"first_party,omitempty"`
	// URI prefixes and logical names that narrow `targets` for this client.
	Targets []string `json:"targets,omitempty"`
	// A disabled client is refused.
	Disabled bool `json:"disabled,omitempty"`
}

// Target names resource servers that may receive claims.
type Target struct {
	// URI prefixes (same origin and whole path segments), logical names, or `*`
	// for every URI.
	Names []string `json:"names,omitempty"`
	// The claims released to them, instead of the `releases` outside.
	Releases []string `json:"releases,omitempty"`
}

// Lifetime says how long tokens live.
type Lifetime struct {
	// Of claims tokens; at most 5m. Default: 2m.
	ClaimsToken caddy.Duration `json:"claims_token,omitempty"`
	// Of access tokens of the embedded provider. Default: 10m.
	AccessToken caddy.Duration `json:"access_token,omitempty"`
}

// RateLimits bounds how often something may happen.
type RateLimits struct {
	// Token exchanges per user. Default: 60 in 1m.
	Exchange *umaapp.RateLimit `json:"exchange,omitempty"`
	// Attempts to log in per client IP and per user. Default: 10 in 1m.
	Login *umaapp.RateLimit `json:"login,omitempty"`
}

// Defaults that are not the engines' own.
const (
	defaultClient   = "caddy-uma"
	defaultRedirect = "http://127.0.0.1/callback"

	defaultAccess  = 10 * time.Minute
	defaultSession = 12 * time.Hour
	defaultLeeway  = time.Minute
)

// or gives d, or its default.
func or(d caddy.Duration, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return time.Duration(d)
}

// clients are those of the configuration, or the default one.
func (h *Handler) clients() []Client {
	if len(h.Clients) > 0 {
		return h.Clients
	}
	return []Client{{ClientID: defaultClient, Public: true, RedirectURIs: []string{defaultRedirect}}}
}
