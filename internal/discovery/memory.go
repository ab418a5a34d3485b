package discovery

import (
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// memory keeps what was found, and what was not, for a while and in bounded
// space. The open part is a two-queue cache: entries that are used again cannot
// be pushed out by a flood of entries that are used once. The kept part has only
// what led to a grant; asking moves nothing in it, and nothing into it (SEC-09).
type memory[V any] struct {
	open    *lru.TwoQueueCache[string, remembered[V]]
	kept    *lru.TwoQueueCache[string, *slot[V]]
	flights singleflight.Group
	now     func() time.Time
}

type remembered[V any] struct {
	value V
	err   error
	until time.Time
}

// slot is the place of a kept entry. It stays when its content changes.
type slot[V any] struct {
	mu sync.Mutex
	remembered[V]
}

func newMemory[V any](size, keep int, now func() time.Time) (*memory[V], error) {
	open, err := lru.New2Q[string, remembered[V]](size)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	kept, err := lru.New2Q[string, *slot[V]](keep)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return &memory[V]{open: open, kept: kept, now: now}, nil
}

// errCold says that the network would have to be asked.
var errCold = errors.New("not remembered")

// load asks the network; it says for how long its result may be kept; 0 is not
// at all.
type load[V any] func() (V, time.Duration, error)

// get gives what is remembered, or loads it: once for all who ask at the same
// time. Without a load it is errCold.
func (m *memory[V]) get(key string, load load[V]) (V, error) {
	e, ok := m.find(key)
	switch {
	case ok:
		return e.value, e.err
	case load == nil:
		return e.value, errCold
	}
	result, err, _ := m.flights.Do(key, func() (any, error) {
		if e, ok := m.find(key); ok { // the flight before has just landed
			return e.value, e.err
		}
		value, keep, err := load()
		if keep > 0 {
			m.put(key, remembered[V]{value: value, err: bare(err), until: m.now().Add(keep)})
		}
		return value, err
	})
	value, _ := result.(V)
	return value, err
}

func (m *memory[V]) find(key string) (e remembered[V], ok bool) {
	if at, kept := m.kept.Peek(key); kept {
		at.mu.Lock()
		defer at.mu.Unlock()
		e = at.remembered
	} else if e, ok = m.open.Get(key); !ok {
		return e, false
	}
	if !m.now().Before(e.until) {
		return remembered[V]{}, false
	}
	return e, true
}

func (m *memory[V]) put(key string, e remembered[V]) {
	at, kept := m.kept.Peek(key)
	if !kept {
		m.open.Add(key, e)
		return
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.remembered = e
}

// keep moves an entry to the kept part, or makes it younger there.
func (m *memory[V]) keep(key string) {
	if _, kept := m.kept.Get(key); kept {
		return
	}
	at := &slot[V]{}
	at.remembered, _ = m.open.Peek(key)
	m.kept.Add(key, at)
	m.open.Remove(key)
}

func (m *memory[V]) isKept(key string) bool { return m.kept.Contains(key) }

func (m *memory[V]) len() int { return m.open.Len() + m.kept.Len() }

// marks is a bounded set of names with the same two parts.
type marks struct {
	open, kept *lru.TwoQueueCache[string, struct{}]
}

func newMarks(size int) (*marks, error) {
	open, err := lru.New2Q[string, struct{}](size)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	kept, err := lru.New2Q[string, struct{}](size)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return &marks{open: open, kept: kept}, nil
}

func (m *marks) add(name string) {
	if !m.kept.Contains(name) {
		m.open.Add(name, struct{}{})
	}
}

func (m *marks) keep(name string) {
	m.kept.Add(name, struct{}{})
	m.open.Remove(name)
}

func (m *marks) has(name string) bool { return m.kept.Contains(name) || m.open.Contains(name) }
