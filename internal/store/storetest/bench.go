package storetest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// writers is how many commit at once in the benchmarks with many.
const writers = 32

// Benchmark measures an empty store: the calls of one client, and those of many at
// once.
func Benchmark(b *testing.B, s store.Store) {
	b.Helper()
	var n atomic.Int64
	create := func(b *testing.B) {
		b.Helper()
		id := strconv.FormatInt(n.Add(1), 10)
		if err := s.Commit(b.Context(), store.Create(doc(id, index("of "+id), expires(farFuture())))); err != nil {
			b.Error(err)
		}
	}
	first := doc("first", index("of first"))
	if err := s.Commit(b.Context(), store.Create(first)); err != nil {
		b.Fatal(err)
	}
	get := func(b *testing.B) {
		b.Helper()
		if _, err := s.Get(b.Context(), first.Key); err != nil {
			b.Error(err)
		}
	}
	list := func(b *testing.B) {
		b.Helper()
		if docs, err := s.List(b.Context(), tenant, kind, first.Index, "", 1); err != nil || len(docs) != 1 {
			b.Errorf("List = %d documents, %v, want 1", len(docs), err)
		}
	}
	for _, c := range []struct {
		name string
		call func(*testing.B)
	}{{"Commit", create}, {"Get", get}, {"List", list}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.call(b)
			}
		})
		b.Run(c.name+"-by-"+strconv.Itoa(writers), func(b *testing.B) { together(b, c.call) })
	}
}

// together shares b.N calls between the writers.
func together(b *testing.B, call func(*testing.B)) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				call(b)
			}
		})
	}
	all.Wait()
}
