package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	// DefaultTimeout is how long a guest may take if nothing else is said.
	DefaultTimeout = time.Second
	// MaxCalls is how many calls of one guest may run at once, those included
	// that were given up.
	MaxCalls = 128

	maxStack = 8192
)

var (
	// ErrLate: the guest did not answer before its deadline.
	ErrLate = errors.New("the guest did not answer in time")
	// ErrBusy: too many calls of the guest run already, or never came back.
	ErrBusy = errors.New("too many calls of the guest have not come back")
	// ErrPanic: the guest panicked, or ended its goroutine.
	ErrPanic = errors.New("the guest panicked")
)

// PanicError is an ErrPanic. Its text does not say what the guest said: that
// may be a claim.
type PanicError struct {
	// Stack is where it happened, for a developer's log; it holds no values.
	Stack string
}

// Error says that there was a panic.
func (e *PanicError) Error() string { return ErrPanic.Error() }

// Is makes it an ErrPanic.
func (e *PanicError) Is(target error) bool { return target == ErrPanic }

// Guard bounds a guest. Each call gets a copy of the input, a deadline (0:
// DefaultTimeout) and a goroutine of its own; a panic becomes an error, and so
// does an answer that comes after the deadline or after the request has ended.
//
// Go cannot end a goroutine from outside. A call that ignores its context keeps
// its goroutine, and one of MaxCalls places, until it returns. When no place is
// free, a new call waits for one until its own deadline and is then refused with
// ErrBusy, without asking the guest: a guest that never returns costs MaxCalls
// goroutines and not one more.
//
// What Guard gives is an Explainer; of a guest that is none it tells the result
// alone.
func Guard(p Policy, timeout time.Duration) Policy {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &guard{guest: p, timeout: timeout, calls: make(chan struct{}, MaxCalls)}
}

type guard struct {
	guest   Policy
	timeout time.Duration
	calls   chan struct{}
}

// Evaluate asks the guest.
func (g *guard) Evaluate(ctx context.Context, in *Input) (bool, error) {
	e := g.call(ctx, in, func(ctx context.Context, in *Input) Explanation {
		result, err := g.guest.Evaluate(ctx, in)
		return Explanation{Result: result, Err: err}
	})
	return e.Result, e.Err
}

// Explain asks the guest why.
func (g *guard) Explain(ctx context.Context, in *Input, how Detail) Explanation {
	return g.call(ctx, in, func(ctx context.Context, in *Input) Explanation {
		return Explain(ctx, g.guest, in, how)
	})
}

// LooksAt asks the guest, whose answer does not depend on a request. One that
// panics is silent.
func (g *guard) LooksAt() (names []string, whole bool) {
	looker, ok := g.guest.(Looker)
	if !ok {
		return nil, false
	}
	defer func() { _ = recover() }()
	return looker.LooksAt()
}

// call runs ask in a goroutine and waits for it as long as it may take. An
// error is never accompanied by a result.
func (g *guard) call(ctx context.Context, in *Input, ask func(context.Context, *Input) Explanation) Explanation {
	ctx, cancel := context.WithTimeoutCause(ctx, g.timeout, ErrLate)
	defer cancel()
	own, err := in.Clone()
	if err != nil {
		return Explanation{Err: err}
	}
	if err := g.enter(ctx); err != nil {
		return Explanation{Err: err}
	}
	answer := make(chan Explanation, 1) // never blocks a late guest
	go func() {
		defer func() { <-g.calls }()
		answerOf(answer, func() Explanation { return ask(ctx, own) })
	}()
	return wait(ctx, answer)
}

// enter takes a place among the calls.
func (g *guard) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case g.calls <- struct{}{}:
		return nil
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, ErrLate) {
			return cause
		}
		return ErrBusy
	}
}

// answerOf gives an answer whatever the guest does: return, panic, or end its
// goroutine.
func answerOf(to chan<- Explanation, ask func() Explanation) {
	e, returned := Explanation{}, false
	defer func() {
		if !returned {
			_ = recover() // what it says may be a claim
			stack := debug.Stack()
			e = Explanation{Err: &PanicError{Stack: string(stack[:min(len(stack), maxStack)])}}
		}
		to <- e
	}()
	e = ask()
	returned = true
}

// wait waits for the answer. One that comes with the deadline is late.
func wait(ctx context.Context, answer <-chan Explanation) Explanation {
	var e Explanation
	select {
	case e = <-answer:
	case <-ctx.Done():
	}
	switch {
	case ctx.Err() != nil:
		return Explanation{Err: context.Cause(ctx)}
	case e.Err != nil:
		e.Result, e.Err = false, fmt.Errorf("guest: %w", e.Err)
	}
	return e
}

var (
	_ Explainer = (*guard)(nil)
	_ Looker    = (*guard)(nil)
)
