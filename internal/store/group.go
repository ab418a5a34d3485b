package store

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// group lets commits share a transaction, and so a sync of the disk: what arrives
// while one is written goes into the next. bolt's own Batch closes a batch when its
// time is over, whether the disk is free or not; on a slow disk small batches then
// queue for it, each with a sync of its own.
type group struct {
	db *bolt.DB

	mu      sync.Mutex
	waiting []call
	writing bool // somebody takes care of those who wait

	writer, beginning sync.Mutex
	broken            atomic.Pointer[error] // why nothing works any more
	down              chan struct{}         // closed then
}

func newGroup(db *bolt.DB) *group { return &group{db: db, down: make(chan struct{})} }

// call is one commit. do may run more than once.
type call struct {
	do   func(*bolt.Tx) error
	done chan<- error
}

// maxGroup bounds a transaction, so that nobody waits long for the others.
const maxGroup = 1000

// errAlone tells a caller to run on its own: it failed among others, and the error
// that it returns is for it alone.
var errAlone = errors.New("failed in a group")

// commit runs do in a transaction, perhaps together with others.
func (g *group) commit(do func(*bolt.Tx) error) error {
	done := make(chan error, 1)
	g.mu.Lock()
	g.waiting = append(g.waiting, call{do, done})
	first := !g.writing
	g.writing = true
	g.mu.Unlock()
	if first {
		go g.write()
	}
	err := <-done
	if errors.Is(err, errAlone) {
		return g.update(do)
	}
	return err
}

// company is how long a commit waits for others when the one before had some: those
// have just been answered and are about to come again. A lonely client never waits.
const company = time.Millisecond

// write commits until nobody waits.
func (g *group) write() {
	for last := 0; ; {
		if last > 1 {
			time.Sleep(company)
		} else {
			runtime.Gosched()
		}
		calls := g.take()
		if last = len(calls); last == 0 {
			return
		}
		g.run(calls)
	}
}

// update writes. Who waits for the place of the writer waits here and not in bolt,
// which a broken file would never let go.
func (g *group) update(do func(*bolt.Tx) error) error {
	g.writer.Lock()
	defer g.writer.Unlock()
	return g.guarded(true, do)
}

// take gives those who wait; if there are none, the next one to come writes.
func (g *group) take() []call {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	calls := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if n == 0 {
		g.waiting, g.writing = nil, false
	}
	return calls
}

// run commits them. Who fails is sent away, and the rest is done again without it:
// what it has changed is undone.
func (g *group) run(calls []call) {
	for len(calls) > 0 {
		failed := -1
		err := g.update(func(tx *bolt.Tx) error {
			for i, c := range calls {
				if err := safely(c.do, tx); err != nil {
					failed = i
					return err
				}
			}
			return nil
		})
		if failed < 0 { // written, or the disk failed for all
			for _, c := range calls {
				c.done <- err
			}
			return
		}
		calls[failed].done <- errAlone
		calls = append(calls[:failed:failed], calls[failed+1:]...)
	}
}
