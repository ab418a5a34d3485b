// Package discovery finds the provider of an e-mail address: WebFinger at the
// address's domain, else the domain's well-known URL (CONFORMANCE CA-30 to CA-33).
//
//	Find ── denied? ──► ErrDenied
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
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// Config is what New needs. Only Client is required.
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

// lookupTime bounds one look-up with all its requests. Callers come and go, the
// look-up that they wait for goes on.
const lookupTime = 10 * time.Second

// Finder finds providers. Its methods may be called from many goroutines.
type Finder struct {
	cfg   Config
	rules rules

	walks     singleflight.Group
	addresses *memory[string]   // per address: the issuer that WebFinger names; "" is a definite no
	issuers   *memory[provider] // per issuer: its metadata
	delegates *lru.TwoQueueCache[string, struct{}]
	keys      *jose.Cache // by jwks_uri, under the rules for strangers
	ownKeys   *jose.Cache // by jwks_uri, on the host:port of an entry's base URL
	budget    *budget
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
	f := &Finder{cfg: cfg, rules: rules, budget: newBudget()}
	if f.addresses, err = newMemory[string](cfg.Size, cfg.Now); err != nil {
		return nil, err
	}
	if f.issuers, err = newMemory[provider](cfg.Size, cfg.Now); err != nil {
		return nil, err
	}
	// A flood of domains that are seen once cannot push out those that are used.
	if f.delegates, err = lru.New2Q[string, struct{}](4 * cfg.Size); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
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
	if c.Observe == nil {
		c.Observe = event.None
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

// Find gives the provider for exactly this address.
func (f *Finder) Find(ctx context.Context, a oauth.Address) (Found, error) {
	rule := f.Rule(a.Domain)
	if rule.Deny {
		return Found{}, ErrDenied
	}
	// One caller's cancel must not fail the others that wait for the same answer.
	result := f.walks.DoChan(a.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTime)
		defer cancel()
		w := &walk{f: f, rule: rule, address: a}
		return w.run(ctx)
	})
	select {
	case <-ctx.Done():
		return Found{}, fmt.Errorf("%w: %w", ErrTemporary, ctx.Err())
	case r := <-result:
		found, _ := r.Val.(Found)
		return found, r.Err
	}
}
