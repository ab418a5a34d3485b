package store_test

import (
	"path/filepath"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

// Its neighbour is BenchmarkPostgres.
func BenchmarkBolt(b *testing.B) {
	s, err := store.OpenBolt(filepath.Join(b.TempDir(), "store.db"), store.BoltOptions{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	storetest.Benchmark(b, s)
}
