package jose

import (
	"context"
	"errors"
	"time"
)

// CacheConfig describes a cache of other people's key sets.
type CacheConfig struct {
	// Fetch reads the document at a URI; it limits size and time.
	Fetch func(ctx context.Context, uri string) ([]byte, error)
	// MaxAge is how long a set is used; default 15m. It is one for all: what a
	// source says of its own age (Cache-Control) would let it choose between many
	// fetches and keys that outlive their removal.
	MaxAge time.Duration
	// Pause is the least time between two fetches of a URI; default 60s, at most
	// MaxAge.
	Pause time.Duration
	// FailurePause, if set, is the Pause after a fetch that failed with an error
	// (DESIGN §4: failures are remembered). 0 = the failure is not remembered.
	FailurePause func(error) time.Duration
	// Failed, if set, is told of each fetch that gave no keys, once for all who
	// waited. What it is told quotes nothing of the document.
	Failed func(uri string, err error)
	// Size is how many URIs are remembered, and again how many of those that Keep
	// protects; default 10000.
	Size int
	Now  func() time.Time
}

// Cache keeps key sets by URI: bounded in number, at most one fetch per URI at
// a time and per Pause, whatever the kid in a token says (CONFORMANCE SEC-09,
// SEC-10). Sets that Keep names live in a segment of their own, which nobody
// fills by asking.
type Cache struct {
	cfg  CacheConfig
	sets *segments
}

// NewCache makes an empty cache.
func NewCache(cfg CacheConfig) *Cache {
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = 15 * time.Minute
	}
	if cfg.Pause <= 0 {
		cfg.Pause = time.Minute
	}
	cfg.Pause = min(cfg.Pause, cfg.MaxAge) // else a set would be too old and not refetched
	if cfg.FailurePause == nil {
		cfg.FailurePause = func(error) time.Duration { return cfg.Pause }
	}
	if cfg.Failed == nil {
		cfg.Failed = func(string, error) {}
	}
	if cfg.Size <= 0 {
		cfg.Size = 10000
	}
	return &Cache{cfg: cfg, sets: newSegments(cfg.Size)}
}

// Keys is the key set at uri; it is fetched at first use.
func (c *Cache) Keys(uri string) Holder { return remoteSet{cache: c, uri: uri} }

// KeysIf is Keys for a caller who may be refused: who would begin a fetch asks
// admit before. Its error is given to that caller alone, inside ErrKeySource, and
// is not remembered.
func (c *Cache) KeysIf(uri string, admit func() error) KeySet {
	return remoteSet{cache: c, uri: uri, admit: admit}
}

// Known is what is fresh of the key set at uri now; it never fetches.
func (c *Cache) Known(uri string) KeySet { return knownSet{cache: c, uri: uri} }

// Keep moves the key set at uri to the segment that those who ask for other URIs
// cannot fill (CONFORMANCE SEC-09).
func (c *Cache) Keep(uri string) { c.sets.keep(uri) }

// Kept tells whether Keep named the URI.
func (c *Cache) Kept(uri string) bool { return c.sets.isKept(uri) }

type remoteSet struct {
	cache *Cache
	uri   string
	admit func() error
}

// Key implements KeySet.
func (r remoteSet) Key(ctx context.Context, kid, alg string) (PublicKey, error) {
	if !isKID(kid) {
		return PublicKey{}, ErrNoKey
	}
	key, err := r.lookup(ctx, kid)
	if err != nil {
		return PublicKey{}, err
	}
	return key.forAlg(alg)
}

func (r remoteSet) lookup(ctx context.Context, kid string) (PublicKey, error) {
	set := r.cache.sets.entry(r.uri)
	if key, err := set.find(r.cache, kid); err == nil {
		return key, nil
	}
	if key, ok := set.stale(r.cache, kid); ok {
		_, _ = set.start(ctx, r) // nobody waits for a source that failed just now
		return key, nil
	}
	err := set.refresh(ctx, r)
	if errors.Is(err, ErrKeySource) {
		if key, ok := set.stale(r.cache, kid); ok {
			return key, nil
		}
	}
	if err != nil {
		return PublicKey{}, err
	}
	return set.find(r.cache, kid)
}

type knownSet struct {
	cache *Cache
	uri   string
}

// Key implements KeySet.
func (k knownSet) Key(_ context.Context, kid, alg string) (PublicKey, error) {
	set, ok := k.cache.sets.peek(k.uri)
	if !ok {
		return PublicKey{}, ErrKeySource
	}
	if !isKID(kid) {
		return PublicKey{}, ErrNoKey
	}
	key, err := set.find(k.cache, kid)
	if err != nil {
		return PublicKey{}, err
	}
	return key.forAlg(alg)
}

var _ KeySet = knownSet{}
