package umaapp

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

// timely is Caddy's storage for those who have something else to do: a storage need not
// look at its context, and one on a network file system whose server is away never
// answers. What hangs goes on hanging, but nobody waits for it longer than his context
// says.
type timely struct {
	inner   jose.Storage
	hanging *atomic.Int32 // operations for which nobody waits any more
}

// maxHanging bounds them: each may hold a thread of the system.
const maxHanging = 16

var errStorageHangs = errors.New("the storage does not answer")

// storage is where keys are with `keys storage`.
func (a *App) storage() jose.Storage { return timely{a.ctx.Storage(), &a.hanging} }

// within does an operation unless too many hang.
func within[T any](ctx context.Context, s timely, do func() (T, error), late func() error) (none T, _ error) {
	if s.hanging.Load() >= maxHanging {
		return none, errStorageHangs
	}
	return await(ctx, s, do, late)
}

// await does an operation; late is what undoes it if it succeeds when nobody waits.
func await[T any](ctx context.Context, s timely, do func() (T, error), late func() error) (none T, _ error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.err = health.Guarded(ctx, func(context.Context) (err error) { o.value, err = do(); return err })
		done <- o
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	s.hanging.Add(1)
	go func() {
		defer s.hanging.Add(-1)
		if o := <-done; o.err == nil {
			_ = health.Guarded(ctx, func(context.Context) error { return late() })
		}
	}()
	return none, errors.Join(errStorageHangs, ctx.Err())
}

func nothing() error { return nil }

type empty = struct{}

// Lock implements jose.Storage. A lock that comes too late is given back.
func (s timely) Lock(ctx context.Context, name string) error {
	_, err := within(ctx, s, func() (empty, error) { return empty{}, s.inner.Lock(ctx, name) },
		func() error { return s.inner.Unlock(context.WithoutCancel(ctx), name) })
	return err
}

// Unlock implements jose.Storage, however many operations hang: each lock is given back
// once, and one that is not stays for as long as this process lives.
func (s timely) Unlock(ctx context.Context, name string) error {
	_, err := await(ctx, s, func() (empty, error) { return empty{}, s.inner.Unlock(ctx, name) }, nothing)
	return err
}

// Store implements jose.Storage.
func (s timely) Store(ctx context.Context, name string, value []byte) error {
	_, err := within(ctx, s, func() (empty, error) { return empty{}, s.inner.Store(ctx, name, value) }, nothing)
	return err
}

// Load implements jose.Storage.
func (s timely) Load(ctx context.Context, name string) ([]byte, error) {
	return within(ctx, s, func() ([]byte, error) { return s.inner.Load(ctx, name) }, nothing)
}

// List implements jose.Storage.
func (s timely) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	return within(ctx, s, func() ([]string, error) { return s.inner.List(ctx, path, recursive) }, nothing)
}

var _ jose.Storage = timely{}
