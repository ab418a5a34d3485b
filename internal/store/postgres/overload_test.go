package postgres_test

import (
	"errors"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// SEC-13: whoever may make functions in the schema must not be called in the place
// of ours, and with our role: PostgreSQL prefers text where a parameter has no
// type.
func TestSEC_13_Overloads(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	opts := postgres.Options{DSN: dsn, Schema: schema}
	open(t, opts)
	pgtest.Exec(t, dsn,
		"CREATE FUNCTION "+schema+".commit_ops(text, text, integer[], integer[], bytea[], bytea[], bytea[], bytea[], bytea[], bigint[], timestamptz[], bytea[]) RETURNS integer LANGUAGE sql AS 'SELECT -1'")
	s := open(t, opts)
	x := document("x")
	if err := s.Commit(t.Context(), store.Create(x)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), x.Key); err != nil {
		t.Errorf("Get of what was committed = %v", err)
	}
	if err := s.Commit(t.Context(), store.Create(x)); !errors.Is(err, store.ErrExists) {
		t.Errorf("Commit of the same = %v, want ErrExists", err)
	}
}

// The same while the schema is made: the lock must be the server's own.
func TestOpen_Overloads(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	pgtest.Exec(t, dsn, "CREATE SCHEMA IF NOT EXISTS "+schema,
		"CREATE FUNCTION "+schema+".pg_advisory_lock(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not the lock'; END$$")
	s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}
