package store_test

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

func benchStore(b *testing.B) *store.Bolt {
	b.Helper()
	s, err := store.OpenBolt(filepath.Join(b.TempDir(), "store.db"), store.BoltOptions{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func benchDoc(id string) store.Doc {
	return store.Doc{
		Key:     store.Key{Tenant: store.Tenant("as", "https://as.example"), Kind: "spent", ID: id},
		Expires: now().Add(5 * time.Minute),
		Body:    []byte(`{"v":1}`),
	}
}

// One client: what a commit costs when nobody shares it.
func BenchmarkCommit(b *testing.B) {
	s := benchStore(b)
	for i := range b.N {
		if err := s.Commit(b.Context(), store.Create(benchDoc(strconv.Itoa(i)))); err != nil {
			b.Fatal(err)
		}
	}
}

// Many clients: commits share transactions.
func BenchmarkCommit_Parallel(b *testing.B) {
	s := benchStore(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Commit(b.Context(), store.Create(benchDoc(strconv.FormatInt(n.Add(1), 10)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	d := benchDoc("id")
	if err := s.Commit(b.Context(), store.Create(d)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), d.Key); err != nil {
			b.Fatal(err)
		}
	}
}
