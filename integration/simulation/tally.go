package main

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// visit is one flow of a legitimate person.
type visit struct {
	person         int
	domain         string
	works          bool
	lookedUp, took time.Duration
	err            error
}

// tally counts what became of the flows.
type tally struct {
	mu       sync.Mutex
	counting bool
	people   []bool          // who had a grant
	domains  map[string]bool // where somebody had one

	attacks                int
	all, dead              int
	waited, forKeys        int
	known, place, stranger share // people with a grant; others at a known domain; the rest
	failed, unknownKey     int
	waits                  []time.Duration
	why                    map[string]int
}

// share counts flows, those that our own bounds refused, and those that waited.
type share struct{ all, refused, slowed int }

func (s share) percent() float64 { return percent(s.refused, s.all) }
func (s share) waited() float64  { return percent(s.slowed, s.all) }

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

func newTally(people int) *tally {
	return &tally{people: make([]bool, people), domains: map[string]bool{}, why: map[string]int{}}
}

func (t *tally) flow(v visit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counting {
		t.count(v)
	}
	if v.err == nil {
		t.people[v.person], t.domains[v.domain] = true, true
	}
}

func (t *tally) count(v visit) {
	if t.all++; !v.works {
		t.dead++
		return
	}
	if v.took > 0 {
		t.waited++
		t.waits = append(t.waits, v.took)
	}
	if v.took > v.lookedUp {
		t.forKeys++
	}
	of := t.groupOf(v)
	if of.all++; v.took > 0 {
		of.slowed++
	}
	switch {
	case v.err == nil:
	case isOurs(v.err):
		of.refused++
		t.why[reason(v.err)]++
	case errors.Is(v.err, jose.ErrNoKey):
		t.unknownKey++
	default:
		t.failed++
		t.why[reason(v.err)]++
	}
}

func (t *tally) groupOf(v visit) *share {
	switch {
	case t.people[v.person]:
		return &t.known
	case t.domains[v.domain]:
		return &t.place
	default:
		return &t.stranger
	}
}

// isOurs tells a refusal by our own bounds.
func isOurs(err error) bool {
	return strings.HasPrefix(discovery.Reason(err), "too many") || strings.Contains(err.Error(), "too many wait")
}

func reason(err error) string {
	if r := discovery.Reason(err); r != "" {
		return r
	}
	return err.Error()
}

func (t *tally) attack(error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counting {
		t.attacks++
	}
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counting = true
}

// wait is a quantile of the times of those who waited.
func (t *tally) wait(q float64) time.Duration {
	if len(t.waits) == 0 {
		return 0
	}
	slices.Sort(t.waits)
	return t.waits[int(q*float64(len(t.waits)-1))]
}
