// Package discovery finds the provider of an e-mail address: WebFinger at the
// address's domain, else the domain's well-known URL (CONFORMANCE CA-30 to CA-33).
package discovery

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// Domain says where people of a domain come from; the most specific pattern wins.
type Domain struct {
	Pattern             string // bob.example, *.bob.example, *
	BaseURL             string // asked instead of https://DOMAIN (A42); its host:port must be in the client's Exceptions
	NoWebFinger         bool   // BaseURL is the issuer itself
	Deny                bool
	SameDomain          bool
	AssumeEmailVerified bool
	AcceptTyp           []string // default ca-claims+jwt
}

type Config struct {
	Client       *outbound.Strict
	Domains      []Domain
	NoDocument   bool          // no fallback to https://DOMAIN/.well-known/openid-configuration
	Size         int           // 10000
	MaxAge       time.Duration // 15m
	RefetchPause time.Duration // 60s
	Now          func() time.Time
	Observe      event.Observe
	Log          *zap.Logger
}

type Finder struct{}

func New(cfg Config) (*Finder, error) { panic("later") }

// Rule gives the entry for a domain without any request; the zero Domain if none.
func (f *Finder) Rule(domain string) Domain { panic("later") }

// Found is a provider and how it was found.
type Found struct {
	Issuer, JWKSURI string
	Evidence        string // webfinger, document, pinned
	Keys            jose.KeySet
}

// Find gives the provider for exactly this address.
func (f *Finder) Find(ctx context.Context, a oauth.Address) (Found, error) { panic("later") }

var (
	ErrDenied    = errors.New("the domain is denied")
	ErrNoIssuer  = errors.New("no provider is found for the address") // definite
	ErrTemporary = errors.New("the provider cannot be reached at the moment")
)
