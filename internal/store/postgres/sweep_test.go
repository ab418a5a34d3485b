package postgres_test

import (
	"database/sql"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// expired makes n documents that are expired by every clock.
func expired(t *testing.T, s store.Store, n int) {
	t.Helper()
	for i := range n {
		d := document(strconv.Itoa(i))
		d.Expires = now().AddDate(-20, 0, 0)
		if err := s.Commit(t.Context(), store.Create(d)); err != nil {
			t.Fatal(err)
		}
	}
}

// sweeps wants Sweep to remove so many.
func sweeps(t *testing.T, s store.Store, want int) {
	t.Helper()
	if n, err := s.Sweep(t.Context(), 99); err != nil || n != want {
		t.Errorf("Sweep = %d, %v, want %d", n, err, want)
	}
}

// In production the database's clock decides what is there and what is swept.
func TestDatabaseClock(t *testing.T) {
	dsn := pgtest.DSN(t)
	s := open(t, postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn)})
	past, future := document("past"), document("future")
	past.Expires, future.Expires = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if err := s.Commit(t.Context(), store.Create(past), store.Create(future)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), past.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of an expired document = %v, want ErrNotFound", err)
	}
	if err := s.Commit(t.Context(), store.Create(future)); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create over a live document = %v, want ErrExists", err)
	}
	sweeps(t, s, 1)
	if _, err := s.Get(t.Context(), future.Key); err != nil {
		t.Errorf("Get of a live document = %v", err)
	}
}

// Time is that of the clock by which documents expire.
func TestTime(t *testing.T) {
	dsn := pgtest.DSN(t)
	for name, clock := range map[string]func() time.Time{"the database's": nil, "injected": now} {
		want := time.Now
		if clock != nil {
			want = clock
		}
		got, err := store.Time(t.Context(), open(t, postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn), Now: clock}), nil)
		if err != nil || got.Sub(want()).Abs() > 10*time.Second {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want())
		}
	}
}

// The database's clock is ahead and will be set back: what has expired by it alone is
// kept, or a spent ticket would be good again. By this machine's alone nothing expires.
func TestSEC_12_SweepByBothClocks(t *testing.T) {
	dsn := pgtest.DSN(t)
	for name, tt := range map[string]struct {
		machine time.Duration
		want    int
	}{"agree": {0, 1}, "the machine is slow": {-2 * time.Hour, 0}, "the machine is fast": {2 * time.Hour, 1}} {
		t.Run("SEC-12 "+name, func(t *testing.T) {
			s := open(t, postgres.Options{
				DSN: dsn, Schema: pgtest.Schema(t, dsn),
				Machine: func() time.Time { return time.Now().Add(tt.machine) },
			})
			past, future := document("past"), document("future")
			past.Expires, future.Expires = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
			if err := s.Commit(t.Context(), store.Create(past), store.Create(future)); err != nil {
				t.Fatal(err)
			}
			sweeps(t, s, tt.want)
		})
	}
}

// Two nodes do not wait for each other: what one has in hand the other leaves.
func TestSweep_Beside(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	s := open(t, postgres.Options{DSN: dsn, Schema: schema})
	expired(t, s, 5)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("SELECT FROM " + schema + ".doc WHERE id IN ('1', '2') FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	sweeps(t, s, 3)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	sweeps(t, s, 2)
}

// One sweep has an end, however many are due.
func TestSweep_Bounded(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	s := open(t, postgres.Options{DSN: dsn, Schema: schema})
	pgtest.Exec(t, dsn, `INSERT INTO `+schema+`.doc SELECT sha256(n::text::bytea), 't', 'k', n::text::bytea, '', 1, 'epoch', '{}' FROM generate_series(1, 5000) AS n`)
	for _, want := range []int{4096, 904, 0} {
		if n, err := s.Sweep(t.Context(), 1<<20); err != nil || n != want {
			t.Errorf("Sweep = %d, %v, want %d", n, err, want)
		}
	}
}
