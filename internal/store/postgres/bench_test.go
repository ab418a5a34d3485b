package postgres_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

// Its neighbour is BenchmarkBolt. Unlike in the tests, what is committed is on the
// disk.
func BenchmarkPostgres(b *testing.B) {
	server := pgtest.New(b, "fsync=on")
	storetest.Benchmark(b, open(b, postgres.Options{DSN: server.DSN()}))
}
