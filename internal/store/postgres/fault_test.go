package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// calls makes every call of the contract once.
func calls(ctx context.Context, s store.Store) map[string]error {
	_, get := s.Get(ctx, document("x").Key)
	_, list := s.List(ctx, document("x").Tenant, "spent", "", "", 9)
	_, sweep := s.Sweep(ctx, 9)
	return map[string]error{"Get": get, "List": list, "Sweep": sweep, "Commit": s.Commit(ctx, store.Create(document("new")))}
}

// plain wants an error that says nothing of what is stored, but one of want.
func plain(t *testing.T, name string, err error, want ...string) {
	t.Helper()
	_, verdict := errors.AsType[*store.OpError](err)
	if err == nil || verdict || errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s = %v, want a plain error", name, err)
		return
	}
	for _, w := range want {
		if strings.Contains(err.Error(), w) {
			return
		}
	}
	t.Errorf("%s = %v, want one of %q in it", name, err, want)
}

// SEC-13: a server that is gone is an error within the time of a call; the store
// goes on by itself when it is back.
func TestSEC_13_ServerStopped(t *testing.T) {
	server := pgtest.New(t)
	const timeout = 5 * time.Second
	s := open(t, postgres.Options{DSN: server.DSN(), Timeout: timeout})
	id := idOf(t, s)
	if err := s.Commit(t.Context(), store.Create(document("x"))); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	for range 2 {
		began := time.Now()
		for name, err := range calls(t.Context(), s) {
			plain(t, name, err, "cannot be reached", "connection to the database failed", "shutting down")
		}
		if took := time.Since(began); took > 4*timeout+10*time.Second {
			t.Errorf("four calls took %v", took)
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Options{DSN: server.DSN()}); err == nil || !strings.Contains(err.Error(), "cannot be reached; does it run where the DSN says?") {
		t.Errorf("Open = %v, want an error with a cure", err)
	}
	server.Start(t)
	if _, err := s.Get(t.Context(), document("x").Key); err != nil {
		t.Errorf("Get after the restart = %v", err)
	}
	if _, err := s.Get(t.Context(), document("new").Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what was not written = %v, want ErrNotFound", err)
	}
	if err := s.Commit(t.Context(), store.Create(document("new"))); err != nil {
		t.Errorf("Commit after the restart = %v", err)
	}
	if idOf(t, s) != id {
		t.Error("another ID after the restart")
	}
}

// SEC-13: connections that died while nobody looked cost one call at most.
func TestSEC_13_ServerRestarted(t *testing.T) {
	server := pgtest.New(t)
	s := open(t, postgres.Options{DSN: server.DSN()})
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			if err := s.Commit(t.Context(), store.Create(document(strconv.Itoa(i)))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	server.Stop(t)
	server.Start(t)
	if err := s.Commit(t.Context(), store.Create(document("first"))); err != nil {
		plain(t, "Commit", err, "connection to the database failed", "shutting down")
	}
	for range 20 {
		if _, err := s.Get(t.Context(), document("1").Key); err != nil {
			t.Fatalf("Get after the first failure = %v", err)
		}
	}
}

// SEC-13: a database that does not write reads on and is no "exists".
func TestSEC_13_ReadOnly(t *testing.T) {
	server := pgtest.New(t)
	opts := postgres.Options{DSN: server.DSN()}
	readOnly := postgres.Options{DSN: server.DSN() + "&default_transaction_read_only=on"}
	_, err := postgres.Open(t.Context(), readOnly)
	plain(t, "Open", err, "the database is read-only; name the primary server")
	if err := open(t, opts).Commit(t.Context(), store.Create(document("x"))); err != nil {
		t.Fatal(err)
	}
	s := open(t, readOnly)
	if _, err := s.Get(t.Context(), document("x").Key); err != nil {
		t.Errorf("Get = %v", err)
	}
	old := document("x")
	old.Rev = 1
	_, sweep := s.Sweep(t.Context(), 9)
	for name, err := range map[string]error{
		"Create": s.Commit(t.Context(), store.Create(document("new"))),
		"Swap":   s.Commit(t.Context(), store.Swap(old)),
		"Delete": s.Commit(t.Context(), store.Delete(old.Key, 1)),
		"Sweep":  sweep,
	} {
		plain(t, name, err, "the database is read-only; name the primary server")
	}
	if d, err := s.Get(t.Context(), document("x").Key); err != nil || d.Rev != 1 {
		t.Errorf("Get = rev %d, %v, want what was there", d.Rev, err)
	}
}

// lockTable keeps everybody from the documents until the function it gives is
// called.
func lockTable(t *testing.T, dsn, schema string) (release func()) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("LOCK TABLE " + schema + ".doc"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback(); _ = db.Close() }
}

// openAtLast opens a store with a time for one call that may be short on a busy
// machine. The schema is made without it.
func openAtLast(t *testing.T, opts postgres.Options) *postgres.Store {
	t.Helper()
	open(t, postgres.Options{DSN: opts.DSN, Schema: opts.Schema})
	for {
		s, err := postgres.Open(t.Context(), opts)
		if err == nil {
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
		plain(t, "Open", err, "did not answer within "+opts.Timeout.String(), "did not finish in time")
		if t.Failed() {
			t.FailNow()
		}
	}
}

// SEC-13: a database that is slow is an error when the time of a call is over, for
// those too that wait for a connection, and is used again when it is fast.
func TestSEC_13_Slow(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	s := openAtLast(t, postgres.Options{DSN: dsn, Schema: schema, MaxConns: 2, Timeout: 300 * time.Millisecond})
	release := lockTable(t, dsn, schema)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for name, err := range calls(t.Context(), s) {
				plain(t, name, err, "did not answer within 300ms", "did not finish in time")
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Commit(ctx, store.Create(document("new"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Commit whose caller has gone = %v, want context.DeadlineExceeded", err)
	}
	release()
	// 300 ms may be short for a new connection on a busy machine.
	err := errors.New("not tried")
	for i := 0; i < 500 && err != nil; i++ {
		err = s.Commit(t.Context(), store.Create(document("afterwards "+strconv.Itoa(i))))
	}
	if err != nil {
		t.Errorf("Commit afterwards = %v", err)
	}
}

// SEC-13: a database without a free connection says what to change.
func TestSEC_13_ConnectionLimit(t *testing.T) {
	server := pgtest.New(t, "max_connections=5", "superuser_reserved_connections=0", "max_wal_senders=0")
	s := open(t, postgres.Options{DSN: server.DSN(), MaxConns: 5})
	db, err := sql.Open("pgx", server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	var held []*sql.Conn
	for {
		conn, err := db.Conn(t.Context())
		if err != nil {
			break
		}
		held = append(held, conn)
	}
	// Several at once: the one connection the store has is not enough.
	failures := make(chan error, 16)
	var all sync.WaitGroup
	for i := range cap(failures) {
		all.Go(func() { failures <- s.Commit(t.Context(), store.Create(document(strconv.Itoa(i)))) })
	}
	all.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			plain(t, "Commit", err, "lower max_conns, or raise max_connections")
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Options{DSN: server.DSN()}); err == nil || !strings.Contains(err.Error(), "lower max_conns, or raise max_connections") {
		t.Errorf("Open = %v, want an error with the cure", err)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	_ = db.Close()
	if err := s.Commit(t.Context(), store.Create(document("afterwards"))); err != nil {
		t.Errorf("Commit afterwards = %v", err)
	}
}

// SEC-13: a machine that takes connections and never answers is an error in time.
func TestSEC_13_Silent(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dsn := "postgres://bob:sesame@" + listener.Addr().String() + "/uma?sslmode=disable"
	_, err = postgres.Open(t.Context(), postgres.Options{DSN: dsn, Timeout: 300 * time.Millisecond})
	plain(t, "Open", err, "did not answer within 300ms")
}

// A schema that was removed is no empty store (SEC-13).
func TestSEC_13_SchemaGone(t *testing.T) {
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	s := open(t, postgres.Options{DSN: dsn, Schema: schema})
	pgtest.Exec(t, dsn, "DROP SCHEMA "+schema+" CASCADE")
	for name, err := range calls(t.Context(), s) {
		plain(t, name, err, "the schema is gone; restart", "a table is gone")
	}
}

// Everybody gets his turn on one connection.
func TestOneConnection(t *testing.T) {
	dsn := pgtest.DSN(t)
	s := open(t, postgres.Options{DSN: dsn, Schema: pgtest.Schema(t, dsn), MaxConns: 1})
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			if err := s.Commit(t.Context(), store.Create(document(strconv.Itoa(i)))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
