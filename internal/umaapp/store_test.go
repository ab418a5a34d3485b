package umaapp

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// fake is a backend that counts, and that can refuse to open.
type fake struct {
	key           string
	opens, closes atomic.Int32
	fail          atomic.Bool
	swept         atomic.Int32
	left          atomic.Int32
}

func (*fake) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "uma.stores.fake"} }
func (f *fake) PoolKey() string             { return f.key }
func (f *fake) Open() (store.Store, error) {
	f.opens.Add(1)
	if f.fail.Load() {
		return nil, errors.New("locked")
	}
	return &fakeStore{f: f}, nil
}

type fakeStore struct {
	store.Store
	f *fake
}

func (s *fakeStore) ID(context.Context) (string, error) { return "id", nil }
func (s *fakeStore) Close() error                       { s.f.closes.Add(1); return nil }
func (s *fakeStore) Sweep(_ context.Context, n int) (int, error) {
	s.f.swept.Add(1)
	n = min(n, int(s.f.left.Load()))
	s.f.left.Add(int32(-n))
	return n, nil
}

func TestStoreSharedOverReload(t *testing.T) {
	f := &fake{key: t.Name()}
	old, next := newLazyStore(f), newLazyStore(f)
	if f.opens.Load() != 0 {
		t.Fatal("opened before its first use")
	}
	for _, l := range []*lazyStore{old, old, next, next} {
		if _, err := l.ID(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.opens.Load(); got != 1 {
		t.Errorf("opened %d times, want once", got)
	}
	if err := errors.Join(old.Close(), old.release(), old.release()); err != nil {
		t.Fatal(err)
	}
	if got := f.closes.Load(); got != 0 {
		t.Errorf("closed %d times while the next configuration uses it", got)
	}
	if _, err := old.ID(t.Context()); err != nil {
		t.Errorf("a request that outlives its configuration: %v", err)
	}
	if _, err := next.ID(t.Context()); err != nil {
		t.Errorf("use by the next configuration = %v", err)
	}
	if err := next.release(); err != nil || f.closes.Load() != 1 {
		t.Errorf("last release = %v, closed %d times, want once", err, f.closes.Load())
	}
	if _, err := old.ID(t.Context()); err != nil || f.closes.Load() != 2 {
		t.Errorf("borrowed by the last request: %v, closed %d times, want twice", err, f.closes.Load())
	}
}

// A backend that panics has failed: those who come next are told, and a reload goes on.
func TestSEC_13_StoreThatPanics(t *testing.T) {
	l := newLazyStore(panicking{someStore{key: t.Name()}})
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := l.ID(ctx); !errors.Is(err, errNotOpen) {
			t.Errorf("%v, want %v", err, errNotOpen)
		}
	}
	if err := l.release(); err != nil {
		t.Error(err)
	}
}

type panicking struct{ someStore }

func (panicking) Open() (store.Store, error) { panic("damaged") }

func TestStoreNeverUsedIsNeverOpened(t *testing.T) {
	f := &fake{key: t.Name()}
	l := newLazyStore(f)
	if err := sweep(t.Context(), l, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if f.opens.Load() != 0 || f.closes.Load() != 0 {
		t.Errorf("opened %d and closed %d times, want never", f.opens.Load(), f.closes.Load())
	}
}

// What runs in the background ends with its configuration and opens nothing again.
func TestStoreIsNotOpenedForWhoHasGone(t *testing.T) {
	f := &fake{key: t.Name()}
	l := newLazyStore(f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // chance must not decide
		if _, err := l.ID(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := l.release(); err != nil || f.opens.Load() != 0 {
		t.Errorf("%v, opened %d times", err, f.opens.Load())
	}
}

func TestStoreConcurrentFirstUse(t *testing.T) {
	f := &fake{key: t.Name()}
	l := newLazyStore(f)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := l.ID(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	if f.opens.Load() != 1 || f.closes.Load() != 1 {
		t.Errorf("opened %d and closed %d times, want once", f.opens.Load(), f.closes.Load())
	}
}

func TestSEC_13_StoreThatCannotBeOpened(t *testing.T) {
	f := &fake{key: t.Name()}
	f.fail.Store(true)
	l := newLazyStore(f)
	now := time.Unix(1700000000, 0)
	l.now = func() time.Time { return now }
	for range 3 {
		if _, err := l.ID(t.Context()); !errors.Is(err, errNotOpen) {
			t.Fatalf("ID = %v, want errNotOpen", err)
		}
	}
	if err := l.Commit(t.Context()); !errors.Is(err, errNotOpen) {
		t.Errorf("Commit = %v, want errNotOpen", err)
	}
	if got := f.opens.Load(); got != 1 {
		t.Errorf("%d attempts within the pause, want 1", got)
	}
	f.fail.Store(false)
	now = now.Add(reopenPause)
	if _, err := l.ID(t.Context()); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	if err := l.release(); err != nil || f.closes.Load() != 1 {
		t.Errorf("release = %v, closed %d times", err, f.closes.Load())
	}
}

func TestStoreWaitHonoursContext(t *testing.T) {
	l := newLazyStore(&fake{key: t.Name()})
	l.gate <- struct{}{} // somebody is opening
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Get(ctx, store.Key{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want the context's error", err)
	}
	if _, err := l.List(ctx, "", "", "", "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("List = %v, want the context's error", err)
	}
	if _, err := l.Sweep(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Sweep = %v, want the context's error", err)
	}
}

func TestSweepIsBounded(t *testing.T) {
	f := &fake{key: t.Name()}
	l := newLazyStore(f)
	if _, err := l.ID(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.release()
	f.left.Store(sweepBatch*sweepRounds + 1)
	if err := sweep(t.Context(), l, zap.NewNop()); err != nil || f.swept.Load() != sweepRounds {
		t.Errorf("sweep = %v after %d rounds, want %d", err, f.swept.Load(), sweepRounds)
	}
	if f.left.Load() != 1 {
		t.Errorf("%d documents left, want 1", f.left.Load())
	}
}

func TestSweeperStartsAndStopsOnce(t *testing.T) {
	f := &fake{key: t.Name()}
	l := newLazyStore(f)
	if _, err := l.ID(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.release()
	var s background
	loop := func(ctx context.Context) { sweepLoop(ctx, l, zap.NewNop(), time.Millisecond) }
	s.stop()
	s.start(loop)
	s.start(loop)
	for f.swept.Load() == 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("never swept")
		case <-time.After(time.Millisecond):
		}
	}
	s.stop()
	after := f.swept.Load()
	s.stop()
	if f.swept.Load() != after {
		t.Error("swept after stop")
	}
}

func TestBolt(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	b := new(Bolt)
	if err := b.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "caddy", "uma", "uma.db"); b.Path != want || b.PoolKey() != want {
		t.Errorf("Path = %s, want %s", b.Path, want)
	}
	if _, err := os.Stat(filepath.Dir(b.Path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Provision made something: %v", err)
	}
	l := newLazyStore(b)
	if id, err := l.ID(t.Context()); err != nil || len(id) != 22 {
		t.Fatalf("ID = %q, %v", id, err)
	}
	if info, err := os.Stat(b.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v, want mode 0600", info, err)
	}
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
}
