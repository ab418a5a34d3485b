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

// ErrBroken is the answer of a store that cannot be used until it is opened anew:
// what bolt has locked stays locked.
var ErrBroken = errors.New("the file is damaged or cannot be read; stop Caddy, look at the disk, and restore the file")

// view reads.
func (s *Bolt) view(do func(*bolt.Tx) error) error { return s.group.guarded(false, do) }

// guarded runs a transaction and makes an error of a panic. After one in do bolt
// undoes the transaction, and all may go on; after any other one the store is broken.
func (g *group) guarded(write bool, do func(*bolt.Tx) error) (err error) {
	defer g.breaks(&err, debug.SetPanicOnFault(true))
	tx, err := g.begin(write)
	if err != nil {
		return err
	}
	err = safely(do, tx)
	switch {
	case !write:
		if ended := g.close(tx); err == nil {
			err = ended
		}
		return err
	case err != nil:
		_ = tx.Rollback()
		return err
	}
	return g.unlessDown(tx.Commit)
}

// close ends a transaction that has read. Nobody begins one meanwhile, or else it waits
// for no longer than that takes.
func (g *group) close(tx *bolt.Tx) error {
	if !g.beginning.TryLock() {
		return g.unlessDown(tx.Rollback)
	}
	defer g.beginning.Unlock()
	if broken := g.broken.Load(); broken != nil {
		return *broken
	}
	return tx.Rollback()
}

// unlessDown ends a transaction, for which bolt needs a lock. Who meets a fault when it
// begins to read leaves that locked: then nobody must wait for it.
func (g *group) unlessDown(end func() error) error {
	ended := make(chan error, 1)
	go func() {
		var err error
		defer func() { ended <- err }()
		defer g.breaks(&err, debug.SetPanicOnFault(true))
		err = end()
	}()
	select {
	case err := <-ended:
		return err
	case <-g.down:
		return *g.broken.Load()
	}
}

// begin begins one at a time: bolt holds a lock meanwhile, and a fault leaves it
// locked.
func (g *group) begin(write bool) (tx *bolt.Tx, err error) {
	g.beginning.Lock()
	defer g.beginning.Unlock()
	if broken := g.broken.Load(); broken != nil {
		return nil, *broken
	}
	defer g.breaks(&err, true)
	return g.db.Begin(write)
}

// breaks is deferred; before is what the goroutine did at a fault.
func (g *group) breaks(err *error, before bool) {
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		broken := fmt.Errorf("%w (%w)", ErrBroken, panicked(p))
		if g.broken.CompareAndSwap(nil, &broken) {
			close(g.down)
		}
		*err = broken
	}
}

// safely keeps a panic from ending the process: commits run in a goroutine of their
// own.
func safely(do func(*bolt.Tx) error, tx *bolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return do(tx)
}

// errCut is what is said of a fault: the words of the runtime would lead astray.
var errCut = errors.New("a part of the file cannot be read")

// panicked says what happened.
func panicked(p any) error {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return errCut
	}
	return fmt.Errorf("panic: %v", p)
}
