// Package discovery finds the provider of an e-mail address: WebFinger at the
// address's domain, else the domain's well-known URL (CONFORMANCE CA-30 to CA-33).
//
//	Find ── denied? ──► ErrDenied
//	  ├─ all in the caches? ──► that
//	  ├─ budget used up? ──► ErrTemporary (what led to a grant has its own)
//	  ├─ pinned: the rule's base URL is the issuer
//	  ├─ WebFinger: an issuer link   ─► from here on every failure is final
//	  │             a definite no    ─► the domain's own document
//	  │             anything else    ─► final, remembered for this address
//	  └─ issuer ─► openid-configuration ─► jwks_uri ─► keys, fetched at first use
//
// Everything it asks was steered by somebody's e-mail address, so it asks with
// the strict client, and only for the entry's own base URL with the exceptions
// that belong to that entry. Only internal/uma calls it, after all checks that
// cost nothing (CONFORMANCE A12).
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

// Config is what New needs. Only Client and Now are required.
type Config struct {
	Client     Getter // *outbound.Strict
	Domains    []Domain
	NoDocument bool // no fallback to https://DOMAIN/.well-known/openid-configuration
	// Size is how many addresses, issuers and key sets are remembered, 10000; as
	// many issuers and key sets that led to a grant, and ten times as many addresses.
	Size int
	// MaxAge, 15m, is how long an answer counts. It is one for all: Cache-Control
	// would let a stranger choose between many requests of ours and answers that
	// outlive their withdrawal.
	MaxAge       time.Duration
	RefetchPause time.Duration // 60s
	// NewPerSource is how many look-ups one source begins per minute at domains where
	// nobody had a grant, 60; where somebody had one, it is ten times as many, and at
	// one domain a fifth of what that has.
	NewPerSource int
	// NewInAll is how many look-ups are begun per minute at domains where nobody had
	// a grant, 1800; half of it at one domain, 300 at most. Where somebody had one, it
	// is four times as many, and as many as this at one domain, 600 at most.
	NewInAll int
	Ledger   Ledger // if nil, delegations are known to this Finder alone
	Now      func() time.Time
	Observe  event.Observe
	Log      *zap.Logger
}

// Getter asks the network under the rules for strangers. Only a simulation has
// another one than *outbound.Strict.
type Getter interface {
	Get(ctx context.Context, r outbound.Request) (*outbound.Response, error)
}

var _ Getter = (*outbound.Strict)(nil)

// Ledger knows the domains that were once seen with a delegation by WebFinger,
// also before a restart and on other machines (CONFORMANCE A13, SEC-27). It is
// asked before a fallback is taken; on an error none is.
type Ledger interface {
	WasDelegated(ctx context.Context, domain string) (bool, error)
}

// Query is who asks.
type Query struct {
	// Source is where the request came from that makes us look, as a key for
	// counting (limit.Source).
	Source string
}

// Evidence of how a provider was found.
const (
	ByWebFinger = "webfinger"
	ByDocument  = "document"
	ByPin       = "pinned"
)

// Found is a provider and how it was found.
type Found struct {
	Issuer, JWKSURI string
	Evidence        string // webfinger, document, pinned
	Keys            jose.KeySet
}

// What Find can say instead of a provider. The text of the wrapped error is
// ours and names nobody.
var (
	ErrDenied    = errors.New("the domain is denied")
	ErrNoIssuer  = errors.New("no provider is found for the address") // definite
	ErrTemporary = errors.New("the provider cannot be reached at the moment")
)

// lookupTime is how long a caller waits. The look-up that he waits for goes on:
// each of its requests has a bound of its own, so it ends within twenty seconds,
// whatever becomes of the Finder.
const lookupTime = 10 * time.Second

// peoplePerIssuer: an address that led to a grant takes some 400 bytes, an issuer
// with its keys ten times as much, and many people have the same one.
const peoplePerIssuer = 10

// Finder finds providers. Its methods may be called from many goroutines.
type Finder struct {
	cfg   Config
	rules rules

	open, near, kept segment
	addresses        *memory[string]   // per address: the issuer that WebFinger names; "" is a definite no
	issuers          *memory[provider] // per issuer: its metadata
	delegates        *marks            // domains
	known            *marks            // domains with issuers that were found for them
	places           *marks            // domains where somebody had a grant
	keys             *jose.Cache       // by jwks_uri, under the rules for strangers
	ownKeys          *jose.Cache       // by jwks_uri, on the host:port of an entry's base URL

	examined *examined // nil, but for Examine
}

// New checks the configuration. It does no I/O.
func New(cfg Config) (*Finder, error) {
	if cfg.Client == nil || cfg.Now == nil {
		return nil, errors.New("discovery: a client and a clock are needed")
	}
	cfg = cfg.withDefaults()
	rules, err := newRules(cfg.Domains)
	if err != nil {
		return nil, err
	}
	open, near := newRates(cfg), nearRates(cfg)
	f := &Finder{cfg: cfg, rules: rules, open: newSegment(&open), near: newSegment(&near), kept: newSegment(nil)}
	if f.addresses, err = newMemory[string](cfg.Size, peoplePerIssuer*cfg.Size, cfg.Now); err != nil {
		return nil, err
	}
	if f.issuers, err = newMemory[provider](cfg.Size, cfg.Size, cfg.Now); err != nil {
		return nil, err
	}
	if f.places, err = newMarks(cfg.Size); err != nil {
		return nil, err
	}
	if f.delegates, err = newMarks(4 * cfg.Size); err != nil {
		return nil, err
	}
	if f.known, err = newMarks(cfg.Size); err != nil {
		return nil, err
	}
	f.keys, f.ownKeys = f.newKeys(false), f.newKeys(true)
	return f, nil
}

func (c Config) withDefaults() Config {
	if c.Size <= 0 {
		c.Size = 10_000
	}
	c.Size = max(c.Size, 16)
	if c.MaxAge <= 0 {
		c.MaxAge = 15 * time.Minute
	}
	if c.RefetchPause <= 0 {
		c.RefetchPause = time.Minute
	}
	if c.NewPerSource <= 0 {
		c.NewPerSource = newPerSource
	}
	if c.NewInAll <= 0 {
		c.NewInAll = newInAll
	}
	if c.Observe == nil {
		c.Observe = event.None
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

// Find gives the provider for exactly this address.
func (f *Finder) Find(ctx context.Context, a oauth.Address, q Query) (Found, error) {
	rule := f.Rule(a.Domain)
	if rule.Deny {
		return Found{}, ErrDenied
	}
	warm := &walk{f: f, rule: rule, address: a, warm: true}
	found, err := warm.find(ctx)
	if errors.Is(err, errCold) {
		found, err = f.lookUp(ctx, rule, a, q)
	}
	if err != nil {
		return Found{}, err
	}
	found.Keys = f.keySet(rule, found.JWKSURI, q)
	return found, nil
}

// lookUp asks the network, once for all who want to know the same. One caller's
// cancel must not fail the others.
func (f *Finder) lookUp(ctx context.Context, rule Domain, a oauth.Address, q Query) (Found, error) {
	in := f.segmentFor(a)
	background := context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	return in.walks.wait(ctx, a.String(),
		func() error { return in.admit(q.Source, a.Domain) },
		func() (Found, error) {
			w := &walk{f: f, rule: rule, address: a}
			found, err := w.run(background)
			if err == nil {
				f.known.add(knownKey(a.Domain, found.Issuer))
			}
			return found, err
		})
}
