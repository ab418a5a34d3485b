package umaapp

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Backend is a module of the namespace uma.stores: a kind of document store.
type Backend interface {
	caddy.Module
	// PoolKey names what Open opens. Two configurations whose backends have the
	// same module and key share one open store, so that a reload never waits for
	// the lock of its predecessor.
	PoolKey() string
	// Open opens the store. It is called at first use, not at load, and must
	// return within seconds also if somebody else holds a lock.
	Open() (store.Store, error)
}

// Bolt is the module uma.stores.bolt: documents in one file on this machine.
type Bolt struct {
	// Path of the file. Default: uma/uma.db in Caddy's data directory.
	Path string `json:"path,omitempty"`
}

// CaddyModule implements caddy.Module.
func (Bolt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.stores.bolt", New: func() caddy.Module { return new(Bolt) }}
}

// UnmarshalCaddyfile reads
//
//	store bolt [<path>]
func (b *Bolt) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if d.NextArg() {
		b.Path = d.Val()
	}
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.Err("uma: store bolt takes one argument, the path of the file")
	}
	return nil
}

// Provision implements caddy.Provisioner. The path is made absolute, so that two
// spellings of one file are one store.
func (b *Bolt) Provision(caddy.Context) error {
	path := caddy.NewReplacer().ReplaceKnown(b.Path, "")
	if path == "" {
		path = filepath.Join(caddy.AppDataDir(), "uma", "uma.db")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("uma: store bolt: %w", err)
	}
	b.Path = abs
	return nil
}

// PoolKey implements Backend.
func (b *Bolt) PoolKey() string { return b.Path }

// Open implements Backend.
func (b *Bolt) Open() (store.Store, error) {
	return store.OpenBolt(b.Path, store.BoltOptions{Now: time.Now})
}

// stores is shared by all configurations of the process; during a reload two of
// them live at once.
var stores = caddy.NewUsagePool() //nolint:gochecknoglobals // the pool is the point: it outlives a configuration

type pooledStore struct {
	store.Store
	clock *wallClock
}

// Destruct implements caddy.Destructor.
func (p pooledStore) Destruct() error { return p.Close() }

// errNotOpen is what a use of the store can say besides the store's own errors.
var errNotOpen = errors.New("the store could not be opened")

// reopenPause keeps requests from queueing behind one slow attempt each while
// the file is locked by somebody else.
const reopenPause = time.Second

// lazyStore is the store of one configuration. The reference in the pool is
// taken at first use and given back exactly once, in release. After a reload
// Caddy lets the old servers finish their requests when the old configuration
// is gone already; such a request borrows the store for as long as it needs it.
type lazyStore struct {
	backend Backend
	key     string
	opened  atomic.Pointer[pooledStore]
	inUse   sync.RWMutex // held for reading during each operation
	meter   *storeMeter

	gate     chan struct{} // holds one token while somebody opens
	released bool          // below: guarded by gate
	failed   time.Time
	failure  error
	now      func() time.Time
}

func newLazyStore(b Backend) *lazyStore {
	return &lazyStore{
		backend: b,
		key:     string(b.CaddyModule().ID) + "\x00" + b.PoolKey(),
		gate:    make(chan struct{}, 1),
		now:     time.Now,
	}
}

// do runs one operation. The store is not closed before it returns.
func (l *lazyStore) do(ctx context.Context, operation func(store.Store) error) error {
	if err := ctx.Err(); err != nil { // of what runs in the background, too: it must not open what was released
		return err
	}
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	if s := l.opened.Load(); s != nil {
		return operation(s.Store)
	}
	select {
	case l.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s, borrowed, err := l.open()
	<-l.gate
	if err != nil {
		return err
	}
	if borrowed {
		defer func() { _, _ = stores.Delete(l.key) }()
	}
	return operation(s)
}

// open takes a reference, with the gate held: one to keep, or, after release,
// one that is borrowed.
func (l *lazyStore) open() (s store.Store, borrowed bool, err error) {
	if s := l.opened.Load(); s != nil {
		return s.Store, false, nil
	}
	if l.failure != nil && l.now().Sub(l.failed) < reopenPause {
		return nil, false, l.failure
	}
	val, _, err := stores.LoadOrNew(l.key, func() (_ caddy.Destructor, err error) {
		defer func() { // the pool and the gate stay locked after a panic
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		s, err := l.backend.Open()
		return pooledStore{s, newWallClock()}, err
	})
	if err != nil {
		l.failed, l.failure = l.now(), fmt.Errorf("%w: %w", errNotOpen, err)
		return nil, false, l.failure
	}
	pooled := val.(pooledStore)
	if !l.released {
		l.opened.Store(&pooled)
	}
	return pooled.Store, l.released, nil
}

// release gives the reference back if one was taken, when no operation is using
// it.
func (l *lazyStore) release() error {
	l.gate <- struct{}{}
	l.released = true
	<-l.gate
	l.inUse.Lock()
	defer l.inUse.Unlock()
	if l.opened.Swap(nil) == nil {
		return nil
	}
	_, err := stores.Delete(l.key)
	return err
}

// ID implements store.Store.
func (l *lazyStore) ID(ctx context.Context) (id string, err error) {
	err = l.do(ctx, func(s store.Store) error { id, err = s.ID(ctx); return err })
	return id, err
}

// Time implements store.Timed.
func (l *lazyStore) Time(ctx context.Context) (now time.Time, err error) {
	err = l.do(ctx, func(s store.Store) error { now, err = store.Time(ctx, s, l.now); return err })
	return now, err
}

// Get implements store.Store.
func (l *lazyStore) Get(ctx context.Context, key store.Key) (doc store.Doc, err error) {
	err = l.measured(ctx, opGet, key.Kind, func(s store.Store) error { doc, err = s.Get(ctx, key); return err })
	return doc, err
}

// List implements store.Store.
func (l *lazyStore) List(ctx context.Context, tenant, kind, index, after string, n int) (docs []store.Doc, err error) {
	err = l.measured(ctx, opList, kind, func(s store.Store) error {
		docs, err = s.List(ctx, tenant, kind, index, after, n)
		return err
	})
	return docs, err
}

// Commit implements store.Store.
func (l *lazyStore) Commit(ctx context.Context, ops ...store.Op) error {
	kind := ""
	if len(ops) > 0 {
		kind = ops[0].Doc.Kind
	}
	return l.measured(ctx, opCommit, kind, func(s store.Store) error { return s.Commit(ctx, ops...) })
}

// Sweep implements store.Store.
func (l *lazyStore) Sweep(ctx context.Context, n int) (removed int, err error) {
	err = l.measured(ctx, opSweep, "", func(s store.Store) error { removed, err = s.Sweep(ctx, n); return err })
	return removed, err
}

// Close does nothing: the store belongs to the app, which releases it.
func (l *lazyStore) Close() error { return nil }

// Interface guards.
var (
	_ store.Store           = (*lazyStore)(nil)
	_ store.Timed           = (*lazyStore)(nil)
	_ Backend               = (*Bolt)(nil)
	_ caddy.Provisioner     = (*Bolt)(nil)
	_ caddyfile.Unmarshaler = (*Bolt)(nil)
	_ caddy.Destructor      = pooledStore{}
)
