package store_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

func now() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }

func TestBolt(t *testing.T) {
	dir := t.TempDir()
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		t.Helper()
		s, err := store.OpenBolt(filepath.Join(dir, filepath.Base(t.Name())+".db"), store.BoltOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func open(t *testing.T, path string) *store.Bolt {
	t.Helper()
	s, err := store.OpenBolt(path, store.BoltOptions{Now: now, LockTimeout: 60 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestOpenBolt_Modes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "store.db")
	open(t, path)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v, want %v", filepath.Base(name), info.Mode().Perm(), err, want)
		}
	}
}

func TestOpenBolt_ID(t *testing.T) {
	dir := t.TempDir()
	id := func(name string) string {
		s := open(t, filepath.Join(dir, name))
		defer s.Close()
		id, err := s.ID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := id("a.db")
	if again := id("a.db"); again != first {
		t.Errorf("ID after reopening = %q, want %q", again, first)
	}
	if second := id("b.db"); second == first {
		t.Error("two stores have one ID")
	}
	// SEC-12: an emptied store has forgotten which tickets were spent.
	if err := os.Remove(filepath.Join(dir, "a.db")); err != nil {
		t.Fatal(err)
	}
	if anew := id("a.db"); anew == first {
		t.Error("an emptied store kept its ID")
	}
}

func TestOpenBolt_Refused(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	open(t, path("locked"))
	for _, tc := range []struct {
		name, want string
		prepare    func(tx *bolt.Tx) error
	}{
		{"locked", "another process has it open (waited 60ms)", nil},
		{"newer", "the file has format 2 and this program knows formats up to 1", setSchema("2")},
		{"unreadable", "no readable format version", setSchema("one")},
		{"zero", "no readable format version", setSchema("0")},
		{"foreign", "belongs to another program", func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("acme")); return err }},
		{"damaged", "a part of it is missing", func(tx *bolt.Tx) error { return setSchema("1")(tx) }},
		{"text", "cannot open", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.prepare != nil {
				change(t, path(tc.name), tc.prepare)
			}
			if tc.name == "text" {
				if err := os.WriteFile(path(tc.name), []byte(strings.Repeat("no database\n", 2000)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(path(tc.name))
			s, err := store.OpenBolt(path(tc.name), store.BoltOptions{Now: now, LockTimeout: 60 * time.Millisecond})
			if s != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("OpenBolt = %v, want an error with %q", err, tc.want)
			}
			if after, _ := os.ReadFile(path(tc.name)); string(after) != string(before) {
				t.Error("a refused file was changed")
			}
		})
	}
	if _, err := store.OpenBolt(path("clock"), store.BoltOptions{}); err == nil {
		t.Error("OpenBolt without a clock succeeded")
	}
	if _, err := store.OpenBolt(path("text/store.db"), store.BoltOptions{Now: now}); err == nil {
		t.Error("OpenBolt below a file succeeded")
	}
	// The neighbour: our own file, opened again.
	for range 2 {
		open(t, path("fine")).Close()
	}
}

func setSchema(version string) func(tx *bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return b.Put([]byte("schema"), []byte(version))
	}
}

// change writes to a file of bolt.
func change(t *testing.T, path string, f func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
}

// Nothing of a document stays behind in any bucket: an index entry without a
// document would be a leak and the end of the sweep.
func TestBolt_NothingLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	clock := now()
	s, err := store.OpenBolt(path, store.BoltOptions{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		d := store.Doc{Key: store.Key{Tenant: "t", Kind: "k", ID: strconv.Itoa(i)}, Index: "x", Expires: clock.Add(time.Duration(i+1) * time.Second)}
		ops := [][]store.Op{{store.Create(d)}, {store.Swap(store.Doc{Key: d.Key, Rev: 1, Index: "y", Expires: d.Expires.Add(time.Hour)})}, {store.Delete(d.Key, 2)}}
		for _, op := range ops[:1+i%3] {
			if err := s.Commit(t.Context(), op...); err != nil {
				t.Fatal(err)
			}
		}
	}
	clock = clock.Add(24 * time.Hour)
	if n, err := s.Sweep(t.Context(), 99); err != nil || n != 27 {
		t.Errorf("Sweep = %d, %v, want 27", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"meta": 2, "doc": 0, "index": 0, "expiry": 0}, count(t, path)); diff != "" {
		t.Errorf("keys per bucket (-want +got):\n%s", diff)
	}
}

// count counts the keys of each bucket.
func count(t *testing.T, path string) map[string]int {
	t.Helper()
	got := map[string]int{}
	change(t, path, func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			got[string(name)] = b.Stats().KeyN
			return nil
		})
	})
	return got
}

// SEC-28: two pairs of role and issuer never make one tenant.
func TestSEC_28_Tenant(t *testing.T) {
	seen := map[string][2]string{}
	for _, pair := range [][2]string{{"as", "https://as.example"}, {"sts", "https://as.example"}, {"as", "https://as.example/"}, {"as:", "https://as.example"}, {"as", ":https://as.example"}, {"", "as"}, {"as", ""}, {"1:a", "s"}, {"a", "s:1"}, {"", "2:as:x"}, {"2:as", ":x"}} {
		tenant := store.Tenant(pair[0], pair[1])
		if old, ok := seen[tenant]; ok {
			t.Errorf("Tenant of %q and %q = %q", old, pair, tenant)
		}
		seen[tenant] = pair
		if role, issuer := store.SplitTenant(tenant); role != pair[0] || issuer != pair[1] {
			t.Errorf("SplitTenant(%q) = %q, %q, want %q", tenant, role, issuer, pair)
		}
	}
	for _, none := range []string{"", "x", "3:as:", "-1:as", "2:as", "99999999999999999999:as:x"} {
		if role, issuer := store.SplitTenant(none); role != "" || issuer != none {
			t.Errorf("SplitTenant(%q) = %q, %q", none, role, issuer)
		}
	}
}

// Errors go to logs: they must not hold ids, which are hashes of credentials.
func TestBolt_ErrorsHoldNoID(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store.db"))
	d := store.Doc{Key: store.Key{Tenant: "t", Kind: "k", ID: "sesame"}, Index: "sesame"}
	if err := s.Commit(t.Context(), store.Create(d)); err != nil {
		t.Fatal(err)
	}
	bad := d
	bad.Index = "sesame\x00"
	for _, op := range []store.Op{store.Create(d), store.Create(bad), store.Swap(d), store.Delete(d.Key, 9)} {
		if err := s.Commit(t.Context(), op); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("Commit = %v, want an error without the id", err)
		}
	}
}
