package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// ErrDisk is the failure that FailBefore and LoseAnswer make.
var ErrDisk = errors.New("storetest: the disk failed")

// Call is a call that goes through a Faulty store.
type Call struct {
	// Method is the name of the method: "ID", "Get", "List", "Commit" or "Sweep".
	Method string
	// Key is what Get asks for; of List, tenant and kind.
	Key store.Key
	// Ops are those of Commit.
	Ops []store.Op
}

// Writes tells whether the call is a Commit with such an action on a document
// of such a kind.
func (c Call) Writes(action store.Action, kind string) bool {
	for _, op := range c.Ops {
		if op.Action == action && op.Doc.Kind == kind {
			return true
		}
	}
	return false
}

// Faulty is a store whose calls can be watched, held up and made to fail.
// Close is passed on untouched.
type Faulty struct {
	inner store.Store

	mu     sync.RWMutex
	before func(context.Context, Call) error
	after  func(context.Context, Call, error) error
}

// NewFaulty wraps a store. Until told otherwise it does what that one does.
func NewFaulty(inner store.Store) *Faulty { return &Faulty{inner: inner} }

// Before sets what runs ahead of each call. When it gives an error, the call
// is not made and the caller gets that error. It may block. nil removes it.
func (f *Faulty) Before(hook func(context.Context, Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = hook
}

// After sets what runs behind each call that was made; it gets the error of the
// call, and what it gives is what the caller gets: an error after a success
// means written, but the answer was lost. nil removes it.
func (f *Faulty) After(hook func(context.Context, Call, error) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = hook
}

// FailBefore makes the calls that match fail with ErrDisk; nothing is written.
func (f *Faulty) FailBefore(match func(Call) bool) {
	f.Before(func(_ context.Context, c Call) error {
		if match(c) {
			return ErrDisk
		}
		return nil
	})
}

// LoseAnswer makes the calls that match do their work and fail with ErrDisk
// all the same.
func (f *Faulty) LoseAnswer(match func(Call) bool) {
	f.After(func(_ context.Context, c Call, err error) error {
		if match(c) {
			return ErrDisk
		}
		return err
	})
}

// Repair removes both hooks.
func (f *Faulty) Repair() {
	f.Before(nil)
	f.After(nil)
}

// call runs the hooks around a call.
func (f *Faulty) call(ctx context.Context, c Call, do func() error) error {
	f.mu.RLock()
	before, after := f.before, f.after
	f.mu.RUnlock()
	if before != nil {
		if err := before(ctx, c); err != nil {
			return err
		}
	}
	err := do()
	if after != nil {
		return after(ctx, c, err)
	}
	return err
}

// ID passes on.
func (f *Faulty) ID(ctx context.Context) (id string, err error) {
	err = f.call(ctx, Call{Method: "ID"}, func() (err error) { id, err = f.inner.ID(ctx); return err })
	return orZero(id, err)
}

// Get passes on.
func (f *Faulty) Get(ctx context.Context, key store.Key) (d store.Doc, err error) {
	err = f.call(ctx, Call{Method: "Get", Key: key}, func() (err error) { d, err = f.inner.Get(ctx, key); return err })
	return orZero(d, err)
}

// List passes on.
func (f *Faulty) List(ctx context.Context, tenant, kind, index, after string, n int) (docs []store.Doc, err error) {
	c := Call{Method: "List", Key: store.Key{Tenant: tenant, Kind: kind}}
	err = f.call(ctx, c, func() (err error) { docs, err = f.inner.List(ctx, tenant, kind, index, after, n); return err })
	return orZero(docs, err)
}

// Commit passes on.
func (f *Faulty) Commit(ctx context.Context, ops ...store.Op) error {
	return f.call(ctx, Call{Method: "Commit", Ops: ops}, func() error { return f.inner.Commit(ctx, ops...) })
}

// Sweep passes on.
func (f *Faulty) Sweep(ctx context.Context, n int) (removed int, err error) {
	err = f.call(ctx, Call{Method: "Sweep"}, func() (err error) { removed, err = f.inner.Sweep(ctx, n); return err })
	return orZero(removed, err)
}

// Close closes the store inside.
func (f *Faulty) Close() error { return f.inner.Close() }

// orZero gives no answer together with an error.
func orZero[T any](v T, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

var _ store.Store = (*Faulty)(nil)
