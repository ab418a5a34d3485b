package jose

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// keysPerSet is how many keys a set may have on average. A set may have 64 of
// 4096 bits: 10000 of those would take half a gigabyte (CONFORMANCE SEC-09).
const keysPerSet = 4

// segments are the sets that anybody can bring in by asking, and those that Keep
// named. A set is in one of them.
type segments struct {
	mu         sync.Mutex
	open, kept *segment
}

// segment is bounded in sets and in keys.
type segment struct {
	sets *simplelru.LRU[string, *weighed]
	keys int
	most int
}

type weighed struct {
	set  *cachedSet
	keys int
}

func newSegments(size int) *segments {
	return &segments{open: newSegment(size), kept: newSegment(size)}
}

func newSegment(size int) *segment {
	s := &segment{most: max(keysPerSet*size, maxKeys)}
	sets, err := simplelru.NewLRU(size, func(_ string, w *weighed) { s.keys -= w.keys })
	if err != nil {
		panic(err) // the size is positive
	}
	s.sets = sets
	return s
}

// entry gives the set of a URI, a new one if need be. That a kept one is asked
// for does not make it younger: only Keep does.
func (s *segments) entry(uri string) *cachedSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.kept.sets.Peek(uri); ok {
		return w.set
	}
	if w, ok := s.open.sets.Get(uri); ok {
		return w.set
	}
	w := &weighed{set: &cachedSet{}}
	s.open.sets.Add(uri, w)
	return w.set
}

func (s *segments) peek(uri string) (*cachedSet, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range []*segment{s.kept, s.open} {
		if w, ok := in.sets.Peek(uri); ok {
			return w.set, true
		}
	}
	return nil, false
}

func (s *segments) isKept(uri string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.sets.Contains(uri)
}

func (s *segments) keep(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.kept.sets.Get(uri); ok {
		return
	}
	w, ok := s.open.sets.Peek(uri)
	if !ok {
		w = &weighed{set: &cachedSet{}}
	}
	n := w.keys
	s.open.sets.Remove(uri)
	w.keys = 0
	s.kept.sets.Add(uri, w)
	s.kept.weigh(w, n)
}

// weigh notes how many keys a set has. One that was pushed out meanwhile lives
// only as long as those who use it.
func (s *segments) weigh(uri string, set *cachedSet, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range []*segment{s.kept, s.open} {
		if w, ok := in.sets.Peek(uri); ok && w.set == set {
			in.weigh(w, n)
		}
	}
}

func (s *segment) weigh(w *weighed, n int) {
	s.keys += n - w.keys
	w.keys = n
	for s.keys > s.most && s.sets.Len() > 1 {
		s.sets.RemoveOldest()
	}
}
