// Package op is the embedded OpenID provider: users from the configuration,
// authorization code with enforced PKCE and a login page, and the authorization
// challenge endpoint for first-party clients.
package op

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

type User struct {
	Email        string
	PasswordHash string // of `caddy hash-password`: bcrypt or argon2id
	Claims       map[string]any
}

type Client struct {
	ID           string
	Secrets      [][32]byte // clientauth.HashSecret; empty = public
	RedirectURIs []string   // loopback URIs match any port (RFC 8252 §7.3)
	FirstParty   bool       // may use the authorization challenge endpoint
	Disabled     bool
}

type Config struct {
	Issuer   string
	Users    []User
	Clients  []Client
	Store    store.Store
	IDTokens *jose.Ring // purpose id-token
	Secrets  *jose.Ring // purpose op: 32-byte secrets
	// Compare is injected: Caddy's own hash types (argon2id, bcrypt) satisfy it.
	Compare        func(hash, password []byte) (bool, error)
	AccessLifetime time.Duration  // 10m
	SessionLife    time.Duration  // 12h
	Logins         *limit.Limiter // per client IP and per user
	ClientIP       func(*http.Request) string
	Observe        event.Observe
	Now            func() time.Time
	Log            *zap.Logger
}

// Provider serves {issuer}/sts/authorize, {issuer}/sts/login, {issuer}/sts/challenge, and, as the STS's `Other`,
// the authorization_code grant at {issuer}/sts/token.
type Provider struct{}

func New(cfg Config) (*Provider, error)                              { panic("later") }
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("later") }

// Handles tells whether a path is one of the provider's own (token not included).
func (p *Provider) Handles(path string) bool { panic("later") }

// Resolve finds the user of an access token. oauth.ErrSubjectToken (wrapped) when there is none.
func (p *Provider) Resolve(ctx context.Context, token string) (oauth.Subject, error) { panic("later") }

// Extend adds the provider's members to the metadata of the STS.
func (p *Provider) Extend(m *oauth.Metadata) { panic("later") }

// Keys are the ID token keys, for the JWKS of the STS.
func (p *Provider) Keys(ctx context.Context) ([]jose.PublicKey, error) { panic("later") }
