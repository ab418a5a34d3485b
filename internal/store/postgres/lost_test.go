package postgres_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// relay stands between a store and its database, and cuts a connection before the answer
// to what holds a text.
type relay struct {
	cut atomic.Pointer[string]
}

// through is the DSN by way of the relay.
func (r *relay) through(t *testing.T, dsn string) string {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			go r.pass(client, server)
		}
	}()
	u := url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: listener.Addr().String(), Path: config.Database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (r *relay) pass(client, server net.Conn) {
	defer client.Close()
	go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			_ = server.Close()
			return
		}
		if text := r.cut.Load(); text != nil && bytes.Contains(buf[:n], []byte(*text)) {
			r.cut.Store(nil)
			_ = client.Close() // the answer finds nobody
			_, _ = server.Write(buf[:n])
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// SEC-12: the answer to the last word of a migration is lost. It was done, and who says
// it was not invites somebody to go on with the store that was left.
func TestSEC_12_FillWhoseAnswerIsLost(t *testing.T) {
	dsn := pgtest.DSN(t)
	r := new(relay)
	schema := pgtest.Schema(t, dsn)
	to := open(t, postgres.Options{DSN: r.through(t, dsn), Schema: schema})
	from, err := store.OpenBolt(filepath.Join(t.TempDir(), "from"), store.BoltOptions{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := from.Commit(t.Context(), store.Create(document("x"))); err != nil {
		t.Fatal(err)
	}
	id, text := idOf(t, from), "commit\x00"
	r.cut.Store(&text)
	moved, err := store.Migrate(t.Context(), from, to)
	if r.cut.Load() != nil {
		t.Fatal("nothing was cut")
	}
	if err != nil || moved.Len() != 1 {
		t.Errorf("Migrate = %d documents, %v", moved.Len(), err)
	}
	if idOf(t, open(t, postgres.Options{DSN: dsn, Schema: schema})) != id || idOf(t, from) == id {
		t.Error("the id did not move")
	}
}
