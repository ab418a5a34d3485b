package store_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

func TestBolt_Portable(t *testing.T) {
	dir := t.TempDir()
	storetest.RunPortable(t, func(t *testing.T, now func() time.Time) store.Portable {
		t.Helper()
		s, err := store.OpenBolt(filepath.Join(dir, filepath.Base(t.Name())+".db"), store.BoltOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func idOf(t *testing.T, s store.Store) string {
	t.Helper()
	id, err := s.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// filled is a store with two documents.
func filled(t *testing.T, path string) *store.Bolt {
	t.Helper()
	s := open(t, path)
	for _, kind := range []string{"grant", "spent"} {
		d := store.Doc{Key: store.Key{Tenant: store.Tenant("as", "https://as.example"), Kind: kind, ID: "x"}, Index: "i", Body: []byte(`{"v":1}`)}
		if err := s.Commit(t.Context(), store.Create(d)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// The new store is what the old one was, and the old one is another one.
func TestSEC_12_Migrate(t *testing.T) {
	dir := t.TempDir()
	from, to := filled(t, filepath.Join(dir, "from")), open(t, filepath.Join(dir, "to"))
	id := idOf(t, from)
	moved, err := store.Migrate(t.Context(), from, to)
	if err != nil || moved.Len() != 2 || len(moved.Kinds) != 2 {
		t.Fatalf("Migrate = %v, %v", moved.Kinds, err)
	}
	if idOf(t, to) != id || idOf(t, from) == id {
		t.Errorf("ids are %s and %s, the old one was %s", idOf(t, from), idOf(t, to), id)
	}
	if _, err := store.Migrate(t.Context(), from, to); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("Migrate again = %v, want ErrNotEmpty", err)
	}
	if _, err := store.Migrate(t.Context(), from, from); !errors.Is(err, store.ErrSame) {
		t.Errorf("Migrate into itself = %v, want ErrSame", err)
	}
	empty, other := open(t, filepath.Join(dir, "empty")), open(t, filepath.Join(dir, "other"))
	if _, err := store.Migrate(t.Context(), empty, other); !errors.Is(err, store.ErrEmpty) {
		t.Errorf("Migrate of nothing = %v, want ErrEmpty", err)
	}
}

// stubborn keeps its id.
type stubborn struct{ *store.Bolt }

var errStubborn = errors.New("read-only")

func (stubborn) Renew(context.Context) error { return errStubborn }

// torn is a store that breaks in the middle.
type torn struct{ *store.Bolt }

func (torn) Walk(context.Context) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) { yield(store.Doc{}, errStubborn) }
}

func TestSEC_12_MigrateFails(t *testing.T) {
	dir := t.TempDir()
	from, to := filled(t, filepath.Join(dir, "from")), open(t, filepath.Join(dir, "to"))
	id, was := idOf(t, from), idOf(t, to)
	if _, err := store.Migrate(t.Context(), torn{from}, to); !errors.Is(err, errStubborn) {
		t.Errorf("Migrate of a broken store = %v", err)
	}
	if idOf(t, from) != id || idOf(t, to) != was {
		t.Error("an id changed, though nothing was moved")
	}
	moved, err := store.Migrate(t.Context(), stubborn{from}, to)
	if _, told := errors.AsType[*store.NotRenewedError](err); !told || !errors.Is(err, errStubborn) || moved.Len() != 2 {
		t.Errorf("Migrate from a store that keeps its id = %d documents, %v", moved.Len(), err)
	}
}

// A file whose migration was killed is refused, and left for who removes it.
func TestOpenBolt_BrokenOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	filled(t, path).Close()
	change(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("filling"), []byte("1")) })
	before, _ := os.ReadFile(path)
	if _, err := store.OpenBolt(path, store.BoltOptions{Now: now}); err == nil || !strings.Contains(err.Error(), "a migration into this file broke off; remove the file") {
		t.Errorf("OpenBolt = %v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("a refused file was changed")
	}
}

// A tally tells sets apart that have the same numbers.
func TestTally(t *testing.T) {
	d := store.Doc{Key: store.Key{Tenant: "t", Kind: "k", ID: "a"}, Rev: 2, Index: "i", Body: []byte("b"), Expires: now()}
	tally := func(docs ...store.Doc) *store.Tally {
		var all store.Tally
		for _, d := range docs {
			all.Add(d)
		}
		return &all
	}
	second := d
	second.ID = "b"
	if !tally(d, second).Equal(tally(second, d)) {
		t.Error("the order counts")
	}
	for name, change := range map[string]func(*store.Doc){
		"id": func(d *store.Doc) { d.ID = "c" }, "kind": func(d *store.Doc) { d.Kind = "l" }, "tenant": func(d *store.Doc) { d.Tenant = "u" },
		"revision": func(d *store.Doc) { d.Rev++ }, "index": func(d *store.Doc) { d.Index = "j" }, "body": func(d *store.Doc) { d.Body = []byte("c") },
		"expiry": func(d *store.Doc) { d.Expires = d.Expires.Add(time.Millisecond) }, "no expiry": func(d *store.Doc) { d.Expires = time.Time{} },
		"index and body": func(d *store.Doc) { d.Index, d.Body = "ib", nil },
	} {
		changed := d
		change(&changed)
		if tally(d).Equal(tally(changed)) {
			t.Errorf("another %s is not seen", name)
		}
	}
}
