package sts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Lifetimes of claims tokens (CONFORMANCE CA-19).
const (
	DefaultClaimsLifetime = 2 * time.Minute
	MaxClaimsLifetime     = 5 * time.Minute
)

// ClaimKeys signs claims tokens and lists the keys to publish; a *jose.Ring of
// purpose claims. It must sign nothing else (CONFORMANCE A28).
type ClaimKeys interface {
	Sign(ctx context.Context, typ string, claims any) (string, error)
	Public(ctx context.Context) ([]jose.PublicKey, error)
}

// Config describes a security token service.
type Config struct {
	// Issuer is its issuer identifier.
	Issuer string
	// EmailDomains are the domains whose addresses it vouches for. Required.
	EmailDomains []string
	// Clients may exchange tokens; at least one.
	Clients []Client
	// Targets may receive claims; nobody else may. The most specific entry
	// decides what is released. DenyTargets wins over Targets.
	Targets     []Target
	DenyTargets []string
	// Release are the claims released where a target has no list of its own,
	// besides sub, email and email_verified.
	Release []string
	// ClaimsLifetime of claims tokens; default 2m, at most 5m.
	ClaimsLifetime time.Duration

	// Authenticate finds the client of a token request among Clients; a method of
	// clientauth.Table. Required.
	Authenticate func(*http.Request, oauth.Form) (clientauth.Client, error)
	// Resolve validates a subject token and says whom it speaks of.
	// oauth.ErrSubjectToken (wrapped): not a live access token of a user; any
	// other error: it could not be found out. Required.
	Resolve func(ctx context.Context, token string) (oauth.Subject, error)
	// Consent tells whether a user has agreed; it is asked for targets that demand
	// it. uri is where he can be asked. nil = nobody can be asked, so no target may
	// demand it.
	Consent func(ctx context.Context, asked oauth.Consent) (agreed bool, uri string, err error)
	// ConsentAll demands it for every target.
	ConsentAll bool
	// Claims signs claims tokens. Required.
	Claims ClaimKeys
	// Keys lists further keys for the JWKS (ID tokens of the provider).
	Keys func(ctx context.Context) ([]jose.PublicKey, error)
	// Other answers the other grants at the token endpoint; nil = none.
	Other http.Handler
	// Extend adds the members of the provider to the metadata.
	Extend func(*oauth.Metadata)
	// Exchanges limits exchanges per user, Sources those of a client before
	// anybody looks at the subject token: per client if it authenticates, else per
	// client and address. nil = no limit.
	Exchanges, Sources *limit.Limiter
	// Proofs remembers the DPoP proofs that were used. Default: a memory of its own.
	Proofs *dpop.Replays
	// ClientIP is the address that a request comes from. Default: its RemoteAddr.
	ClientIP func(*http.Request) string
	// NoCORS switches cross-origin requests off for token endpoint, metadata
	// and JWKS. WebFinger always allows them (RFC 7033 §5).
	NoCORS bool
	// Observe is told of each exchange. Default event.None.
	Observe event.Observe
	// Now is the clock. Required.
	Now func() time.Time
	// Log takes failures of our own. Default: none.
	Log *zap.Logger
}

// Check tells what is wrong with the settings, leaving aside Resolve, Claims,
// Now and the other functions. Adapters use it before those exist.
func (c Config) Check() error { return new(Server).configure(c) }

// connect fills defaults of the functions and refuses missing ones.
func (s *Server) connect() error {
	if s.authenticate == nil || s.resolve == nil || s.claims == nil || s.now == nil {
		return errors.New("sts: Authenticate, Resolve, Claims and Now are required")
	}
	if s.observe == nil {
		s.observe = event.None
	}
	if s.clientIP == nil {
		s.clientIP = func(r *http.Request) string { return r.RemoteAddr }
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	return nil
}

// configure checks the settings and fills what New did not copy. The first
// mistake is reported: later ones often follow from it.
func (s *Server) configure(cfg Config) error {
	u, err := oauth.ParseIssuer(cfg.Issuer)
	if err != nil {
		return fmt.Errorf("issuer '%s' %w", cfg.Issuer, err)
	}
	s.issuerURL = u
	return cmp.Or(s.setLifetime(cfg.ClaimsLifetime), s.setDomains(cfg.EmailDomains),
		s.setClients(cfg.Clients), s.setTargets(cfg))
}

func (s *Server) setLifetime(d time.Duration) error {
	s.lifetime = d
	switch {
	case d == 0:
		s.lifetime = DefaultClaimsLifetime
	case d < time.Second:
		return errors.New("claims_token lifetime is at least 1s")
	case d > MaxClaimsLifetime:
		return errors.New("claims_token lifetime is at most 5m")
	}
	return nil
}

func (s *Server) setDomains(domains []string) error {
	s.domains = make(map[string]bool, len(domains))
	for _, text := range domains {
		domain, err := oauth.ParseDomain(text)
		if err != nil {
			return fmt.Errorf("email_domain '%s': %w", text, err)
		}
		s.domains[domain] = true
	}
	if len(s.domains) == 0 {
		return errors.New("email_domain is required: the domains whose addresses this server vouches for")
	}
	return nil
}

// CheckTarget tells what is wrong with one entry of a list of targets. star:
// whether * may stand there (in Config.Targets only).
func CheckTarget(text string, star bool) error {
	_, err := parsePattern(text, star)
	return err
}

func trimSlash(s string) string { return strings.TrimSuffix(s, "/") }
