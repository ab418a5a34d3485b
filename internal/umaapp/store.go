package umaapp

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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

type pooledStore struct{ store.Store }

// Destruct implements caddy.Destructor.
func (p pooledStore) Destruct() error { return p.Close() }

// What a use of the store can say besides the store's own errors.
var (
	errReleased = errors.New("the store was used after its configuration ended")
	errNotOpen  = errors.New("the store could not be opened")
)

// reopenPause keeps requests from queueing behind one slow attempt each while
// the file is locked by somebody else.
const reopenPause = time.Second

// lazyStore is the store of one configuration. The reference in the pool is
// taken at first use and given back exactly once, in release.
type lazyStore struct {
	backend Backend
	key     string
	opened  atomic.Pointer[pooledStore]

	gate     chan struct{} // holds one token while somebody opens or releases
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

func (l *lazyStore) use(ctx context.Context) (store.Store, error) {
	if s := l.opened.Load(); s != nil {
		return s.Store, nil
	}
	select {
	case l.gate <- struct{}{}:
		defer func() { <-l.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return l.open()
}

// open runs with the gate held.
func (l *lazyStore) open() (store.Store, error) {
	if s := l.opened.Load(); s != nil {
		return s.Store, nil
	}
	if l.released {
		return nil, errReleased
	}
	if l.failure != nil && l.now().Sub(l.failed) < reopenPause {
		return nil, l.failure
	}
	val, _, err := stores.LoadOrNew(l.key, func() (caddy.Destructor, error) {
		s, err := l.backend.Open()
		return pooledStore{s}, err
	})
	if err != nil {
		l.failed, l.failure = l.now(), fmt.Errorf("%w: %w", errNotOpen, err)
		return nil, l.failure
	}
	s := val.(pooledStore)
	l.opened.Store(&s)
	return s.Store, nil
}

// release gives the reference back if one was taken; later uses fail.
func (l *lazyStore) release() error {
	l.gate <- struct{}{}
	defer func() { <-l.gate }()
	l.released = true
	if l.opened.Swap(nil) == nil {
		return nil
	}
	_, err := stores.Delete(l.key)
	return err
}

// ID implements store.Store.
func (l *lazyStore) ID(ctx context.Context) (string, error) {
	s, err := l.use(ctx)
	if err != nil {
		return "", err
	}
	return s.ID(ctx)
}

// Get implements store.Store.
func (l *lazyStore) Get(ctx context.Context, key store.Key) (store.Doc, error) {
	s, err := l.use(ctx)
	if err != nil {
		return store.Doc{}, err
	}
	return s.Get(ctx, key)
}

// List implements store.Store.
func (l *lazyStore) List(ctx context.Context, tenant, kind, index, after string, n int) ([]store.Doc, error) {
	s, err := l.use(ctx)
	if err != nil {
		return nil, err
	}
	return s.List(ctx, tenant, kind, index, after, n)
}

// Commit implements store.Store.
func (l *lazyStore) Commit(ctx context.Context, ops ...store.Op) error {
	s, err := l.use(ctx)
	if err != nil {
		return err
	}
	return s.Commit(ctx, ops...)
}

// Sweep implements store.Store.
func (l *lazyStore) Sweep(ctx context.Context, n int) (int, error) {
	s, err := l.use(ctx)
	if err != nil {
		return 0, err
	}
	return s.Sweep(ctx, n)
}

// Close does nothing: the store belongs to the app, which releases it.
func (l *lazyStore) Close() error { return nil }

// Interface guards.
var (
	_ store.Store           = (*lazyStore)(nil)
	_ Backend               = (*Bolt)(nil)
	_ caddy.Provisioner     = (*Bolt)(nil)
	_ caddyfile.Unmarshaler = (*Bolt)(nil)
	_ caddy.Destructor      = pooledStore{}
)
