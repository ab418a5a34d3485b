package postgres_test

import (
	"database/sql"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// SEC-12: commits that name the same documents in any order change all of them or
// none, and never wait for each other in a ring: the database, which would break
// it up after a second, counts none.
func TestSEC_12_NoDeadlock(t *testing.T) {
	dsn := pgtest.New(t).DSN()
	s := open(t, postgres.Options{DSN: dsn})
	names := []string{"a", "b", "c", "d"}
	for _, name := range names {
		if err := s.Commit(t.Context(), store.Create(document(name))); err != nil {
			t.Fatal(err)
		}
	}
	var won atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := change(t, s, names); err == nil {
					won.Add(1)
				}
			}
		})
	}
	all.Wait()
	for _, name := range names {
		if d, err := s.Get(t.Context(), document(name).Key); err != nil || d.Rev != 1+won.Load() {
			t.Errorf("%s has revision %d, %v, want 1 + %d commits", name, d.Rev, err, won.Load())
		}
	}
	if won.Load() < 20 {
		t.Errorf("%d commits of 160 succeeded", won.Load())
	}
	_ = s.Close() // a session hands in its figures when it ends
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rings int
	if err := db.QueryRow("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&rings); err != nil || rings != 0 {
		t.Errorf("%d deadlocks, %v, want none", rings, err)
	}
}

// change swaps all documents and makes and removes others, in a random order.
func change(t *testing.T, s store.Store, names []string) error {
	t.Helper()
	ops := make([]store.Op, 0, 2*len(names))
	for _, i := range rand.Perm(len(names)) {
		d, err := s.Get(t.Context(), document(names[i]).Key)
		if err != nil {
			t.Error(err)
			return err
		}
		beside := document("beside " + names[i])
		ops = append(ops, store.Swap(d))
		if d.Rev%2 == 1 {
			ops = append(ops, store.Create(beside))
		} else {
			ops = append(ops, store.Delete(beside.Key, 1))
		}
	}
	err := s.Commit(t.Context(), ops...)
	if _, verdict := errors.AsType[*store.OpError](err); err != nil && !verdict {
		t.Error("Commit of " + strconv.Itoa(len(ops)) + ": " + err.Error())
	}
	return err
}
