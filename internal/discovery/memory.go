package discovery

import (
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// memory keeps what was found, and what was not, for a while and in bounded
// space. It is a two-queue cache: entries that are used again cannot be pushed
// out by a flood of entries that are used once (SEC-09).
type memory[V any] struct {
	entries *lru.TwoQueueCache[string, remembered[V]]
	flights singleflight.Group
	now     func() time.Time
}

type remembered[V any] struct {
	value V
	err   error
	until time.Time
}

func newMemory[V any](size int, now func() time.Time) (*memory[V], error) {
	entries, err := lru.New2Q[string, remembered[V]](size)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return &memory[V]{entries: entries, now: now}, nil
}

// get gives what is remembered, or loads it: once for all who ask at the same
// time. load says for how long its result may be kept; 0 is not at all.
func (m *memory[V]) get(key string, load func() (V, time.Duration, error)) (V, error) {
	if e, ok := m.find(key); ok {
		return e.value, e.err
	}
	result, err, _ := m.flights.Do(key, func() (any, error) {
		if e, ok := m.find(key); ok { // the flight before has just landed
			return e.value, e.err
		}
		value, keep, err := load()
		if keep > 0 {
			m.entries.Add(key, remembered[V]{value: value, err: err, until: m.now().Add(keep)})
		}
		return value, err
	})
	value, _ := result.(V)
	return value, err
}

func (m *memory[V]) find(key string) (remembered[V], bool) {
	e, ok := m.entries.Get(key)
	return e, ok && m.now().Before(e.until)
}

func (m *memory[V]) len() int { return m.entries.Len() }
