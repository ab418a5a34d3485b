package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Somebody cuts or empties the file of a running server: reading the mapped
// memory faults. The calls fail, all of them return, and the process lives.
func TestSEC_13_FileIsCut(t *testing.T) {
	for name, size := range map[string]int64{"to nothing": 0, "to the first page": 4096, "to half": 1 << 19} {
		t.Run("SEC-13 "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			s, err := store.OpenBolt(path, store.BoltOptions{Now: now})
			if err != nil {
				t.Fatal(err)
			}
			doc := func(i int) store.Doc {
				return store.Doc{Key: store.Key{Tenant: "t", Kind: "k", ID: strconv.Itoa(i)}, Body: []byte(strings.Repeat("x", 1000))}
			}
			for i := 0; i < 2000; i += 100 {
				var ops []store.Op
				for j := range 100 {
					ops = append(ops, store.Create(doc(i+j)))
				}
				if err := s.Commit(t.Context(), ops...); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					_, getErr := s.Get(t.Context(), doc(i*50).Key)
					_, listErr := s.List(t.Context(), "t", "k", "", "", 3000)
					commitErr := s.Commit(t.Context(), store.Create(doc(10_000+i)))
					_, sweepErr := s.Sweep(t.Context(), 10)
					if listErr == nil {
						t.Error("half of the file is enough to list everything")
					}
					for _, err := range []error{getErr, listErr, commitErr, sweepErr} {
						if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict) {
							t.Errorf("%v, want a plain error", err)
						}
					}
				})
			}
			all.Wait()
			_, err = s.List(t.Context(), "t", "k", "", "", 3000)
			if err == nil || !strings.Contains(err.Error(), "a part of the file cannot be read") {
				t.Errorf("%v, want an error that says what is wrong", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
