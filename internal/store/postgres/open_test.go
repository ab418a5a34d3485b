package postgres_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// idOf gives the id of a store.
func idOf(t *testing.T, s store.Store) string {
	t.Helper()
	id, err := s.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func document(id string) store.Doc {
	return store.Doc{Key: store.Key{Tenant: store.Tenant("as", "https://as.example"), Kind: "spent", ID: id}, Body: []byte(`{"v":1}`)}
}

// Nodes that start at once make one schema between them.
func TestOpen_Together(t *testing.T) {
	dsn := pgtest.DSN(t)
	opts := postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn), MaxConns: 1}
	stores := make([]*postgres.Store, 8)
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() {
			s, err := postgres.Open(t.Context(), opts)
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
		})
	}
	all.Wait()
	for _, s := range stores {
		if s == nil {
			continue
		}
		defer s.Close()
		if got, want := idOf(t, s), idOf(t, stores[0]); got != want {
			t.Errorf("ID = %s, want %s as the others", got, want)
		}
	}
	other := open(t, postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn)})
	if stores[0] != nil && idOf(t, other) == idOf(t, stores[0]) {
		t.Error("two schemas have one ID")
	}
}

// steps are the embedded ones and some of the next version.
func steps(t *testing.T, more map[string]string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	entries, err := fs.ReadDir(postgres.Migrations(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := fs.ReadFile(postgres.Migrations(), e.Name())
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = &fstest.MapFile{Data: text}
	}
	for name, text := range more {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

// A schema of an older version is upgraded where it stands, one of a newer version
// is refused and left alone.
func TestOpen_Versions(t *testing.T) {
	dsn := pgtest.DSN(t)
	opts := postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn)}
	old := open(t, opts)
	id := idOf(t, old)
	if err := old.Commit(t.Context(), store.Create(document("kept"))); err != nil {
		t.Fatal(err)
	}

	broken := opts.WithMigrations(steps(t, map[string]string{"09001_broken.sql": "-- +goose Up\nCREATE TABLE half ();\nCREATE TABLE half ();\n"}))
	if _, err := postgres.Open(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "could not be made or upgraded") {
		t.Errorf("Open with a broken step = %v, want an error", err)
	}
	newer := opts.WithMigrations(steps(t, map[string]string{"09001_next.sql": "-- +goose Up\nCREATE TABLE half ();\nALTER TABLE doc ADD COLUMN extra text;\n"}))
	next := open(t, newer)
	if got := idOf(t, next); got != id {
		t.Errorf("ID after the upgrade = %s, want %s", got, id)
	}
	if _, err := next.Get(t.Context(), document("kept").Key); err != nil {
		t.Errorf("Get after the upgrade = %v", err)
	}
	// The node of the version before goes on until it is restarted.
	if err := old.Commit(t.Context(), store.Create(document("by the old one"))); err != nil {
		t.Errorf("Commit of a node that is not upgraded yet = %v", err)
	}
	_, err := postgres.Open(t.Context(), opts)
	const want = "has version 9001 and this program knows versions up to 1: a newer version of caddy-uma made it; start that version, or name another schema"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open of a newer schema = %v, want %q", err, want)
	}
	if _, err := open(t, newer).Get(t.Context(), document("kept").Key); err != nil {
		t.Errorf("Get after a refusal = %v", err)
	}
}

// The privileges that the documentation names are enough, and fewer are not.
func TestOpen_Privileges(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	open(t, postgres.Options{DSN: dsn, Schema: schema})
	role := schema + "_role"
	pgtest.Exec(t, dsn, "CREATE ROLE "+role)
	t.Cleanup(func() { pgtest.Exec(t, dsn, "DROP OWNED BY "+role, "DROP ROLE "+role) })
	opts := postgres.Options{DSN: dsn + "&role=" + role, Schema: schema}
	if !strings.Contains(dsn, "?") {
		t.Skip("the DSN has no parameters to add to")
	}
	if _, err := postgres.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "lacks a privilege") {
		t.Errorf("Open without privileges = %v, want an error that says so", err)
	}
	pgtest.Exec(t, dsn,
		"GRANT USAGE ON SCHEMA "+schema+" TO "+role,
		"GRANT SELECT ON "+schema+".meta, "+schema+".goose_db_version TO "+role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON "+schema+".doc TO "+role)
	s := open(t, opts)
	d := document("x")
	d.Expires = now().Add(-time.Hour) // the database's clock is later
	if err := errors.Join(s.Commit(t.Context(), store.Create(d)), s.Commit(t.Context(), store.Create(document("x")))); err != nil {
		t.Errorf("Commit = %v", err)
	}
	if _, err := s.Sweep(t.Context(), 9); err != nil {
		t.Errorf("Sweep = %v", err)
	}
	// A new schema needs the right to make it.
	if _, err := postgres.Open(t.Context(), postgres.Options{DSN: opts.DSN, Schema: schema + "_2"}); err == nil || !strings.Contains(err.Error(), "lacks a privilege") {
		t.Errorf("Open of a schema to be made = %v, want an error that says so", err)
	}
}

