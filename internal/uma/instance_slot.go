package uma

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// The bound on the instances of a pattern is kept by slots, numbered from 0: who
// registers an instance creates the document of a free slot in the same commit, and
// both expire together. So the bound is exact, also on several nodes; nothing can be
// counted twice or forgotten, whatever fails in between; and two instances that are
// registered at once seldom meet, which they always would at a counter.

// slotRecord is a slot that is taken.
type slotRecord struct {
	version
	Slot int `json:"slot"`
}

func slotID(pattern string, n int) string { return pattern + "." + strconv.Itoa(n) }

const (
	// slotProbes is how many slots are tried before all are looked through.
	slotProbes = 16
	// fullPause is how long a pattern that was full is taken to be full.
	fullPause = 10 * time.Second
)

// fullPatterns remembers until when a pattern is taken to be full.
type fullPatterns struct{ until *lru.Cache[string, time.Time] }

func newFullPatterns() fullPatterns {
	cache, _ := lru.New[string, time.Time](1024) // fails for sizes below 1 alone
	return fullPatterns{cache}
}

// has tells whether a pattern is full. Who raises the bound need not wait.
func (f fullPatterns) has(pattern string, bound int, now time.Time) bool {
	until, known := f.until.Get(slotID(pattern, bound))
	return known && now.Before(until)
}

func (f fullPatterns) add(pattern string, bound int, until time.Time) {
	f.until.Add(slotID(pattern, bound), until)
}

// freeSlot finds a slot below the bound that is free and that no op takes: at
// random first, and by looking through all of them if most are taken.
func (s *Server) freeSlot(ctx context.Context, pattern string, bound int, ops []store.Op) (int, bool, error) {
	if s.full.has(pattern, bound, s.cfg.Now()) {
		return 0, false, nil
	}
	for range slotProbes {
		n := rand.IntN(bound) //nolint:gosec // whoever guesses a slot wins nothing
		_, err := s.cfg.Store.Get(ctx, s.key(kindSlot, slotID(pattern, n)))
		if absent(err) && !takes(ops, slotID(pattern, n)) {
			return n, true, nil
		}
		if err != nil && !absent(err) {
			return 0, false, err
		}
	}
	return s.searchSlot(ctx, pattern, bound, ops)
}

// takes tells whether an op creates a slot.
func takes(ops []store.Op, slot string) bool {
	for _, op := range ops {
		if op.Doc.Kind == kindSlot && op.Doc.ID == slot {
			return true
		}
	}
	return false
}

// searchSlot looks through all slots of a pattern.
func (s *Server) searchSlot(ctx context.Context, pattern string, bound int, ops []store.Op) (int, bool, error) {
	taken, err := s.takenSlots(ctx, pattern, bound)
	if err != nil {
		return 0, false, err
	}
	start := rand.IntN(bound) //nolint:gosec // as above
	for i := range bound {
		n := (start + i) % bound
		if !taken[n] && !takes(ops, slotID(pattern, n)) {
			return n, true, nil
		}
	}
	s.full.add(pattern, bound, s.cfg.Now().Add(fullPause))
	return 0, false, nil
}

func (s *Server) takenSlots(ctx context.Context, pattern string, bound int) ([]bool, error) {
	const page = 1000
	taken := make([]bool, bound)
	for after := ""; ; {
		docs, err := s.cfg.Store.List(ctx, s.tenant, kindSlot, pattern, after, page)
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			after = doc.ID
			n, err := strconv.Atoi(strings.TrimPrefix(doc.ID, pattern+"."))
			if err == nil && n >= 0 && n < bound {
				taken[n] = true
			}
		}
		if len(docs) < page {
			return taken, nil
		}
	}
}
