package op

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// User is somebody who may log in.
type User struct {
	// Email is the user's address and name at login, in any case.
	Email        string
	PasswordHash string // of `caddy hash-password`: bcrypt or argon2id
	// Sub tells the user from somebody else who had the address before; "" = nobody
	// had. Another one is another person: tokens, sessions and consents of before do
	// not count.
	Sub string
	// Claims are what Resolve says of the user besides the address.
	Claims map[string]any
}

// Client is an application that users log in with.
type Client struct {
	ID           string
	Public       bool     // it does not authenticate
	RedirectURIs []string // http loopback URIs without a port match any (RFC 8252 §7.3)
	FirstParty   bool     // may use the authorization challenge endpoint
	// PostLogoutRedirectURIs are where the browser may go after a logout that the
	// client has begun.
	PostLogoutRedirectURIs []string
	Disabled               bool
}

// Config describes an embedded provider. Authenticate, Store, IDTokens, Secrets,
// Compare, ClientIP and Now are required.
type Config struct {
	// Issuer is that of the STS around it.
	Issuer string
	// Users may be replaced later by SetUsers.
	Users   []User
	Clients []Client
	// Authenticate finds the client of a request among Clients; a method of
	// clientauth.Table.
	Authenticate func(*http.Request, oauth.Form) (clientauth.Client, error)
	Store        store.Store
	IDTokens     *jose.Ring // purpose id-token
	Secrets      *jose.Ring // purpose op: 32-byte secrets
	// Compare is injected: Caddy's own hash types (argon2id, bcrypt) satisfy it.
	Compare        func(hash, password []byte) (bool, error)
	NoDeviceFlow   bool          // there is no device flow
	AccessLifetime time.Duration // 10m
	// RefreshLifetime is that of all refresh tokens that come of one login: 30 days.
	RefreshLifetime time.Duration
	// Proofs remembers DPoP proofs; it is best shared with the token endpoint of the
	// STS. nil = one of its own.
	Proofs *dpop.Replays
	// NoCORS switches cross-origin requests off for userinfo and revocation.
	NoCORS      bool
	SessionLife time.Duration  // 12h
	Logins      *limit.Limiter // per client IP and per user
	ClientIP    func(*http.Request) string
	Observe     event.Observe
	Now         func() time.Time
	Log         *zap.Logger
}

// Lifetimes where the configuration says nothing.
const (
	defaultAccess  = 10 * time.Minute
	defaultRefresh = 30 * 24 * time.Hour
	defaultSession = 12 * time.Hour
)

// complete fills defaults and refuses what is missing.
func (c *Config) complete() error {
	if c.Authenticate == nil || c.Store == nil || c.IDTokens == nil || c.Secrets == nil || c.Compare == nil || c.ClientIP == nil || c.Now == nil {
		return errors.New("op: Authenticate, Store, IDTokens, Secrets, Compare, ClientIP and Now are required")
	}
	if c.AccessLifetime < 0 || c.RefreshLifetime < 0 || c.SessionLife < 0 {
		return errors.New("op: a lifetime is negative")
	}
	if c.AccessLifetime == 0 {
		c.AccessLifetime = defaultAccess
	}
	if c.RefreshLifetime == 0 {
		c.RefreshLifetime = defaultRefresh
	}
	if c.Proofs == nil {
		c.Proofs = dpop.NewReplays(0, c.Now)
	}
	if c.SessionLife == 0 {
		c.SessionLife = defaultSession
	}
	if c.Observe == nil {
		c.Observe = event.None
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return nil
}

// setClients takes the clients and checks their redirect URIs.
func (p *Provider) setClients(clients []Client) error {
	p.clients = make(map[string]*Client, len(clients))
	for _, c := range clients {
		if _, twice := p.clients[c.ID]; twice || c.ID == "" {
			return fmt.Errorf("client '%s' is declared twice or has no id", c.ID)
		}
		for _, uri := range c.RedirectURIs {
			if err := checkRedirect(uri); err != nil {
				return fmt.Errorf("client '%s': redirect_uri '%s' %w", c.ID, uri, err)
			}
		}
		for _, uri := range c.PostLogoutRedirectURIs {
			if err := checkRedirect(uri); err != nil {
				return fmt.Errorf("client '%s': post_logout_redirect_uri '%s' %w", c.ID, uri, err)
			}
		}
		c.RedirectURIs = slices.Clone(c.RedirectURIs)
		c.PostLogoutRedirectURIs = slices.Clone(c.PostLogoutRedirectURIs)
		p.clients[c.ID] = &c
	}
	return nil
}

// client finds a client that may be used.
func (p *Provider) client(id string) (*Client, bool) {
	c, ok := p.clients[id]
	return c, ok && !c.Disabled
}
