package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// brokenOff is the two files of a migration whose process ended between its last two
// steps: the new store is complete, and the old one still has the id.
func brokenOff(t *testing.T) (from, to *store.Bolt) {
	t.Helper()
	dir := t.TempDir()
	from, to = filled(t, filepath.Join(dir, "from")), open(t, filepath.Join(dir, "to"))
	if err := to.Fill(t.Context(), idOf(t, from), from.Walk(t.Context())); err != nil {
		t.Fatal(err)
	}
	return from, to
}

// Two stores with one id would take one ticket twice: a second run finishes the work.
func TestSEC_12_MigrateAgain(t *testing.T) {
	from, to := brokenOff(t)
	id := idOf(t, from)
	moved, err := store.Migrate(t.Context(), from, to)
	if err != nil || moved.Len() != 2 {
		t.Fatalf("Migrate again = %v, %v", moved.Kinds, err)
	}
	if idOf(t, to) != id || idOf(t, from) == id {
		t.Errorf("ids are %s and %s, the old one was %s", idOf(t, from), idOf(t, to), id)
	}
}

// Unless one of them was used since: nobody but the administrator knows which one.
func TestSEC_12_MigrateAgainAfterUse(t *testing.T) {
	for name, use := range map[string]func(from, to *store.Bolt) *store.Bolt{
		"of the old one": func(from, _ *store.Bolt) *store.Bolt { return from },
		"of the new one": func(_, to *store.Bolt) *store.Bolt { return to },
	} {
		t.Run("SEC-12 "+name, func(t *testing.T) {
			from, to := brokenOff(t)
			id := idOf(t, from)
			doc := store.Doc{Key: store.Key{Tenant: "t", Kind: "spent", ID: "later"}}
			if err := use(from, to).Commit(context.WithoutCancel(t.Context()), store.Create(doc)); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Migrate(t.Context(), from, to); !errors.Is(err, store.ErrParted) {
				t.Errorf("Migrate again = %v, want ErrParted", err)
			}
			if idOf(t, to) != id || idOf(t, from) != id {
				t.Error("an id changed")
			}
		})
	}
}
