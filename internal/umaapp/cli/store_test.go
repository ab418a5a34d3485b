package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-uma/caddy-uma/caddyuma/postgres"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// boltFile is a store with some documents, and its id.
func boltFile(t *testing.T, kinds ...string) (path, id string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "uma.db")
	s := openFile(t, path)
	defer s.Close()
	for i, kind := range kinds {
		tenant := store.Tenant("as", "https://as.example")
		if i%2 == 1 {
			tenant = store.Tenant("op", "https://sts.example")
		}
		for _, id := range []string{"x", "y", "z"}[:1+i%3] {
			if err := s.Commit(t.Context(), store.Create(store.Doc{Key: store.Key{Tenant: tenant, Kind: kind, ID: id}})); err != nil {
				t.Fatal(err)
			}
		}
	}
	id, _ = s.ID(t.Context())
	return path, id
}

func openFile(t *testing.T, path string) *store.Bolt {
	t.Helper()
	s, err := store.OpenBolt(path, store.BoltOptions{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func idOfFile(t *testing.T, path string) string {
	t.Helper()
	s := openFile(t, path)
	defer s.Close()
	id, err := s.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestStoreMigrate(t *testing.T) {
	from, id := boltFile(t, "grant", "session", "spent")
	to := filepath.Join(t.TempDir(), "new", "uma.db")
	code, stdout, stderr := caddyUMA(t, "", "", "store", "migrate", "--from", "bolt:"+from, "--to", "bolt:"+to)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	golden(t, "store_migrate.txt", stdout)
	if idOfFile(t, to) != id || idOfFile(t, from) == id {
		t.Error("the id did not move")
	}
	// By the configurations, and with keys.
	from, id = boltFile(t, "key")
	dir := t.TempDir()
	old, next := filepath.Join(dir, "old.Caddyfile"), filepath.Join(dir, "next.json")
	for name, text := range map[string]string{
		old:  "{\n\tuma {\n\t\tstore bolt " + from + "\n\t}\n}\n",
		next: `{"apps":{"uma":{"store":{"module":"bolt","path":"` + filepath.Join(dir, "next.db") + `"}}}}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr = caddyUMA(t, "", "", "store", "migrate", "--from", old, "--to", next, "--json")
	if code != 0 || !strings.Contains(stdout, `"documents": 1`) || !strings.Contains(stdout, `"issuer": "https://as.example"`) {
		t.Fatalf("exit %d, %s, %s", code, stdout, stderr)
	}
	if idOfFile(t, filepath.Join(dir, "next.db")) != id {
		t.Error("the id did not move")
	}
}

// What is refused changes nothing, and says what to do.
func TestStoreMigrateRefuses(t *testing.T) {
	t.Setenv("UMA_TEST_NOWHERE", "postgres://bob:sesame@127.0.0.1:1/uma?sslmode=disable")
	full, id := boltFile(t, "grant")
	other, _ := boltFile(t, "grant")
	empty, _ := boltFile(t)
	locked, _ := boltFile(t, "grant")
	defer openFile(t, locked).Close()
	fresh := filepath.Join(t.TempDir(), "fresh.db")
	none := filepath.Join(t.TempDir(), "none.db")
	config := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(config, []byte(`{"apps":{"uma":{"store":{"module":"bold"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, to string
		code     int
		stderr   string
	}{
		{"", "bolt:" + fresh, 2, "name both stores"},
		{"bolt:" + full, "", 2, "name both stores"},
		{"bolt:" + none, "bolt:" + fresh, 3, none + ": there is no such file. Nothing was changed"},
		{"bolt:" + locked, "bolt:" + fresh, 3, "another process has it open (waited 5s); stop that one"},
		{"bolt:" + empty, "bolt:" + fresh, 1, "the store that should be copied holds no documents; nothing was changed"},
		{"bolt:" + full, "bolt:" + other, 1, "the store that should be filled holds documents already; nothing was changed"},
		{"bolt:" + full, "postgres:postgres://bob:sesame@127.0.0.1:1/uma", 2, "a password must not stand on the command line"},
		{"bolt:" + full, "postgres:{env.UMA_TEST_NOWHERE}", 3, "the database cannot be reached; does it run where the DSN says?"},
		{"bolt:" + full, "postgres:{env.UMA_TEST_UNSET}", 2, "environment variable UMA_TEST_UNSET is not set"},
		{"bolt:" + full, "postgres:", 2, "the DSN is empty"},
		{"bolt:" + full, config, 2, "unknown module: uma.stores.bold"},
		{"bolt:" + full, none, 2, "is neither bolt[:PATH] nor postgres:DSN, and no configuration"},
	} {
		code, stdout, stderr := caddyUMA(t, "", "", "store", "migrate", "--from", tc.from, "--to", tc.to)
		if code != tc.code || stdout != "" || !strings.Contains(stderr, tc.stderr) || strings.Contains(stderr, "sesame") {
			t.Errorf("from %q to %q: exit %d, %q, %q; want %d, %q", tc.from, tc.to, code, stdout, stderr, tc.code, tc.stderr)
		}
	}
	for path, there := range map[string]bool{none: false, full: true} {
		if _, err := os.Stat(path); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	if idOfFile(t, full) != id {
		t.Error("a store that was not moved is another one")
	}
	code, _, stderr := caddyUMA(t, "", "", "store", "copy")
	if code != 2 || !strings.Contains(stderr, `there is no command "copy"`) {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
