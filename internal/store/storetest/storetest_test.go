package storetest

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// TestMain keeps rapid from writing down the planted failures and from making
// them smaller.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := errors.Join(flag.Set("rapid.nofailfile", "true"), flag.Set("rapid.shrinktime", "0s")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// recorder is a testing.TB that notes a failure instead of failing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func (r *recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) FailNow()              { r.Fail(); runtime.Goexit() }
func (r *recorder) Error(...any)          { r.Fail() }
func (r *recorder) Errorf(string, ...any) { r.Fail() }
func (r *recorder) Fatal(...any)          { r.FailNow() }
func (r *recorder) Fatalf(string, ...any) { r.FailNow() }
func (r *recorder) Log(...any)            {}
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }

// record runs a case against a store and tells whether it failed.
func record(t *testing.T, c testCase, dir string, defect func(store.Store) store.Store, lag bool) bool {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(newBench(r, func(now func() time.Time) store.Store {
			if lag {
				now = epoch
			}
			s, err := store.OpenBolt(filepath.Join(dir, c.name+".db"), store.BoltOptions{Now: now})
			if err != nil {
				t.Error(err)
				runtime.Goexit()
			}
			return defect(s)
		}))
	}()
	<-done
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	return r.Failed()
}

// broken is a store with one defect: the functions that are set replace the
// methods of the store inside.
type broken struct {
	store.Store
	commit func(ctx context.Context, ops []store.Op) error
	get    func(ctx context.Context, k store.Key) (store.Doc, error)
	list   func(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error)
	sweep  func(ctx context.Context, n int) (int, error)
	id     func(ctx context.Context) (string, error)
}

func (b *broken) Commit(ctx context.Context, ops ...store.Op) error {
	if b.commit == nil {
		return b.Store.Commit(ctx, ops...)
	}
	return b.commit(ctx, ops)
}

func (b *broken) Get(ctx context.Context, k store.Key) (store.Doc, error) {
	if b.get == nil {
		return b.Store.Get(ctx, k)
	}
	return b.get(ctx, k)
}

func (b *broken) List(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
	if b.list == nil {
		return b.Store.List(ctx, tenant, kind, index, after, n)
	}
	return b.list(ctx, tenant, kind, index, after, n)
}

func (b *broken) Sweep(ctx context.Context, n int) (int, error) {
	if b.sweep == nil {
		return b.Store.Sweep(ctx, n)
	}
	return b.sweep(ctx, n)
}

func (b *broken) ID(ctx context.Context) (string, error) {
	if b.id == nil {
		return b.Store.ID(ctx)
	}
	return b.id(ctx)
}

// overwrite puts a document there, whatever is there.
func overwrite(ctx context.Context, s store.Store, d store.Doc) error {
	for {
		old, err := s.Get(ctx, d.Key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			err = s.Commit(ctx, store.Create(d))
		case err == nil:
			d.Rev = old.Rev
			err = s.Commit(ctx, store.Swap(d))
		}
		if _, ok := errors.AsType[*store.OpError](err); !ok {
			return err
		}
	}
}

// each makes a Commit out of a function that changes one op; everything else
// stays as it should be.
func each(s store.Store, change func(ctx context.Context, op store.Op) store.Op) func(context.Context, []store.Op) error {
	return func(ctx context.Context, ops []store.Op) error {
		changed := make([]store.Op, len(ops))
		for i, op := range ops {
			changed[i] = change(ctx, op)
		}
		return s.Commit(ctx, changed...)
	}
}

// defect is a planted fault; lag: the store reads a clock that stands still.
type defect struct {
	plant func(s store.Store) store.Store
	lag   bool
}

