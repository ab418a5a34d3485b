package umaapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Names of what uma_health looks at.
const (
	CheckStore      = "store"
	CheckKeys       = "keys"
	CheckNodes      = "nodes"
	CheckPolicies   = "policies"
	CheckAS         = "authorization_server"
	CheckStatusList = "status_list"
)

// healthWords are the checks in the order of the answer: what is said of one that
// failed, unless it knows better itself, and whether that makes the node unhealthy
// (503) where the directive does not say otherwise.
//
// What stands behind several nodes at once and is somebody else's does not: if all
// nodes of a resource server left the balancer because the authorization server is
// away, then people who have their RPT already would not get in either. A node that
// cannot write or has no keys can issue nothing, and one with other keys breaks what
// its neighbours have made.
var healthWords = []struct { //nolint:gochecknoglobals // a table of constants
	name, reason string
	fails        bool
}{
	{CheckStore, "the store cannot be written", true},
	{CheckKeys, "keys cannot be read or made", true},
	{CheckNodes, "the other nodes cannot be seen", true},
	{CheckPolicies, "another node runs newer policies", false},
	{CheckAS, "the authorization server cannot be reached", false},
	{CheckStatusList, "the status list is not fresh", false},
}

// Check is one thing that uma_health looks at.
type Check struct {
	// Name is one of those above.
	Name string
	// Role, Issuer and ClientID say whom it is about. They are public names, and
	// stand in an answer that the administrator wants detailed.
	Role, Issuer, ClientID string
	// Do gives nil if all is well. It is called at most once per second, never twice
	// at a time, and has two seconds; one that takes longer counts as failed until
	// it comes to an end. The text of its error is for the log alone, a HealthError says
	// more.
	Do func(context.Context) error
}

// HealthError is an error of a Check that says how bad it is.
type HealthError struct {
	// Reason is a sentence of ours, which anybody may read. Default: that of the check.
	Reason string
	// Mild: it is reported and never makes the node unhealthy.
	Mild bool
	// Err is the cause, for the log.
	Err error
}

// Error implements error.
func (t *HealthError) Error() string {
	if t.Err == nil {
		return t.Reason
	}
	return t.Err.Error()
}

// Unwrap gives the cause.
func (t *HealthError) Unwrap() error { return t.Err }

// RegisterCheck adds a check of this configuration. It is for Provision.
func (a *App) RegisterCheck(c Check) {
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	a.health.checks, a.health.sorted = append(a.health.checks, &runningCheck{Check: c}), false
}

// Times of the checks.
const (
	// healthAge is how long an outcome counts: whoever reaches uma_health cannot
	// make it ask the database, or an authorization server, more often.
	healthAge = time.Second
	// healthTime is how long a check may take.
	healthTime = 2 * time.Second
)

var errHanging = errors.New("the check does not come to an end")

// health is the checks of one configuration.
type health struct {
	mu     sync.Mutex
	checks []*runningCheck
	sorted bool
	last   *round
	own    sync.Once
}

// round is one run of all checks; results and at are set before done is closed.
type round struct {
	done    chan struct{}
	results []result
	at      time.Time
}

// result is how a check came out; nil is well.
type result struct {
	*Check
	trouble *HealthError
}

// report gives the outcome of all checks, at most healthAge old. Those who ask at
// the same time share one run, which does not end with who began it.
func (h *health) report(ctx context.Context, now func() time.Time, log *zap.Logger) ([]result, error) {
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
		return now.Before(r.at) || now.Sub(r.at) >= healthAge
	default:
		return false
	}
}

func (r *round) run(ctx context.Context, checks []*runningCheck, now func() time.Time, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
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
		res := result{&c.Check, c.trouble(err)}
		c.note(log, res)
		r.results = append(r.results, res)
	}
	r.at = now()
	close(r.done)
}

// runningCheck is a check that is not begun again before it has come to an end.
type runningCheck struct {
	Check

	mu      sync.Mutex
	running chan struct{}
	err     error
	said    string // what was logged last
}

func (c *runningCheck) start(ctx context.Context) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return c.running
	}
	ended := make(chan struct{})
	c.running = ended
	go func() {
		err := guarded(ctx, c.Do)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err, c.running = err, nil
		close(ended)
	}()
	return ended
}

// guarded turns a panic into an error: nobody above would recover it.
func guarded(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return do(ctx)
}

func (c *runningCheck) outcome() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// trouble puts words to an error.
func (c *runningCheck) trouble(err error) *HealthError {
	if err == nil {
		return nil
	}
	t := HealthError{Err: err}
	if known, ok := errors.AsType[*HealthError](err); ok {
		t = *known
	}
	t.Reason = orDefault(t.Reason, healthWords[place(c.Name)].reason)
	return &t
}

// note logs a change, once, with its cause.
func (c *runningCheck) note(log *zap.Logger, r result) {
	said := ""
	if r.trouble != nil {
		said = r.trouble.Reason + r.trouble.Error()
	}
	if said == c.said {
		return
	}
	c.said = said
	fields := []zap.Field{zap.String("check", c.Name)}
	for _, f := range [][2]string{{"role", c.Role}, {"issuer", c.Issuer}, {"client_id", c.ClientID}} {
		if f[1] != "" {
			fields = append(fields, zap.String(f[0], f[1]))
		}
	}
	switch {
	case r.trouble == nil:
		log.Info("health: well again", fields...)
	case r.trouble.Mild:
		log.Warn("health: "+r.trouble.Reason, append(fields, zap.Error(r.trouble))...)
	default:
		log.Error("health: "+r.trouble.Reason, append(fields, zap.Error(r.trouble))...)
	}
}

func (c *runningCheck) compare(other *runningCheck) int {
	return cmp.Or(
		cmp.Compare(place(c.Name), place(other.Name)), cmp.Compare(c.Issuer, other.Issuer),
		cmp.Compare(c.Role, other.Role), cmp.Compare(c.ClientID, other.ClientID),
	)
}

// place is where a check stands in the table; a name that does not is a mistake of
// the caller and stands last.
func place(name string) int {
	for i, w := range healthWords {
		if w.name == name {
			return i
		}
	}
	return len(healthWords) - 1
}
