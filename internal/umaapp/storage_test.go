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
