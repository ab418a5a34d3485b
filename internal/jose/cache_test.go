package jose_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// hand is a time that tests move.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: time.Unix(1_800_000_000, 0)} }

func (c *hand) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *hand) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// source is somebody's key set, counted.
type source struct {
	*hand

	mu       sync.Mutex
	document []byte
	err      error
	fetches  int
	block    chan struct{} // if set, fetches wait for it
	began    chan struct{} // if set, gets a value at each fetch
}

func newSource(kids ...string) *source {
	s := &source{hand: newHand()}
	s.serve(kids...)
	return s
}

func (s *source) serve(kids ...string) {
	keys := make([]members, len(kids))
	for i, kid := range kids {
		keys[i] = ecKey.JWK(members{"kid": kid})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.document, s.err = josetest.JWKS(keys...), nil
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) fetch(ctx context.Context, _ string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	if s.began != nil {
		s.began <- struct{}{}
	}
	if s.block != nil {
		<-s.block
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.document, s.err
}

func (s *source) cache(cfg jose.CacheConfig) *jose.Cache {
	cfg.Fetch, cfg.Now = s.fetch, s.Now
	return jose.NewCache(cfg)
}

func (s *source) wantFetches(t *testing.T, want int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetches != want {
		t.Errorf("%d fetches, want %d", s.fetches, want)
	}
}

const uri = "https://op.example/jwks"

func wantKey(t *testing.T, keys jose.KeySet, kid string, want error) {
	t.Helper()
	key, err := keys.Key(t.Context(), kid, "ES256")
	if !errors.Is(err, want) || want == nil && key.KID != kid || want != nil && key.Key != nil {
		t.Errorf("Key(%s) = %+v, %v, want %v", kid, key, err, want)
	}
}

func TestSEC_09_CacheMissesCollapse(t *testing.T) {
	s := newSource("a")
	s.block = make(chan struct{})
	cache := s.cache(jose.CacheConfig{})
	var ready, done sync.WaitGroup
	for range 100 {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			wantKey(t, cache.Keys(uri), "a", nil)
		})
	}
	ready.Wait()
	close(s.block)
	done.Wait()
	s.wantFetches(t, 1)
	wantKey(t, cache.Keys(uri), "a", nil)
	s.wantFetches(t, 1)
	wantKey(t, cache.Keys(uri+"2"), "a", nil) // another URI is another set
	s.wantFetches(t, 2)
}

func TestSEC_09_NothingIsFetchedAtFirst(t *testing.T) {
	s := newSource("a")
	s.cache(jose.CacheConfig{}).Keys(uri)
	s.wantFetches(t, 0)
}

func TestSEC_09_CancelOfOneFailsNobodyElse(t *testing.T) {
	s := newSource("a")
	s.block, s.began = make(chan struct{}), make(chan struct{}, 1)
	keys := s.cache(jose.CacheConfig{}).Keys(uri)
	ctx, cancel := context.WithCancel(t.Context())
	var first, second sync.WaitGroup
	first.Go(func() {
		if _, err := keys.Key(ctx, "a", "ES256"); !errors.Is(err, jose.ErrKeySource) || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	<-s.began
	second.Go(func() { wantKey(t, keys, "a", nil) })
	cancel()
	first.Wait() // does not wait for the fetch
	close(s.block)
	second.Wait()
	s.wantFetches(t, 1)
}

func TestSEC_09_FetchHasADeadline(t *testing.T) {
	var left time.Duration
	keys := jose.NewCache(jose.CacheConfig{Now: newHand().Now, Fetch: func(ctx context.Context, _ string) ([]byte, error) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return nil, errors.New("down")
	}}).Keys(uri)
	wantKey(t, keys, "a", jose.ErrKeySource)
	if left <= 0 || left > 10*time.Second {
		t.Errorf("a fetch has %v, want at most 10s", left)
	}
}

func TestSEC_09_SizeIsBounded(t *testing.T) {
	s := newSource("a")
	cache := s.cache(jose.CacheConfig{Size: 2})
	for i := range 10 {
		wantKey(t, cache.Keys(fmt.Sprint(uri, i)), "a", nil)
	}
	s.wantFetches(t, 10)
	wantKey(t, cache.Keys(uri+"9"), "a", nil)
	wantKey(t, cache.Keys(uri+"8"), "a", nil)
	s.wantFetches(t, 10)
	wantKey(t, cache.Keys(uri+"0"), "a", nil)
	s.wantFetches(t, 11)
}

func TestSEC_09_FailurePause(t *testing.T) {
	soon := errors.New("soon")
	pause := func(err error) time.Duration {
		if errors.Is(err, soon) {
			return 5 * time.Second
		}
		return 30 * time.Second
	}
	for name, tc := range map[string]struct {
		pause func(error) time.Duration
		err   error
		want  time.Duration
	}{
		"default":  {nil, soon, time.Minute},
		"soon":     {pause, soon, 5 * time.Second},
		"later":    {pause, errors.New("later"), 30 * time.Second},
		"document": {pause, nil, 30 * time.Second},
		"never":    {func(error) time.Duration { return 0 }, soon, 0},
	} {
		t.Run("SEC-09 "+name, func(t *testing.T) {
			s := newSource()
			s.document = []byte("<html>")
			s.fail(tc.err)
			keys := s.cache(jose.CacheConfig{FailurePause: tc.pause}).Keys(uri)
			wantKey(t, keys, "a", jose.ErrKeySource)
			if tc.want > 0 {
				s.pass(tc.want - 1)
				wantKey(t, keys, "a", jose.ErrKeySource)
				s.wantFetches(t, 1)
				s.pass(1)
			}
			s.serve("a")
			wantKey(t, keys, "a", nil)
			s.wantFetches(t, 2)
			s.pass(time.Minute - 1) // the pause after a success is another
			wantKey(t, keys, "b", jose.ErrNoKey)
			s.wantFetches(t, 2)
			s.pass(1)
			wantKey(t, keys, "b", jose.ErrNoKey)
			s.wantFetches(t, 3)
		})
	}
}
