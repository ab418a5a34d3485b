package store

import (
	"errors"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// The file is mapped into memory. A page that cannot be read (somebody cut the
// file, or the disk has an error) is no error of a call then but a fault, which
// would end the process; and bolt panics at what cannot be. Neither may take the
// other sites of this Caddy with it.

// errBroken is the answer of a store that cannot be used until it is opened anew:
// what bolt has locked stays locked.
var errBroken = errors.New("the file is damaged or cannot be read; stop Caddy, look at the disk, and restore the file")

// view reads.
func (s *Bolt) view(do func(*bolt.Tx) error) error { return s.group.guarded(s.db.View, do) }

// guarded runs a transaction and makes an error of a panic. One that comes from
// do leaves bolt in order; after any other one the store is broken.
func (g *group) guarded(run func(func(*bolt.Tx) error) error, do func(*bolt.Tx) error) (err error) {
	if broken := g.broken.Load(); broken != nil {
		return *broken
	}
	inside := false
	defer func(before bool) {
		debug.SetPanicOnFault(before)
		p := recover()
		if p == nil {
			return
		}
		if err = fmt.Errorf("panic: %v", p); !inside {
			err = fmt.Errorf("%w (%v)", errBroken, p)
			g.broken.CompareAndSwap(nil, &err)
		}
	}(debug.SetPanicOnFault(true))
	return run(func(tx *bolt.Tx) error {
		inside = true
		err := do(tx)
		inside = false
		return err
	})
}
