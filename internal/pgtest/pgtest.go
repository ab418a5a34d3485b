// Package pgtest gives tests a PostgreSQL. It is imported from tests only.
//
// UMA_TEST_POSTGRES names one by its DSN. Without it the package starts a
// private server from the installed binaries, on a socket in a temporary folder,
// which ends and is removed with the process of the test. Where there is neither,
// the test is skipped with the reason, or fails if UMA_REQUIRE_SERVICES is 1.
//
// There is one server for each process, that is for each package under test, and
// one schema for each test.
package pgtest

import (
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"sync"
	"testing"
)

// DSN gives the shared server of this process.
func DSN(t testing.TB) string {
	t.Helper()
	if dsn := os.Getenv("UMA_TEST_POSTGRES"); dsn != "" {
		return dsn
	}
	s, err := shared()
	if err != nil {
		missing(t, err)
	}
	return s.DSN()
}

// shared starts the server of the process once. Nobody stops it: its guard does
// when the process ends (server.go).
var shared = sync.OnceValues(func() (*Server, error) { return newServer() })

// New starts a server for this test alone, which may stop it. Settings are those
// of postgresql.conf, as name=value.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := newServer(settings...)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(s.remove)
	return s
}

// missing skips the test, unless it was promised that there is a server.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("UMA_REQUIRE_SERVICES") == "1" {
		t.Fatalf("PostgreSQL is required (UMA_REQUIRE_SERVICES=1): %v", err)
	}
	t.Skipf("no PostgreSQL: %v; install it, or set UMA_TEST_POSTGRES to the DSN of one", err)
}

// Schema gives a new name of a schema and drops what stands under it when the
// test ends. The test must link the driver `pgx` (internal/store/postgres does).
func Schema(t testing.TB, dsn string) string {
	t.Helper()
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	name := "test_" + hex.EncodeToString(b[:])
	if os.Getenv("UMA_TEST_POSTGRES") == "" {
		return name // the whole server is thrown away
	}
	t.Cleanup(func() { Exec(t, dsn, fmt.Sprintf("DROP SCHEMA IF EXISTS %s CASCADE", name)) })
	return name
}

// Exec runs statements on a connection of its own.
func Exec(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}
