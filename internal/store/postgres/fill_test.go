package postgres_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

func TestPostgres_Portable(t *testing.T) {
	dsn := pgtest.DSN(t)
	schemas := map[string]string{}
	storetest.RunPortable(t, func(t *testing.T, now func() time.Time) store.Portable {
		t.Helper()
		if schemas[t.Name()] == "" {
			schemas[t.Name()] = pgtest.Schema(t, dsn)
		}
		return open(t, postgres.Options{DSN: dsn, Schema: schemas[t.Name()], Now: now})
	})
}

// From bolt to PostgreSQL and back: the same documents and the same id everywhere,
// and each store that was left is another one.
func TestSEC_12_MigrateThereAndBack(t *testing.T) {
	dsn := pgtest.DSN(t)
	bolt := func(name string) *store.Bolt {
		s, err := store.OpenBolt(filepath.Join(t.TempDir(), name), store.BoltOptions{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	first, last := bolt("first"), bolt("last")
	docs := func(yield func(store.Doc, error) bool) {
		for i := range 2500 {
			d := document(fmt.Sprint(i))
			d.Rev, d.Index = int64(i+1), fmt.Sprint(i%7)
			if i%2 == 0 {
				d.Expires = time.Now().Add(time.Hour + time.Duration(i)*time.Microsecond)
			}
			if !yield(d, nil) {
				return
			}
		}
	}
	if err := first.Fill(t.Context(), strings.Repeat("A", 22), docs); err != nil {
		t.Fatal(err)
	}
	opts := postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn), Timeout: 100 * time.Millisecond} // the copy may take longer
	middle := openAtLast(t, opts)
	id, all := idOf(t, first), tallyOf(t, first)
	// A node that has it open already learns of the new id.
	running := open(t, postgres.Options{DSN: dsn, Schema: opts.Schema})
	for _, step := range [][2]store.Portable{{first, middle}, {middle, last}} {
		moved, err := store.Migrate(t.Context(), step[0], step[1])
		if err != nil || moved.Len() != 2500 {
			t.Fatalf("Migrate = %d documents, %v", moved.Len(), err)
		}
		if there := tallyOf(t, step[1]); !there.Equal(all) {
			t.Error("the copy is another one")
		}
		if idOf(t, step[1]) != id || idOf(t, step[0]) == id {
			t.Error("the id did not move")
		}
	}
	if err := running.Commit(t.Context(), store.Create(document("of the old id"))); err == nil || !strings.Contains(err.Error(), "was made anew") {
		t.Errorf("Commit of a node that knows the id of before = %v", err)
	}
	// The store that was left still has what was there: the backup.
	if _, err := store.Migrate(t.Context(), last, middle); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("Migrate into the store that was left = %v, want ErrNotEmpty", err)
	}
}

func tallyOf(t *testing.T, s store.Portable) *store.Tally {
	t.Helper()
	var all store.Tally
	for d, err := range s.Walk(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all.Add(d)
	}
	return &all
}

// Who may not own the schema is told so, and nothing is changed.
func TestFill_Privileges(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	open(t, postgres.Options{DSN: dsn, Schema: schema})
	if !strings.Contains(dsn, "?") {
		t.Skip("the DSN has no parameters to add to")
	}
	role := schema + "_role"
	pgtest.Exec(t, dsn, "CREATE ROLE "+role,
		"GRANT USAGE ON SCHEMA "+schema+" TO "+role,
		"GRANT SELECT ON "+schema+".meta, "+schema+".goose_db_version TO "+role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON "+schema+".doc TO "+role)
	t.Cleanup(func() { pgtest.Exec(t, dsn, "DROP OWNED BY "+role, "DROP ROLE "+role) })
	s := open(t, postgres.Options{DSN: dsn + "&role=" + role, Schema: schema})
	source := func(yield func(store.Doc, error) bool) { d := document("x"); d.Rev = 1; yield(d, nil) }
	if err := s.Fill(t.Context(), idOf(t, s), source); err == nil || !strings.Contains(err.Error(), "the database's role lacks a privilege") {
		t.Errorf("Fill = %v", err)
	}
	if all := tallyOf(t, s); all.Len() != 0 {
		t.Errorf("%d documents", all.Len())
	}
}
