// Package limit bounds how often a source may ask, in bounded memory
// (CONFORMANCE SEC-18). The adapters and engines ask it before they do any work
// for a request that nobody has authenticated.
//
// Each source has a token bucket, kept as one moment: when the bucket will be
// full again (the generic cell rate algorithm). A bucket that is full holds no
// information and may be forgotten. One that is not full is never forgotten: an
// abuser who sends from many fresh sources cannot push his own debt out of the
// table. When the table holds nothing but debts, a source without a place in it
// shares one of a fixed number of overflow buckets, chosen by a keyed hash that
// nobody outside can compute. So in a flood the limit gets stricter for some
// newcomers and laxer for nobody.
package limit

import (
	"container/heap"
	"hash/maphash"
	"sync"
	"time"
)

// overflowBuckets are shared by the sources that find no place in a full table.
const overflowBuckets = 1024

// Limiter lets each source do something n times per window. Its methods may be
// called from many goroutines; a nil Limiter allows everything.
type Limiter struct {
	window, cost time.Duration
	size         int
	now          func() time.Time
	seed         maphash.Seed

	mu       sync.Mutex
	byName   map[string]*bucket
	byFull   queue // the bucket that is full first comes first
	overflow [overflowBuckets]bucket
}

// bucket is full at the moment full, and empty when that is a window away.
type bucket struct {
	source string
	full   time.Time
	index  int
}

// New allows n per window and source, remembering at most size sources; n <= 0
// allows everything (a nil *Limiter too).
func New(n int, window time.Duration, size int, now func() time.Time) *Limiter {
	if n <= 0 || window <= 0 {
		return nil
	}
	return &Limiter{
		window: window,
		cost:   max(window/time.Duration(n), 1),
		size:   max(size, 1),
		now:    now,
		seed:   maphash.MakeSeed(),
		byName: make(map[string]*bucket),
	}
}

// Allow takes one; if not, it says how long to wait.
func (l *Limiter) Allow(source string) (ok bool, wait time.Duration) {
	if l == nil {
		return true, 0
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.find(source, now)
	ok, wait = b.take(now, l.cost, l.window)
	if b.index >= 0 {
		heap.Fix(&l.byFull, b.index)
	}
	return ok, wait
}

// Return gives back what Allow took, for what turned out to need no bound. A source
// without a place of its own gets nothing back: others share its bucket.
func (l *Limiter) Return(source string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.byName[source]; ok {
		b.full = b.full.Add(-l.cost)
		heap.Fix(&l.byFull, b.index)
	}
}

// take adds the cost of one request to the debt if the window still has room
// for it. A debt of more than a window can only mean that the clock was set
// back; it is cut, or the source would be locked out for as long.
func (b *bucket) take(now time.Time, cost, window time.Duration) (bool, time.Duration) {
	debt := min(max(b.full.Sub(now), 0), window)
	if over := debt + cost - window; over > 0 {
		b.full = now.Add(debt)
		return false, over
	}
	b.full = now.Add(debt + cost)
	return true, 0
}

// find gives the bucket of a source: its own, a new one, or a shared one.
func (l *Limiter) find(source string, now time.Time) *bucket {
	if b, ok := l.byName[source]; ok {
		return b
	}
	if len(l.byFull) >= l.size && !l.forgetFull(now) {
		b := &l.overflow[maphash.String(l.seed, source)%overflowBuckets]
		b.index = -1
		return b
	}
	b := &bucket{source: source, full: now}
	l.byName[source] = b
	heap.Push(&l.byFull, b)
	return b
}

// forgetFull makes room for one source if a bucket is full again.
func (l *Limiter) forgetFull(now time.Time) bool {
	if l.byFull[0].full.After(now) {
		return false
	}
	b, _ := heap.Pop(&l.byFull).(*bucket)
	delete(l.byName, b.source)
	return true
}
