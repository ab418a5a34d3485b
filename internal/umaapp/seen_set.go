package umaapp

import "sync"

// seenSet remembers texts, at least the last size of them and at most twice as
// many.
type seenSet struct {
	size int

	mu       sync.RWMutex
	now, old map[string]struct{}
}

// add tells whether a text is new.
func (s *seenSet) add(text string) bool {
	s.mu.RLock()
	_, there := s.now[text]
	s.mu.RUnlock()
	if there {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there = s.now[text]
	_, before := s.old[text]
	if len(s.now) >= s.size {
		s.old, s.now = s.now, nil
	}
	if s.now == nil {
		s.now = make(map[string]struct{})
	}
	s.now[text] = struct{}{}
	return !there && !before
}