// defects are the planted faults.
func defects() map[string]defect {
	plant := func(f func(s store.Store) *broken) defect {
		return defect{plant: func(s store.Store) store.Store {
			b := f(s)
			b.Store = s
			return b
		}}
	}
	return map[string]defect{
		"expired visible": {plant: func(s store.Store) store.Store { return s }, lag: true},
		"Create overwrites": plant(func(s store.Store) *broken {
			return &broken{commit: func(ctx context.Context, ops []store.Op) error {
				if err := store.Validate(ops...); err != nil {
					return err
				}
				if len(ops) == 1 && ops[0].Action == store.ActionCreate {
					return overwrite(ctx, s, ops[0].Doc)
				}
				return s.Commit(ctx, ops...)
			}}
		}),
		"get then put": plant(func(s store.Store) *broken {
			return &broken{commit: func(ctx context.Context, ops []store.Op) error {
				if len(ops) != 1 || ops[0].Action != store.ActionCreate || store.Validate(ops...) != nil || ctx.Err() != nil {
					return s.Commit(ctx, ops...)
				}
				if _, err := s.Get(ctx, ops[0].Doc.Key); !errors.Is(err, store.ErrNotFound) {
					return s.Commit(ctx, ops...)
				}
				runtime.Gosched()
				return overwrite(ctx, s, ops[0].Doc)
			}}
		}),
		"Swap by get then put": plant(func(s store.Store) *broken {
			return &broken{commit: func(ctx context.Context, ops []store.Op) error {
				if len(ops) != 1 || ops[0].Action != store.ActionSwap || store.Validate(ops...) != nil {
					return s.Commit(ctx, ops...)
				}
				if old, err := s.Get(ctx, ops[0].Doc.Key); err != nil || old.Rev != ops[0].Doc.Rev {
					return s.Commit(ctx, ops...)
				}
				runtime.Gosched()
				return overwrite(ctx, s, ops[0].Doc)
			}}
		}),
		"Swap ignores Rev": plant(func(s store.Store) *broken {
			return &broken{commit: each(s, func(ctx context.Context, op store.Op) store.Op {
				if old, err := s.Get(ctx, op.Doc.Key); err == nil && op.Action == store.ActionSwap {
					op.Doc.Rev = old.Rev
				}
				return op
			})}
		}),
		"Delete ignores Rev": plant(func(s store.Store) *broken {
			return &broken{commit: each(s, func(ctx context.Context, op store.Op) store.Op {
				if old, err := s.Get(ctx, op.Doc.Key); err == nil && op.Action == store.ActionDelete {
					op.Doc.Rev = old.Rev
				}
				return op
			})}
		}),
		"not atomic": plant(func(s store.Store) *broken {
			return &broken{commit: func(ctx context.Context, ops []store.Op) error {
				if err := store.Validate(ops...); err != nil {
					return err
				}
				for i, op := range ops {
					err := s.Commit(ctx, op)
					if e, ok := errors.AsType[*store.OpError](err); ok {
						return &store.OpError{Op: i, Key: e.Key, Err: e.Err}
					}
					if err != nil {
						return err
					}
				}
				return ctx.Err()
			}}
		}),
		"wrong op in the error": plant(func(s store.Store) *broken {
			return &broken{commit: func(ctx context.Context, ops []store.Op) error {
				err := s.Commit(ctx, ops...)
				if e, ok := errors.AsType[*store.OpError](err); ok {
					return &store.OpError{Op: 0, Key: ops[0].Doc.Key, Err: e.Err}
				}
				return err
			}}
		}),
		"index never changes": plant(func(s store.Store) *broken {
			return &broken{commit: each(s, func(ctx context.Context, op store.Op) store.Op {
				if old, err := s.Get(ctx, op.Doc.Key); err == nil && op.Action == store.ActionSwap {
					op.Doc.Index = old.Index
				}
				return op
			})}
		}),
		"expiry never changes": plant(func(s store.Store) *broken {
			return &broken{commit: each(s, func(ctx context.Context, op store.Op) store.Op {
				if old, err := s.Get(ctx, op.Doc.Key); err == nil && op.Action == store.ActionSwap {
					op.Doc.Expires = old.Expires
				}
				return op
			})}
		}),
		"expiry cut to the millisecond": plant(func(s store.Store) *broken {
			return &broken{commit: each(s, func(_ context.Context, op store.Op) store.Op {
				op.Doc.Expires = op.Doc.Expires.Truncate(time.Millisecond)
				return op
			})}
		}),
		"expiry one millisecond late": plant(func(s store.Store) *broken {
			return &broken{commit: each(s, func(_ context.Context, op store.Op) store.Op {
				if !op.Doc.Expires.IsZero() {
					op.Doc.Expires = op.Doc.Expires.Add(time.Millisecond)
				}
				return op
			})}
		}),
		"nothing is written": plant(func(store.Store) *broken {
			return &broken{commit: func(context.Context, []store.Op) error { return nil }}
		}),
		"tenants fold together": plant(func(s store.Store) *broken {
			return folded(s, func(k store.Key) store.Key { k.Tenant = "t"; return k })
		}),
		"tenant and kind run on": plant(func(s store.Store) *broken {
			return folded(s, func(k store.Key) store.Key { k.Kind, k.Tenant = k.Tenant+":"+k.Kind, "t"; return k })
		}),
		"names in lower case": plant(func(s store.Store) *broken { return folded(s, lower) }),
		"cross-tenant list":   plant(crossTenant),
		"List ignores index":  plant(func(s store.Store) *broken { return listing(s, func(a *listArgs) { a.index = "" }) }),
		"List ignores after":  plant(func(s store.Store) *broken { return listing(s, func(a *listArgs) { a.after = "" }) }),
		"List ignores n":      plant(func(s store.Store) *broken { return listing(s, func(a *listArgs) { a.n = 1000 }) }),
		"List includes after": plant(includesAfter),
		"List in reverse":     plant(reversed),
		"Sweep ignores n": plant(func(s store.Store) *broken {
			return &broken{sweep: func(ctx context.Context, _ int) (int, error) { return s.Sweep(ctx, 1000) }}
		}),
		"Sweep does nothing": plant(func(store.Store) *broken {
			return &broken{sweep: func(context.Context, int) (int, error) { return 0, nil }}
		}),
		"Sweep counts wrong": plant(func(s store.Store) *broken {
			return &broken{sweep: func(ctx context.Context, n int) (int, error) { got, err := s.Sweep(ctx, n); return got + 1, err }}
		}),
		"failure reads as absent": plant(failureAbsent),
		"context ignored":         plant(contextIgnored),
		"another id each time":    plant(anotherID),
		"body shared":             plant(bodyShared),
	}
}

// TestSEC_12_SuiteCatches: the suite fails for every planted defect, and for
// the wrappers without one it does not.
func TestSEC_12_SuiteCatches(t *testing.T) {
	t.Run("sound", func(t *testing.T) {
		dir := t.TempDir()
		for _, c := range cases() {
			if record(t, c, dir, func(s store.Store) store.Store { return NewFaulty(&broken{Store: s}) }, false) {
				t.Errorf("%s fails for a sound store", c.name)
			}
		}
	})
	for name, d := range defects() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, c := range cases() {
				if c.name != "model" && record(t, c, dir, d.plant, d.lag) {
					t.Logf("caught by %q", c.name)
					return
				}
			}
			t.Error("no case caught it")
		})
	}
}

// The random histories alone find what the written cases find.
func TestModelCatches(t *testing.T) {
	for _, name := range []string{"Create overwrites", "Swap ignores Rev", "not atomic", "expired visible", "tenants fold together", "index never changes", "List includes after"} {
		t.Run(name, func(t *testing.T) {
			d := defects()[name]
			if !record(t, testCase{"model", testModel}, t.TempDir(), d.plant, d.lag) {
				t.Error("the model did not catch it")
			}
		})
	}
}
