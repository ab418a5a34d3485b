package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// clients is how many connections the load has: 32, as in the measurements that the
// goals stem from.
const clients = 32

// op is one unit of work of one client. The error says what was not as expected; a
// *statusError is an answer with another status.
type op func() error

// statusError is an answer that was not expected.
type statusError struct {
	step      string
	got, want int
	body      string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: status %d instead of %d: %s", e.step, e.got, e.want, e.body)
}

// expect checks the status of an answer.
func expect(step string, a answer, err error, want int) error {
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	if a.status != want {
		return &statusError{step, a.status, want, string(a.body[:min(len(a.body), 300)])}
	}
	return nil
}

// tally is what a load did.
type tally struct {
	ops, errors, unexpected int64
	firstError              error
	took                    time.Duration
	latencies               []time.Duration // of what went well, sorted
}

// add counts one op.
func (t *tally) add(err error, latency time.Duration) {
	t.ops++
	if err == nil {
		t.latencies = append(t.latencies, latency)
		return
	}
	if _, isStatus := err.(*statusError); isStatus { //nolint:errorlint // expect never wraps it
		t.unexpected++
	} else {
		t.errors++
	}
	if t.firstError == nil {
		t.firstError = err
	}
}

// closedLoop runs the ops, one client each, one request after the other, until the
// time is over.
func closedLoop(ops []op, d time.Duration) tally {
	return run(ops, func(one func()) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			one()
		}
	})
}

// fixedNumber runs n ops in all, at most perSecond of them in a second; 0 is as fast as
// possible.
func fixedNumber(ops []op, n, perSecond int64) tally {
	var next atomic.Int64
	start := time.Now()
	return run(ops, func(one func()) {
		for {
			i := next.Add(1) - 1
			if i >= n {
				return
			}
			if perSecond > 0 {
				due := start.Add(time.Duration(float64(i) / float64(perSecond) * float64(time.Second)))
				time.Sleep(time.Until(due))
			}
			one()
		}
	})
}

// pausedLoop is a loop for run: until done is closed, with a pause before each op.
func pausedLoop(pause time.Duration, done <-chan struct{}) func(func()) {
	return func(one func()) {
		for {
			select {
			case <-done:
				return
			case <-time.After(pause):
				one()
			}
		}
	}
}

// after gives a channel that is closed then.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// run starts one goroutine for each op and sums up what they did.
func run(ops []op, loop func(one func())) tally {
	parts := make([]tally, len(ops))
	start := time.Now()
	var all sync.WaitGroup
	for i, do := range ops {
		all.Go(func() {
			loop(func() {
				began := time.Now()
				err := do()
				parts[i].add(err, time.Since(began))
			})
		})
	}
	all.Wait()
	sum := tally{took: time.Since(start)}
	for _, p := range parts {
		sum.ops += p.ops
		sum.errors += p.errors
		sum.unexpected += p.unexpected
		sum.latencies = append(sum.latencies, p.latencies...)
		if sum.firstError == nil {
			sum.firstError = p.firstError
		}
	}
	slices.Sort(sum.latencies)
	return sum
}
