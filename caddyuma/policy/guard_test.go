package policy_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

func TestGuard(t *testing.T) {
	for _, tc := range []struct {
		name  string
		guest guest
		want  bool
		err   error
	}{
		{"yes", func(context.Context, *policy.Input) (bool, error) { return true, nil }, true, nil},
		{"no", func(context.Context, *policy.Input) (bool, error) { return false, nil }, false, nil},
		{"error", func(context.Context, *policy.Input) (bool, error) { return false, policy.ErrMissing }, false, policy.ErrMissing},
		{"yes and an error", func(context.Context, *policy.Input) (bool, error) { return true, policy.ErrType }, false, policy.ErrType},
		{"panic", func(context.Context, *policy.Input) (bool, error) { panic("cAnArY") }, false, policy.ErrPanic},
		{"panic(nil)", func(context.Context, *policy.Input) (bool, error) { panic(nil) }, false, policy.ErrPanic},
		{"nil claim", func(_ context.Context, in *policy.Input) (bool, error) { return in.Claims["x"].(bool), nil }, false, policy.ErrPanic},
		{"end of the goroutine", func(context.Context, *policy.Input) (bool, error) { runtime.Goexit(); return true, nil }, false, policy.ErrPanic},
		{"in time", func(context.Context, *policy.Input) (bool, error) { time.Sleep(time.Second - 1); return true, nil }, true, nil},
		{"late", func(context.Context, *policy.Input) (bool, error) { time.Sleep(time.Second + 1); return true, nil }, false, policy.ErrLate},
		{"at the deadline", func(ctx context.Context, _ *policy.Input) (bool, error) { <-ctx.Done(); return true, nil }, false, policy.ErrLate},
		{"obedient", func(ctx context.Context, _ *policy.Input) (bool, error) { <-ctx.Done(); return false, ctx.Err() }, false, policy.ErrLate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := policy.Guard(tc.guest, time.Second).Evaluate(t.Context(), input())
				if got != tc.want || !errors.Is(err, tc.err) {
					t.Errorf("Evaluate = %v, %v, want %v, %v", got, err, tc.want, tc.err)
				}
				if err != nil && strings.Contains(err.Error(), "cAnArY") {
					t.Errorf("the error says what the guest said: %v", err)
				}
				time.Sleep(time.Second) // the bubble's: until a late guest is back
			})
		})
	}
}

func TestGuard_Stack(t *testing.T) {
	_, err := policy.Guard(guest(func(context.Context, *policy.Input) (bool, error) { panic("cAnArY") }), 0).Evaluate(t.Context(), input())
	var p *policy.PanicError
	if !errors.As(err, &p) || !strings.Contains(p.Stack, "TestGuard_Stack") || strings.Contains(p.Stack, "cAnArY") {
		t.Errorf("Evaluate = %v, want the stack without the value: %+v", err, p)
	}
}

// The request ends first: that is not the guest's fault.
func TestGuard_Context(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := policy.Guard(guest(func(ctx context.Context, _ *policy.Input) (bool, error) { <-ctx.Done(); return true, nil }), time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		if got, err := waits.Evaluate(ctx, input()); got || !errors.Is(err, context.Canceled) {
			t.Errorf("Evaluate = %v, %v, want context.Canceled", got, err)
		}
		asked := false
		never := policy.Guard(guest(func(context.Context, *policy.Input) (bool, error) { asked = true; return true, nil }), time.Hour)
		if got, err := never.Evaluate(ctx, input()); got || !errors.Is(err, context.Canceled) || asked {
			t.Errorf("Evaluate after the end = %v, %v, asked %v", got, err, asked)
		}
	})
}

// A guest that never comes back costs MaxCalls goroutines, not one more, and
// works again when it lets go.
func TestGuard_Stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, calls := make(chan struct{}), make(chan struct{}, 1000)
		g := policy.Guard(guest(func(context.Context, *policy.Input) (bool, error) {
			calls <- struct{}{}
			<-release
			return true, nil
		}), time.Second)
		results := make(chan error, policy.MaxCalls)
		for range policy.MaxCalls {
			go func() {
				_, err := g.Evaluate(t.Context(), input())
				results <- err
			}()
		}
		for range policy.MaxCalls {
			if err := <-results; !errors.Is(err, policy.ErrLate) {
				t.Errorf("Evaluate = %v, want ErrLate", err)
			}
		}
		if got, err := g.Evaluate(t.Context(), input()); got || !errors.Is(err, policy.ErrBusy) || len(calls) != policy.MaxCalls {
			t.Errorf("Evaluate = %v, %v after %d calls, want ErrBusy", got, err, len(calls))
		}
		close(release)
		if got, err := g.Evaluate(t.Context(), input()); !got || err != nil {
			t.Errorf("Evaluate = %v, %v, want true again", got, err)
		}
	})
}

// The guest has a copy, and the budget of the request.
func TestGuard_Input(t *testing.T) {
	in := input()
	g := policy.Guard(guest(func(_ context.Context, own *policy.Input) (bool, error) {
		own.Claims["x"], own.Scopes[0] = true, "all"
		return own.Budget.Take(2) && own != in, nil
	}), 0)
	if ok, err := g.Evaluate(t.Context(), in); !ok || err != nil {
		t.Fatalf("Evaluate = %v, %v", ok, err)
	}
	if in.Claims["x"] != nil || in.Scopes[0] != "get" || in.Budget.Left() != 3 {
		t.Errorf("the guest changed the input: %+v, %d left", in, in.Budget.Left())
	}
}
