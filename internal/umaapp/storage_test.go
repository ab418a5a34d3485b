package umaapp

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// deaf is a storage that answers when it is let, whatever the context says.
type deaf struct {
	jose.Storage
	answer   chan struct{}
	unlocked atomic.Int32
}

func (d *deaf) Load(ctx context.Context, name string) ([]byte, error) {
	<-d.answer
	return d.Storage.Load(ctx, name)
}

func (d *deaf) Lock(context.Context, string) error   { <-d.answer; return nil }
func (d *deaf) Unlock(context.Context, string) error { d.unlocked.Add(1); return nil }

// SEC-13: nobody waits longer for a storage that hangs than he wants to, and few calls
// hang at once; when it answers again, all is as before.
func TestSEC_13_TimelyStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deaf{Storage: josetest.NewStorage(), answer: make(chan struct{})}
		s := timely{d, new(atomic.Int32)}
		if err := s.Store(t.Context(), "a", []byte("x")); err != nil {
			t.Fatal(err)
		}
		call := func(do func(context.Context) error) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			err := do(ctx)
			return time.Since(began), err
		}
		load := func(ctx context.Context) error { _, err := s.Load(ctx, "a"); return err }
		for i := range maxHanging + 2 {
			do, want := load, time.Second
			if i == 0 {
				do = func(ctx context.Context) error { return s.Lock(ctx, "a") }
			}
			if i >= maxHanging {
				want = 0
			}
			if took, err := call(do); !errors.Is(err, errStorageHangs) || took != want {
				t.Errorf("call %d took %v, want %v: %v", i, took, want, err)
			}
		}
		close(d.answer)
		synctest.Wait()
		if n := d.unlocked.Load(); n != 1 {
			t.Errorf("%d locks that came too late were given back, want 1", n)
		}
		if data, err := s.Load(t.Context(), "a"); err != nil || string(data) != "x" {
			t.Errorf("Load = %q, %v", data, err)
		}
	})
}

// SEC-13: who has a lock can always give it back. Nobody else would, and certmagic keeps
// the lock of a process fresh for as long as that lives.
func TestSEC_13_UnlockWhileStorageHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deaf{Storage: josetest.NewStorage(), answer: make(chan struct{})}
		s := timely{d, new(atomic.Int32)}
		for range maxHanging {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _ = s.Load(ctx, "a")
			cancel()
		}
		if err := s.Unlock(t.Context(), "a"); err != nil || d.unlocked.Load() != 1 {
			t.Errorf("Unlock = %v, the storage heard of %d", err, d.unlocked.Load())
		}
		close(d.answer)
	})
}

// broken panics when a lock is given back.
type broken struct{ deaf }

func (*broken) Unlock(context.Context, string) error { panic("broken") }

// SEC-13: a storage that panics does not end the process, also when nobody waits any
// more; and what hung is not counted for ever.
func TestSEC_13_PanicInLateUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &broken{deaf{Storage: josetest.NewStorage(), answer: make(chan struct{})}}
		s := timely{d, new(atomic.Int32)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Lock(ctx, "a"); !errors.Is(err, errStorageHangs) {
			t.Fatal(err)
		}
		close(d.answer)
		synctest.Wait()
		if n := s.hanging.Load(); n != 0 {
			t.Errorf("%d hang", n)
		}
	})
}

// stuck hangs when a lock is given back.
type stuck struct{ deaf }

func (s *stuck) Lock(context.Context, string) error   { return nil }
func (s *stuck) Unlock(context.Context, string) error { <-s.answer; return nil }
func (s *stuck) Load(ctx context.Context, name string) ([]byte, error) {
	return s.Storage.Load(ctx, name)
}

// SEC-13: the id of a storage that hangs at the end of making it: a heartbeat that waits
// for ever would also hold up every reload.
func TestSEC_13_StorageIDWhileUnlockHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &stuck{deaf{Storage: josetest.NewStorage(), answer: make(chan struct{})}}
		ctx, cancel := context.WithTimeout(t.Context(), printTime)
		defer cancel()
		began := time.Now()
		id, err := readStorageID(ctx, timely{d, new(atomic.Int32)})
		if took := time.Since(began); err != nil || id == "" || took > 2*printTime {
			t.Errorf("%q, %v after %v", id, err, took)
		}
		close(d.answer)
	})
}
