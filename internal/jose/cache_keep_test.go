package jose_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
)

func TestSEC_09_KeptSetsAreNotPushedOut(t *testing.T) {
	for _, kept := range []bool{true, false} {
		s := newSource("a")
		cache := s.cache(jose.CacheConfig{Size: 8})
		wantKey(t, cache.Keys(uri), "a", nil)
		if kept {
			cache.Keep(uri)
		}
		for i := range 100 {
			wantKey(t, cache.Keys(fmt.Sprint(uri, i)), "a", nil)
		}
		wantKey(t, cache.Keys(uri), "a", nil)
		if want := map[bool]int{true: 101, false: 102}[kept]; cache.Kept(uri) != kept {
			t.Errorf("Kept = %v, want %v", cache.Kept(uri), kept)
		} else {
			s.wantFetches(t, want)
		}
	}
	s := newSource("a")
	cache := s.cache(jose.CacheConfig{Size: 8})
	for i := range 100 { // and those are bounded too: asking does not make younger
		cache.Keep(fmt.Sprint(uri, i))
		wantKey(t, cache.Keys(uri+"0"), "a", nil)
	}
	if cache.Kept(uri+"0") || cache.Kept(uri+"91") || !cache.Kept(uri+"92") {
		t.Error("not the last eight are kept")
	}
}

func TestSEC_09_WhoBeginsAFetchIsAsked(t *testing.T) {
	s := newSource("a")
	cache := s.cache(jose.CacheConfig{})
	full := errors.New("full")
	asked := 0
	refused := cache.KeysIf(uri, func() error { asked++; return full })
	wantKey(t, refused, "a", full)
	wantKey(t, refused, "a", jose.ErrKeySource)
	s.wantFetches(t, 0)
	wantKey(t, cache.KeysIf(uri, func() error { return nil }), "a", nil) // not remembered
	s.wantFetches(t, 1)
	wantKey(t, refused, "a", nil)           // in the cache
	wantKey(t, refused, "b", jose.ErrNoKey) // within the pause
	s.pass(time.Minute)
	wantKey(t, refused, "b", full)
	if s.wantFetches(t, 1); asked != 3 {
		t.Errorf("asked %d times, want 3", asked)
	}
}

func TestSEC_09_KnownNeverFetches(t *testing.T) {
	s := newSource("a")
	cache := s.cache(jose.CacheConfig{})
	wantKey(t, cache.Known(uri), "a", jose.ErrKeySource)
	s.wantFetches(t, 0)
	wantKey(t, cache.Keys(uri), "a", nil)
	wantKey(t, cache.Known(uri), "a", nil)
	s.pass(time.Minute)
	wantKey(t, cache.Known(uri), "b", jose.ErrNoKey)
	s.pass(14*time.Minute - 1)
	wantKey(t, cache.Known(uri), "a", nil)
	s.pass(1) // a kid may have another key by now
	wantKey(t, cache.Known(uri), "a", jose.ErrKeySource)
	s.wantFetches(t, 1)
}

// 300 callers, one fetch that hangs: 256 wait.
func TestSEC_09_WaitersAreBounded(t *testing.T) {
	s := newSource("a")
	block := make(chan struct{})
	s.block = block
	keys := s.cache(jose.CacheConfig{}).Keys(uri)
	const callers, mayWait = 300, 256
	errs := make(chan error, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			_, err := keys.Key(t.Context(), "a", "ES256")
			errs <- err
		})
	}
	for range callers - mayWait { // those who may not wait are back at once
		if err := <-errs; !errors.Is(err, jose.ErrKeySource) {
			t.Errorf("one too many: %v, want ErrKeySource", err)
		}
	}
	close(block)
	all.Wait()
	for range mayWait {
		if err := <-errs; err != nil {
			t.Errorf("one who waited: %v", err)
		}
	}
	s.wantFetches(t, 1)
}

// A set of 64 large keys is many times what is usual; so many of them are not
// kept as there may be sets.
func TestSEC_09_KeysAreBounded(t *testing.T) {
	s := newSource()
	s.document = []byte(fakeop.KeySet(64, 2048))
	cache := s.cache(jose.CacheConfig{Size: 32})
	for i := range 12 {
		if _, err := cache.Keys(fmt.Sprint(uri, i)).Key(t.Context(), "k63", "RS256"); err != nil {
			t.Fatal(err)
		}
	}
	there := 0
	for i := range 12 {
		if _, err := cache.Known(fmt.Sprint(uri, i)).Key(t.Context(), "k0", "RS256"); err == nil {
			there++
		}
	}
	if there != 2 {
		t.Errorf("%d sets of 64 keys are remembered, want 2 for 128 keys", there)
	}
}

// What is remembered of a bad document is short, whatever is in it.
func TestSEC_09_FailuresQuoteNobody(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, document := range []string{
		`{"` + long + `":1,"` + long + `":1}`,
		`{"keys":[{"` + long + `":1,"` + long + `":1}]}`,
		`{"keys":"` + long + `"}`, long,
	} {
		s := newSource()
		s.document = []byte(document)
		_, err := s.cache(jose.CacheConfig{}).Keys(uri).Key(t.Context(), "a", "ES256")
		if err == nil || len(err.Error()) > 200 {
			t.Errorf("an error of %d characters, want a short one", len(err.Error()))
		}
	}
}

func TestSEC_09_MemoryOfKeySets(t *testing.T) {
	const size = 500 // a twentieth of the default: 2000 keys, or 31 full sets
	document := []byte(fakeop.KeySet(64, 4096))
	cache := jose.NewCache(jose.CacheConfig{
		Size:  size,
		Fetch: func(context.Context, string) ([]byte, error) { return document, nil },
		Now:   newHand().Now,
	})
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range 100 {
		if _, err := cache.Keys(fmt.Sprint(uri, i)).Key(t.Context(), "k1", "RS256"); err != nil {
			t.Fatal(err)
		}
	}
	grown := heap() - before
	t.Logf("100 sets of 64 keys of 4096 bits: %d KiB", grown>>10)
	if grown > size*8<<10 {
		t.Errorf("%d KiB", grown>>10)
	}
	runtime.KeepAlive(cache)
}
