package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// How many callers may wait for look-ups, for one and for all: a host that is
// slow on purpose must not collect requests of ours (SEC-09).
const (
	waitPerLookup = 256
	waitForAll    = 1024
)

var errWaiting = errors.New("too many wait for look-ups")

// flights are the look-ups that run, one for each address. Unlike a
// singleflight.Group it knows who begins one, and lets only so many wait.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
	waiting int
}

type flight struct {
	done    chan struct{} // closed when found and err are there
	found   Found
	err     error
	waiting int
}

func newFlights() *flights { return &flights{running: map[string]*flight{}} }

// wait gives the result of the look-up for key. Who would begin it asks admit
// before; a refusal is for him alone.
func (f *flights) wait(ctx context.Context, key string, admit func() error, run func() (Found, error)) (Found, error) {
	at, err := f.join(key, admit, run)
	if err != nil {
		return Found{}, err
	}
	defer f.leave(at)
	select {
	case <-at.done:
		return at.found, at.err
	case <-ctx.Done():
		return Found{}, fmt.Errorf("%w: %w", ErrTemporary, ctx.Err())
	}
}

func (f *flights) join(key string, admit func() error, run func() (Found, error)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.running[key]
	if f.waiting >= waitForAll || ok && at.waiting >= waitPerLookup {
		return nil, temporary(errWaiting.Error(), 0).because(errWaiting)
	}
	if !ok {
		if err := admit(); err != nil {
			return nil, err
		}
		at = &flight{done: make(chan struct{})}
		f.running[key] = at
		go f.fly(key, at, run)
	}
	at.waiting++
	f.waiting++
	return at, nil
}

func (f *flights) fly(key string, at *flight, run func() (Found, error)) {
	at.found, at.err = landed(run)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, key)
	close(at.done)
}

// landed recovers: in a goroutine of its own a panic at a stranger's document would
// end the process, and leave those behind who wait.
func landed(run func() (Found, error)) (found Found, err error) {
	defer func() {
		if p := recover(); p != nil {
			found, err = Found{}, temporary("the look-up failed", forWrong).because(fmt.Errorf("panic: %v", p))
		}
	}()
	return run()
}

func (f *flights) leave(at *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at.waiting--
	f.waiting--
}
