package jose_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

func TestSEC_10_FloodOfUnknownKids(t *testing.T) {
	s := newSource("a")
	keys := s.cache(jose.CacheConfig{}).Keys(uri)
	wantKey(t, keys, "a", nil)
	for round := range 3 {
		var flood sync.WaitGroup
		for i := range 50 {
			flood.Go(func() { wantKey(t, keys, fmt.Sprint("random-", i), jose.ErrNoKey) })
		}
		flood.Wait()
		s.wantFetches(t, 1+round)
		s.pass(time.Minute)
	}
	s.serve("a", "b")
	wantKey(t, keys, "b", nil) // a new key is found by its first token
	s.wantFetches(t, 4)
}

func TestSEC_10_RemovedKeys(t *testing.T) {
	for name, tc := range map[string]struct {
		maxAge, pause time.Duration
	}{
		"default": {0, 0}, "short": {5 * time.Minute, time.Minute}, "shorter than the pause": {time.Second, time.Hour},
	} {
		t.Run("SEC-10 "+name, func(t *testing.T) {
			s := newSource("a", "b")
			keys := s.cache(jose.CacheConfig{MaxAge: tc.maxAge, Pause: tc.pause}).Keys(uri)
			wantKey(t, keys, "a", nil)
			s.serve("b")
			if tc.maxAge == 0 {
				tc.maxAge = 15 * time.Minute
			}
			s.pass(tc.maxAge - 1)
			wantKey(t, keys, "a", nil)
			s.wantFetches(t, 1)
			s.pass(1)
			wantKey(t, keys, "a", jose.ErrNoKey)
			wantKey(t, keys, "b", nil)
			s.wantFetches(t, 2)
		})
	}
}

func TestSEC_10_StaleKeys(t *testing.T) {
	const maxAge = 15 * time.Minute
	s := newSource("a")
	keys := s.cache(jose.CacheConfig{MaxAge: maxAge}).Keys(uri)
	wantKey(t, keys, "a", nil)
	s.fail(errors.New("down"))
	s.pass(maxAge)
	wantKey(t, keys, "a", nil)
	wantKey(t, keys, "b", jose.ErrKeySource) // it may be there, nobody knows
	s.wantFetches(t, 2)
	s.pass(2*maxAge - 1)
	wantKey(t, keys, "a", nil)
	s.pass(1)
	wantKey(t, keys, "a", jose.ErrKeySource)
	s.serve("a")
	s.pass(time.Minute)
	wantKey(t, keys, "a", nil)

	s.serve("b") // and a stale key does not outlive a good answer
	s.pass(maxAge)
	wantKey(t, keys, "a", jose.ErrNoKey)
	s.fail(errors.New("down"))
	s.pass(maxAge)
	wantKey(t, keys, "a", jose.ErrKeySource)
	wantKey(t, keys, "b", nil)
}

// While a source hangs, keys that still count are used without waiting for it.
func TestSEC_10_StaleKeysDoNotWait(t *testing.T) {
	s := newSource("a")
	keys := s.cache(jose.CacheConfig{}).Keys(uri)
	wantKey(t, keys, "a", nil)
	s.fail(errors.New("down"))
	s.pass(15 * time.Minute)
	wantKey(t, keys, "a", nil)
	s.pass(time.Minute)
	s.serve("b")
	s.mu.Lock()
	block := make(chan struct{})
	s.block, s.began = block, make(chan struct{}, 1)
	s.mu.Unlock()
	wantKey(t, keys, "a", nil)
	<-s.began // and is fetched meanwhile
	wantKey(t, keys, "a", nil)
	close(block)
	wantKey(t, keys, "b", nil) // waits for that fetch
	wantKey(t, keys, "a", jose.ErrNoKey)
	s.wantFetches(t, 3)
}

// A set with a secret in it takes the place of no good one.
func TestSEC_04_SpoiltRefetch(t *testing.T) {
	s := newSource("a")
	keys := s.cache(jose.CacheConfig{}).Keys(uri)
	wantKey(t, keys, "a", nil)
	s.mu.Lock()
	s.document = josetest.JWKS(ecKey.JWK(members{"kid": "b"}), members{"kty": "oct", "kid": "o", "k": "AAAA"})
	s.mu.Unlock()
	s.pass(time.Minute)
	wantKey(t, keys, "b", jose.ErrKeySource)
	wantKey(t, keys, "a", nil)
}

func TestClockSetBack(t *testing.T) {
	s := newSource("a")
	keys := s.cache(jose.CacheConfig{}).Keys(uri)
	wantKey(t, keys, "a", nil)
	s.pass(-time.Hour)
	wantKey(t, keys, "a", nil)
	s.wantFetches(t, 2)
}
