package rs

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on questions under way. Anybody can invent tokens: unknown ones must not
// take the places of those that are asked about again, nor one source all of them.
const (
	maxUnknown   = 64
	maxPerSource = 16
	maxKnown     = 256
)

// limitError says that a source asks about too many tokens that are none.
type limitError struct{ wait time.Duration }

func (e *limitError) Error() string { return "too many tokens that are none" }

var errBusy = errors.New("too many questions to the authorization server are under way")

// slots are the questions under way.
type slots struct {
	mu             sync.Mutex
	known, unknown int
	bySource       map[string]int // of the unknown ones
}

// enter admits a question, if the bounds allow; leave ends it. A token that turns
// out to be good costs its source nothing (see Limiter.Return).
func (a *asker) enter(source string, known bool) (leave func(), err error) {
	if known {
		source = ""
	} else if ok, wait := a.s.cfg.Asking.Allow(source); !ok {
		return nil, &limitError{wait}
	}
	if !a.slots.take(source, known) {
		return nil, errBusy
	}
	return func() { a.slots.give(source, known) }, nil
}

func (s *slots) take(source string, known bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case known && s.known < maxKnown:
		s.known++
		return true
	case known || s.unknown >= maxUnknown || s.bySource[source] >= maxPerSource:
		return false
	}
	if s.bySource == nil {
		s.bySource = map[string]int{}
	}
	s.unknown++
	s.bySource[source]++
	return true
}

func (s *slots) give(source string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known {
		s.known--
		return
	}
	s.unknown--
	if s.bySource[source]--; s.bySource[source] == 0 {
		delete(s.bySource, source)
	}
}

// pause is a short time after something happened.
type pause struct {
	length time.Duration
	until  atomic.Int64 // in nanoseconds since 1970
}

// holds tells whether the pause lasts. One that ends later than its length from now
// is of before the clock was set back.
func (p *pause) holds(now time.Time) bool {
	left := p.until.Load() - now.UnixNano()
	return left > 0 && left <= int64(p.length)
}

// begin begins the pause and tells whether there was none.
func (p *pause) begin(now time.Time) bool {
	if p.holds(now) {
		return false
	}
	p.until.Store(now.Add(p.length).UnixNano())
	return true
}
