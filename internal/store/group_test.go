package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// TestCommitsInGroups: of commits that share a transaction each gets the error of
// its own ops, and what the others wrote is there.
func TestCommitsInGroups(t *testing.T) {
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "store.db"), store.BoltOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	document := func(id string) store.Doc {
		return store.Doc{Key: store.Key{Tenant: "t", Kind: "k", ID: id}, Body: []byte(`{"v":1}`)}
	}
	if err := s.Commit(t.Context(), store.Create(document("taken"))); err != nil {
		t.Fatal(err)
	}
	const clients, each = 32, 20
	var won atomic.Int64
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				if err := s.Commit(t.Context(), store.Create(document(fmt.Sprintf("%d of %d", i, c)))); err != nil {
					t.Errorf("a commit failed because of others: %v", err)
				}
				// The first op would be good; it must not stay.
				half := []store.Op{store.Create(document(fmt.Sprintf("half %d of %d", i, c))), store.Create(document("taken"))}
				var wrong *store.OpError
				if err := s.Commit(t.Context(), half...); !errors.Is(err, store.ErrExists) || !errors.As(err, &wrong) || wrong.Op != 1 {
					t.Errorf("op 1 = %v, want %v", err, store.ErrExists)
				}
				switch err := s.Commit(t.Context(), store.Create(document(fmt.Sprintf("only one gets %d", i)))); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrExists):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if won.Load() != each {
		t.Errorf("%d got what one gets %d times", won.Load(), each)
	}
	docs, err := s.List(t.Context(), "t", "k", "", "", 10_000)
	if want := 1 + clients*each + each; err != nil || len(docs) != want {
		t.Errorf("%d documents, %v, want %d", len(docs), err, want)
	}
}
