package jose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// StaleFactor: while fetching fails, a set is used for this many MaxAges.
const StaleFactor = 3

// fetchTimeout bounds a fetch that several callers wait for.
const fetchTimeout = 10 * time.Second

// maxWaiting is how many callers may wait for one fetch: a source that is slow
// on purpose must not collect requests of ours (CONFORMANCE SEC-09).
const maxWaiting = 256

var errWaiting = errors.New("too many wait for it")

// cachedSet is what is known of one URI.
type cachedSet struct {
	mu      sync.Mutex
	keys    Set
	count   int // of keys
	err     error
	fetched time.Time // of keys
	tried   time.Time
	pause   time.Duration // since tried

	running chan struct{} // of the one fetch that all wait for; closed at its end
	waiting int
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
	if s.err == nil || elapsed(s.fetched, c.cfg.Now(), StaleFactor*c.cfg.MaxAge) {
		return PublicKey{}, false
	}
	key, ok := s.keys[kid]
	return key, ok
}

// refresh fetches once for all who wait; one caller's cancelling does not fail
// the others. Within the pause it does nothing.
func (s *cachedSet) refresh(ctx context.Context, r remoteSet) error {
	done, err := s.start(ctx, r)
	if done == nil || err != nil {
		return err
	}
	if !s.line() {
		return fmt.Errorf("%w: %w", ErrKeySource, errWaiting)
	}
	defer s.leave()
	select {
	case <-done:
		return s.failure()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrKeySource, ctx.Err())
	}
}

// start gives the end of the fetch that runs, beginning it if need be; nil
// within the pause.
func (s *cachedSet) start(ctx context.Context, r remoteSet) (done <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running, nil
	}
	if !elapsed(s.tried, r.cache.cfg.Now(), s.pause) {
		return nil, nil
	}
	if r.admit != nil {
		if err := r.admit(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKeySource, err)
		}
	}
	s.running = make(chan struct{})
	go s.fetch(context.WithoutCancel(ctx), r.cache, r.uri, s.running)
	return s.running, nil
}

func (s *cachedSet) line() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting >= maxWaiting {
		return false
	}
	s.waiting++
	return true
}

func (s *cachedSet) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}

func (s *cachedSet) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *cachedSet) fetch(ctx context.Context, c *Cache, uri string, done chan<- struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, err := read(ctx, c, uri)
	if err != nil {
		c.cfg.Failed(uri, err)
	}
	n := s.put(c, keys, err)
	c.sets.weigh(uri, s, n)
	s.land(done)
}

// read recovers: in a goroutine of its own a panic at somebody's key set would end
// the process, and leave those behind who wait.
func read(ctx context.Context, c *Cache, uri string) (keys []PublicKey, err error) {
	defer func() {
		if p := recover(); p != nil {
			keys, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	data, err := c.cfg.Fetch(ctx, uri)
	if err != nil {
		return nil, err
	}
	return parseJWKS(data)
}

// put takes the result of a fetch and tells how many keys there are now.
func (s *cachedSet) put(c *Cache, keys []PublicKey, err error) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.pause = c.cfg.Now(), c.cfg.Pause
	if err != nil {
		s.pause = c.cfg.FailurePause(err)
		s.err = fmt.Errorf("%w: %w", ErrKeySource, err)
		return s.count
	}
	s.err, s.fetched, s.keys, s.count = nil, s.tried, index(keys), len(keys)
	return s.count
}

func (s *cachedSet) land(done chan<- struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
	close(done)
}
