// Package wrap puts a security token service in front of an OpenID provider that
// is there already: the next handler, usually a reverse proxy (DESIGN §4).
//
// Everything passes to the provider as it came, with two exceptions. Its token
// endpoint answers the token exchange as well, and that grant is ours alone: a
// request there that any parser could read as an exchange is answered by us or
// refused, never passed on. And with Merge, which makes both one issuer, its
// metadata and keys are published together with ours (CONFORMANCE A28).
//
// Where the provider has its token endpoint and its keys stands in its metadata,
// which is asked of the next handler itself, in this process: no name has to lead
// back to this server, and no header of a request has a say. Nothing is asked at
// load; until an answer is known, what could be an exchange waits for it, and is
// refused (503) when there is none.
//
// caddysts builds it and calls it; nothing here knows of Caddy.
package wrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Next is the handler behind ours, which leads to the provider. An error is one
// that it did not answer itself.
type Next interface {
	ServeHTTP(w http.ResponseWriter, r *http.Request) error
}

// Config describes the provider behind.
type Config struct {
	// Provider is the issuer identifier of the provider. Required.
	Provider string
	// Exchange is our token endpoint at this URL, which is what the provider's
	// metadata says. It gets exchanges alone. Required.
	Exchange func(endpoint string) http.Handler
	// Merge makes the provider and us one issuer; nil = two.
	Merge *Merge
	// Prepare gives a request of our own what the handlers behind expect in its
	// context. of is the request that made us ask, w where the answer goes. nil =
	// nothing.
	Prepare func(of, ours *http.Request, w http.ResponseWriter) *http.Request
	// Now is the clock. Required.
	Now func() time.Time
	// Log takes what is wrong with the provider. Default: none.
	Log *zap.Logger
}

// Merge is what we publish in the documents of the provider.
type Merge struct {
	// Keys are the public keys of claims tokens. Required.
	Keys func(context.Context) ([]jose.PublicKey, error)
	// Algorithm is the one that claims tokens are signed with. Required.
	Algorithm string
	// Metadata is our own metadata document: grants and methods of client
	// authentication of it are added to the provider's. Required.
	Metadata json.RawMessage
}

// Front stands in front of a provider. It is safe for concurrent use.
type Front struct {
	issuer    string
	issuerURL *url.URL
	exchange  func(endpoint string) http.Handler
	merge     *Merge
	documents map[string]bool // paths of the provider's metadata
	learn     learner
	log       *zap.Logger
	logged    atomic.Int64 // when the last document could not be merged
}

// New checks cfg and makes a Front. It calls nobody.
func New(cfg Config) (*Front, error) {
	u, err := oauth.ParseIssuer(cfg.Provider)
	if err != nil {
		return nil, fmt.Errorf("wrap: issuer '%s' %w", cfg.Provider, err)
	}
	if cfg.Exchange == nil || cfg.Now == nil {
		return nil, errors.New("wrap: Exchange and Now are required")
	}
	if m := cfg.Merge; m != nil && (m.Keys == nil || m.Algorithm == "" || m.Metadata == nil) {
		return nil, errors.New("wrap: Keys, Algorithm and Metadata are required to merge")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	f := &Front{
		issuer: cfg.Provider, issuerURL: u, exchange: cfg.Exchange, merge: cfg.Merge,
		documents: make(map[string]bool), log: cfg.Log,
	}
	for _, name := range []string{oauth.WellKnownOpenID, oauth.WellKnownOAuth} {
		appended, inserted := oauth.WellKnownPaths(u, name)
		f.documents[appended], f.documents[inserted] = true, true
	}
	f.learn = learner{issuer: cfg.Provider, issuerURL: u, prepare: cfg.Prepare, now: cfg.Now, log: cfg.Log}
	return f, nil
}

// Merges tells whether the provider and we are one issuer.
func (f *Front) Merges() bool { return f.merge != nil }

// publishes tells whether a path is one of the provider's metadata documents,
// which we answer together with it.
func (f *Front) publishes(path string) bool { return f.merge != nil && f.documents[path] }

// ServeHTTP answers what is ours and hands everything else to next.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request, next Next) error {
	if f.publishes(r.URL.Path) && readsDocument(r) {
		return f.publish(w, r, next, f.mergeMetadata)
	}
	p, err := f.provider(w, r, next)
	if err != nil {
		oauth.WriteError(w, err)
		return nil
	}
	return f.serve(p, w, r, next)
}

// serve is ServeHTTP for everything but metadata. p is nil when the provider is
// not known and r needs no knowledge of it.
func (f *Front) serve(p *provider, w http.ResponseWriter, r *http.Request, next Next) error {
	switch {
	case p == nil:
		return next.ServeHTTP(w, r)
	case p.isToken(r):
		return f.token(p, w, r, next)
	case f.merge != nil && r.URL.Path == p.keys && readsDocument(r):
		return f.publish(w, r, next, f.mergeKeys)
	default:
		return next.ServeHTTP(w, r)
	}
}

// token is the provider's token endpoint.
func (f *Front) token(p *provider, w http.ResponseWriter, r *http.Request, next Next) error {
	body, err := peek(w, r)
	if err == nil {
		err = clean(r, body)
	}
	switch {
	case err == nil:
		return next.ServeHTTP(w, r)
	case errors.Is(err, errExchange) && r.URL.Path == p.token && isExchange(r, body):
		return f.answer(p, w, ours(r, body))
	default:
		oauth.WriteError(w, err)
		return nil
	}
}

// answer is the answer to an exchange. A claims token that nobody can verify is
// not made.
func (f *Front) answer(p *provider, w http.ResponseWriter, r *http.Request) error {
	if f.merge != nil {
		if err := f.mergeable(p); err != nil {
			return f.unpublished(w, err)
		}
	}
	f.exchange(p.tokenURL).ServeHTTP(w, r)
	return nil
}
