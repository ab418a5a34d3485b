package postgres_test

import (
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

func now() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }

// open opens a store and closes it when the test ends.
func open(t testing.TB, opts postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestPostgres(t *testing.T) {
	dsn := pgtest.DSN(t)
	schemas := map[string]string{}
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		t.Helper()
		if schemas[t.Name()] == "" {
			schemas[t.Name()] = pgtest.Schema(t, dsn)
		}
		return open(t, postgres.Options{DSN: dsn, Schema: schemas[t.Name()], Now: now})
	})
}
