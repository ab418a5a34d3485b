package umaapp

import "sync"

// seenSet remembers things, at least the last size of them and at most twice as
// many.
type seenSet[T comparable] struct {
	size int

	mu       sync.RWMutex
	now, old map[T]struct{}
}

// add tells whether a thing is new.
func (s *seenSet[T]) add(thing T) bool {
	s.mu.RLock()
	_, there := s.now[thing]
	s.mu.RUnlock()
	if there {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there = s.now[thing]
	_, before := s.old[thing]
	if len(s.now) >= s.size {
		s.old, s.now = s.now, nil
	}
	if s.now == nil {
		s.now = make(map[T]struct{})
	}
	s.now[thing] = struct{}{}
	return !there && !before
}
