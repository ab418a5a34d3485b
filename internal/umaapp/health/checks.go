package health

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Times of the checks.
const (
	// MaxAge is how long an outcome counts: whoever reaches uma_health cannot
	// make it ask the database, or an authorization server, more often.
	MaxAge = time.Second
	// MaxTime is how long a check may take.
	MaxTime = 2 * time.Second
)

var errHanging = errors.New("the check does not come to an end")

// Checks are those of one configuration. The zero value has none.
type Checks struct {
	mu     sync.Mutex
	checks []*runningCheck
	sorted bool
	last   *round
}

// round is one run of all checks; results and at are set before done is closed.
type round struct {
	done    chan struct{}
	results []Result
	at      time.Time
}

// Result is how a check came out; no trouble is well.
type Result struct {
	*Check
	Trouble *Error
}

// Add adds a check.
func (h *Checks) Add(c Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks, h.sorted = append(h.checks, &runningCheck{Check: c}), false
}

// Report gives the outcome of all checks, at most MaxAge old. Those who ask at
// the same time share one run, which does not end with who began it.
func (h *Checks) Report(ctx context.Context, now func() time.Time, log *zap.Logger) ([]Result, error) {
	h.mu.Lock()
	r := h.last
	if r == nil || r.old(now()) {
		if !h.sorted {
			h.sorted = true
			slices.SortStableFunc(h.checks, (*runningCheck).compare)
		}
		r = &round{done: make(chan struct{})}
		h.last = r
		go r.run(context.WithoutCancel(ctx), slices.Clone(h.checks), now, log)
	}
	h.mu.Unlock()
	select {
	case <-r.done:
		return r.results, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// old tells whether a run is over and no longer counts.
func (r *round) old(now time.Time) bool {
	select {
	case <-r.done:
		return now.Before(r.at) || now.Sub(r.at) >= MaxAge
	default:
		return false
	}
}

func (r *round) run(ctx context.Context, checks []*runningCheck, now func() time.Time, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	ends := make([]<-chan struct{}, len(checks))
	for i, c := range checks {
		ends[i] = c.start(ctx)
	}
	for i, c := range checks {
		err := errHanging
		select {
		case <-ends[i]:
			err = c.outcome()
		case <-ctx.Done():
			select { // both: the end counts
			case <-ends[i]:
				err = c.outcome()
			default:
			}
		}
		res := Result{&c.Check, c.trouble(err)}
		c.note(log, res)
		r.results = append(r.results, res)
	}
	r.at = now()
	close(r.done)
}
