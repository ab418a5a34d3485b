package discovery

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

func never() error { return nil }

// 300 callers of one look-up, then of many: the rest is back at once.
func TestSEC_09_CallersWhoWaitAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		callers, mayWait int
		key              func(int) string
	}{
		"one look-up":   {300, waitPerLookup, func(int) string { return "a" }},
		"many look-ups": {1100, waitForAll, func(i int) string { return strconv.Itoa(i / 4) }},
	} {
		f := newFlights()
		block := make(chan struct{})
		errs := make(chan error, tc.callers)
		var all sync.WaitGroup
		for i := range tc.callers {
			all.Go(func() {
				found, err := f.wait(t.Context(), tc.key(i), never, func() (Found, error) {
					<-block
					return Found{Issuer: "x"}, nil
				})
				if err == nil && found.Issuer != "x" {
					err = errors.New("another result")
				}
				errs <- err
			})
		}
		for range tc.callers - tc.mayWait {
			if err := <-errs; !errors.Is(err, ErrTemporary) || keepFor(err) != 0 {
				t.Errorf("SEC-09 %s, one too many: %v", name, err)
			}
		}
		close(block)
		all.Wait()
		for range tc.mayWait {
			if err := <-errs; err != nil {
				t.Errorf("SEC-09 %s: %v", name, err)
			}
		}
		if f.waiting != 0 || len(f.running) != 0 {
			t.Errorf("SEC-09 %s: %d wait, %d run afterwards", name, f.waiting, len(f.running))
		}
	}
}

// Who joins a look-up is asked nothing; who is refused begins none.
func TestSEC_09_OnlyWhoBeginsIsAsked(t *testing.T) {
	f := newFlights()
	full := errors.New("full")
	refuse := func() error { return full }
	block := make(chan struct{})
	run := func() (Found, error) { <-block; return Found{}, nil }
	if _, err := f.wait(t.Context(), "a", refuse, run); !errors.Is(err, full) || len(f.running) != 0 {
		t.Errorf("refused: %v, %d run", err, len(f.running))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.wait(gone, "a", never, run); !errors.Is(err, ErrTemporary) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := f.wait(gone, "a", refuse, run); errors.Is(err, full) {
		t.Error("who joins is asked")
	}
	close(block)
	if _, err := f.wait(t.Context(), "a", never, run); err != nil {
		t.Errorf("the look-up that went on: %v", err)
	}
}

// Eight are in, 56 wait, and the next one is told so at once.
func TestSEC_09_QueueOfADomain(t *testing.T) {
	g := newBudget().domains
	block := make(chan struct{})
	var all sync.WaitGroup
	for range perDomain + 56 {
		all.Go(func() {
			leave, err := g.enter(t.Context(), "slow.test")
			if err != nil {
				t.Error(err)
				return
			}
			<-block
			leave()
		})
	}
	for full := false; !full; runtime.Gosched() {
		g.mu.Lock()
		full = g.byName["slow.test"] != nil && g.byName["slow.test"].users == perDomain+56
		g.mu.Unlock()
	}
	if _, err := g.enter(t.Context(), "slow.test"); !errors.Is(err, errBusy) {
		t.Errorf("one too many: %v", err)
	}
	leave, err := g.enter(t.Context(), "fast.test")
	if err != nil {
		t.Fatalf("another domain: %v", err)
	}
	leave()
	close(block)
	all.Wait()
	if len(g.byName) != 0 {
		t.Errorf("%d names are left", len(g.byName))
	}
}
