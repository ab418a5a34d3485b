package pgtest_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// ask counts the rows of a table.
func ask(t *testing.T, dsn, table string) (n int, err error) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

func TestShared(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	if other := pgtest.Schema(t, dsn); other == schema {
		t.Error("two tests have one schema")
	}
	pgtest.Exec(t, dsn, "CREATE SCHEMA "+schema, "CREATE TABLE "+schema+".x ()")
	if n, err := ask(t, pgtest.DSN(t), schema+".x"); err != nil || n != 0 {
		t.Errorf("count = %d, %v, want 0", n, err)
	}
}

// A server that was stopped answers nobody and has everything when it is back.
func TestStopAndStart(t *testing.T) {
	s := pgtest.New(t, "max_connections=20")
	pgtest.Exec(t, s.DSN(), "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)")
	for _, stop := range []func(testing.TB){s.Stop, s.StopFast, s.Kill} {
		stop(t)
		if _, err := ask(t, s.DSN(), "kept"); err == nil {
			t.Error("a stopped server answers")
		}
		s.Start(t)
		if n, err := ask(t, s.DSN(), "kept"); err != nil || n != 1 {
			t.Errorf("count after the restart = %d, %v, want 1", n, err)
		}
	}
}

// Nothing stays behind.
func TestRemoved(t *testing.T) {
	var dir string
	t.Run("inside", func(t *testing.T) {
		_, dir, _ = strings.Cut(pgtest.New(t).DSN(), "host=")
		dir = strings.ReplaceAll(dir, "%2F", "/")
		if _, err := os.Stat(dir); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := os.Stat(dir); dir != "" && !os.IsNotExist(err) {
		t.Errorf("the folder of the server is still there: %v", err)
	}
}