// SEC-12: an emptied store has forgotten what was spent. A server that runs on
// notices with its next commit, writes nothing, and has another ID from then on.
func TestSEC_12_Emptied(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	s := open(t, postgres.Options{DSN: dsn, Schema: schema})
	before := idOf(t, s)
	spent := document("ticket")
	if err := s.Commit(t.Context(), store.Create(spent)); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, dsn, "TRUNCATE "+schema+".doc")
	err := s.Commit(t.Context(), store.Create(spent))
	if _, verdict := errors.AsType[*store.OpError](err); err == nil || verdict || !strings.Contains(err.Error(), "made anew, or emptied") {
		t.Errorf("Commit after TRUNCATE = %v, want a plain error that says so", err)
	}
	if _, err := s.Get(t.Context(), spent.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound: nothing was written", err)
	}
	if idOf(t, s) == before {
		t.Error("an emptied store kept its ID")
	}
	if err := s.Commit(t.Context(), store.Create(spent)); err != nil {
		t.Errorf("Commit with the new ID = %v", err)
	}
}

// Neither a DSN nor its password is in an error.
func TestErrorsHoldNoDSN(t *testing.T) {
	for _, tc := range []struct{ name, dsn, want string }{
		{"empty", "", "the DSN cannot be read"},
		{"escape", "postgres://bob:ses%zzame@db.example/x", "the DSN cannot be read"},
		{"colon", "postgres://bob:sesame:x@db.example:y/x", "the DSN cannot be read"},
		{"scheme", "mysql://bob:sesame@db.example/x", "the DSN cannot be read"},
		{"port", "host=db.example port=many password=sesame", "the DSN cannot be read"},
		{"quote", "host=db.example password='sesame", "the DSN cannot be read"},
		{"mode", "postgres://bob:sesame@db.example/x?sslmode=verify-sesame", "the DSN cannot be read"},
		{"file", "postgres://bob:sesame@db.example/x?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", "(a file that it names: open /nowhere/ca.pem"},
		{"nobody there", "postgres://bob:sesame@127.0.0.1:1/x?sslmode=disable", "the database cannot be reached; does it run where the DSN says?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), postgres.Options{DSN: tc.dsn})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Open = %v, want %q", err, tc.want)
			}
			for _, secret := range []string{"sesame", "ses%zzame", "bob"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds %q: %v", secret, err)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	const dsn = "postgres://bob:sesame@db.example/x?sslmode=disable"
	for _, tc := range []struct {
		name, want string
		opts       postgres.Options
	}{
		{"fine", "", postgres.Options{DSN: dsn}},
		{"pairs", "", postgres.Options{DSN: "host=db.example user=bob sslmode=disable", Schema: "uma_2", MaxConns: 1}},
		{"capital", "schema must be small letters", postgres.Options{DSN: dsn, Schema: "Uma"}},
		{"quote", "schema must be small letters", postgres.Options{DSN: dsn, Schema: `u"; DROP TABLE x`}},
		{"digit", "schema must be small letters", postgres.Options{DSN: dsn, Schema: "1uma"}},
		{"reserved", "schema must be small letters", postgres.Options{DSN: dsn, Schema: "pg_uma"}},
		{"long", "schema must be small letters", postgres.Options{DSN: dsn, Schema: strings.Repeat("u", 64)}},
		{"longest", "", postgres.Options{DSN: dsn, Schema: strings.Repeat("u", 63)}},
		{"no connections", "max_conns must be a number from 1", postgres.Options{DSN: dsn, MaxConns: -1}},
		{"too many connections", "max_conns must be a number from 1", postgres.Options{DSN: dsn, MaxConns: 10001}},
	} {
		err := postgres.Check(tc.opts)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Check = %v, want %q", tc.name, err, tc.want)
		}
	}
}

// A name that SQL knows as a word is a name like any other.
func TestOpen_ReservedWord(t *testing.T) {
	dsn := pgtest.DSN(t)
	t.Cleanup(func() { pgtest.Exec(t, dsn, `DROP SCHEMA IF EXISTS "user" CASCADE`) })
	s := open(t, postgres.Options{DSN: dsn, Schema: "user"})
	if err := s.Commit(t.Context(), store.Create(document("x"))); err != nil {
		t.Errorf("Commit = %v", err)
	}
}
