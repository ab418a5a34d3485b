package jose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// CacheConfig describes a cache of other people's key sets.
type CacheConfig struct {
	// Fetch reads the document at a URI; it limits size and time.
	Fetch func(ctx context.Context, uri string) ([]byte, error)
	// MaxAge is how long a set is used; default 15m.
	MaxAge time.Duration
	// Pause is the least time between two fetches of a URI; default 60s, at most
	// MaxAge.
	Pause time.Duration
	// FailurePause, if set, is the Pause after a fetch that failed with an error
	// (DESIGN §4: failures are remembered). 0 = the failure is not remembered.
	FailurePause func(error) time.Duration
	// Size is how many URIs are kept; default 10000.
	Size int
	Now  func() time.Time
}

// staleFactor: while fetching fails, a set is used for this many MaxAges.
const staleFactor = 3

// fetchTimeout bounds a fetch that several callers wait for.
const fetchTimeout = 10 * time.Second

// Cache keeps key sets by URI: bounded in number, at most one fetch per URI at
// a time and per Pause, whatever the kid in a token says (CONFORMANCE SEC-09,
// SEC-10).
type Cache struct {
	cfg  CacheConfig
	sets *lru.Cache[string, *cachedSet]
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
	if cfg.Size <= 0 {
		cfg.Size = 10000
	}
	sets, err := lru.New[string, *cachedSet](cfg.Size)
	if err != nil {
		panic(err) // the size is positive
	}
	return &Cache{cfg: cfg, sets: sets}
}

// Keys is the key set at uri; it is fetched at first use.
func (c *Cache) Keys(uri string) Holder { return remoteSet{c, uri} }

type remoteSet struct {
	cache *Cache
	uri   string
}

// cachedSet is what is known of one URI.
type cachedSet struct {
	flight singleflight.Group // of the one fetch that all wait for

	mu      sync.Mutex
	keys    Set
	err     error
	fetched time.Time // of keys
	tried   time.Time
	pause   time.Duration // since tried
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
	set := r.cache.entry(r.uri)
	if key, err := set.find(r.cache, kid); err == nil {
		return key, nil
	}
	if key, ok := set.stale(r.cache, kid); ok {
		set.start(ctx, r.cache, r.uri) // nobody waits for a source that failed just now
		return key, nil
	}
	err := set.refresh(ctx, r.cache, r.uri)
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

func (c *Cache) entry(uri string) *cachedSet {
	if set, ok := c.sets.Get(uri); ok {
		return set
	}
	set := &cachedSet{}
	if before, there, _ := c.sets.PeekOrAdd(uri, set); there {
		return before
	}
	return set
}

// find looks into a fresh set. What it lacks may be there since, if the last
// fetch failed.
func (s *cachedSet) find(c *Cache, kid string) (PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.keys != nil && !elapsed(s.fetched, c.cfg.Now(), c.cfg.MaxAge)
	key, ok := s.keys[kid]
	switch {
	case fresh && ok:
		return key, nil
	case s.err != nil:
		return PublicKey{}, s.err
	case !fresh:
		return PublicKey{}, ErrKeySource
	}
	return PublicKey{}, ErrNoKey
}

// stale looks into a set that is too old because fetching fails.
func (s *cachedSet) stale(c *Cache, kid string) (PublicKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || elapsed(s.fetched, c.cfg.Now(), staleFactor*c.cfg.MaxAge) {
		return PublicKey{}, false
	}
	key, ok := s.keys[kid]
	return key, ok
}

func (s *cachedSet) mayFetch(c *Cache) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return elapsed(s.tried, c.cfg.Now(), s.pause)
}

// refresh fetches once for all who wait; one caller's cancelling does not fail
// the others. Within the pause it does nothing.
func (s *cachedSet) refresh(ctx context.Context, c *Cache, uri string) error {
	done := s.start(ctx, c, uri)
	if done == nil {
		return nil
	}
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrKeySource, ctx.Err())
	}
}

// start gives the end of the fetch that runs, beginning it if need be; nil
// within the pause.
func (s *cachedSet) start(ctx context.Context, c *Cache, uri string) <-chan singleflight.Result {
	if !s.mayFetch(c) {
		return nil
	}
	return s.flight.DoChan("", func() (any, error) {
		if !s.mayFetch(c) { // somebody else was faster
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return nil, s.fetch(ctx, c, uri)
	})
}

func (s *cachedSet) fetch(ctx context.Context, c *Cache, uri string) error {
	data, err := c.cfg.Fetch(ctx, uri)
	var keys []PublicKey
	if err == nil {
		keys, err = parseJWKS(data)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.pause = c.cfg.Now(), c.cfg.Pause
	if err != nil {
		s.pause = c.cfg.FailurePause(err)
		s.err = fmt.Errorf("%w: %w", ErrKeySource, err)
		return s.err
	}
	s.err, s.fetched, s.keys = nil, s.tried, index(keys)
	return nil
}
