package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
)

// A database that servers use is not left: what they write after it was read would be
// lost, spent tickets first. A node that has said nothing for half a minute is none.
func TestSEC_12_StoreMigrateInUse(t *testing.T) {
	db := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", db.DSN())
	s, err := postgres.Open(t.Context(), postgres.Options{DSN: db.DSN()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	node := store.Key{Tenant: store.Tenant("node", ""), Kind: "node", ID: "NODE"}
	ops := []store.Op{
		store.Create(store.Doc{Key: store.Key{Tenant: store.Tenant("as", "https://as.example"), Kind: "grant", ID: "x"}, Body: []byte("{}")}),
		store.Create(store.Doc{Key: node, Expires: time.Now().Add(time.Minute), Body: []byte(`{"v":1,"host":"a.example"}`)}),
	}
	if err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "uma.db")
	migrate := func() (int, string) {
		code, stdout, stderr := caddyUMA(t, "", "", "store", "migrate", "--from", "postgres:{env.UMA_TEST_DSN}", "--to", "bolt:"+to)
		return code, stdout + stderr
	}
	if code, text := migrate(); code != 1 || !strings.Contains(text, "servers use this store: NODE a.example. Stop them first") {
		t.Errorf("exit %d, %s", code, text)
	}
	if err := s.Commit(t.Context(), store.Delete(node, 1)); err != nil {
		t.Fatal(err)
	}
	if code, text := migrate(); code != 0 {
		t.Errorf("exit %d, %s", code, text)
	}
}
