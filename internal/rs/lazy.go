package rs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// failurePause is how long a failure is remembered: the authorization server
// may just be starting, but requests must not queue up behind its time-out.
const failurePause = time.Second

// loadTime bounds one load in all.
const loadTime = 15 * time.Second

// errFinal marks errors that say that an old value is wrong, too.
var errFinal = errors.New("not what was asked for")

// lazy is a value that is loaded at first need. Concurrent needs share one
// load; a load outlives the request that began it.
type lazy[T any] struct {
	// keepStale: an old value is better than a failure to renew it.
	keepStale bool

	// fresh is the value while it counts without question: most requests need
	// nothing else, and no lock.
	fresh atomic.Pointer[freshValue[T]]

	mu      sync.Mutex
	value   T
	have    bool
	expires time.Time // zero: never
	err     error
	failed  time.Time
	running *loading[T]
}

type freshValue[T any] struct {
	value   T
	expires time.Time // zero: never
}

// loading is a load under way; value and err are set before done is closed.
type loading[T any] struct {
	done  chan struct{}
	value T
	err   error
}

type loader[T any] func(context.Context) (value T, expires time.Time, err error)

// get gives the value, loading it if there is none or it has expired.
func (l *lazy[T]) get(ctx context.Context, clock func() time.Time, load loader[T]) (T, error) {
	if v, ok := l.known(clock); ok {
		return v, nil
	}
	l.mu.Lock()
	if v, err, done := l.settled(clock()); done {
		l.mu.Unlock()
		return v, err
	}
	if l.running == nil {
		l.running = &loading[T]{done: make(chan struct{})}
		go l.load(context.WithoutCancel(ctx), clock, load)
	}
	running := l.running
	l.mu.Unlock()
	select {
	case <-running.done:
		return running.value, running.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// known gives the value if it is fresh. Callers that are on every request's way ask
// it first: it needs neither a lock nor memory.
func (l *lazy[T]) known(clock func() time.Time) (value T, ok bool) {
	if f := l.fresh.Load(); f != nil && (f.expires.IsZero() || clock().Before(f.expires)) {
		return f.value, true
	}
	return value, false
}

// settled tells whether there is an answer without a load.
func (l *lazy[T]) settled(now time.Time) (T, error, bool) {
	var zero T
	if l.have && (l.expires.IsZero() || now.Before(l.expires)) {
		return l.value, nil, true
	}
	if l.err == nil || now.Before(l.failed) || now.Sub(l.failed) >= failurePause {
		return zero, nil, false
	}
	if l.have && l.keepStale {
		return l.value, nil, true
	}
	return zero, l.err, true
}

func (l *lazy[T]) load(ctx context.Context, clock func() time.Time, load loader[T]) {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	v, expires, err := guarded(ctx, load)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	if errors.Is(err, errFinal) {
		l.have = false
	}
	switch {
	case err == nil:
		l.value, l.have, l.expires = v, true, expires
		l.fresh.Store(&freshValue[T]{v, expires})
	case l.have && l.keepStale:
		l.failed, v, err = clock(), l.value, nil
	default:
		l.failed = clock()
	}
	l.running.value, l.running.err = v, err
	close(l.running.done)
	l.running = nil
}

// guarded turns a panic into an error: the load runs in a goroutine of its own,
// where a panic would end the process and not only the request.
func guarded[T any](ctx context.Context, load loader[T]) (v T, expires time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return load(ctx)
}

// forget drops the value if it is still the one that turned out to be wrong.
func (l *lazy[T]) forget(wrong func(T) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.have && wrong(l.value) {
		var zero T
		l.value, l.have = zero, false
		l.fresh.Store(nil)
	}
}
