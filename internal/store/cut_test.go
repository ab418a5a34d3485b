package store

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// SEC-13: a file that is cut below the two pages that say where everything is, while
// others read and write. Who begins next meets the fault with a lock of bolt that the
// others need to come to an end: they must not wait for it, nor a reload for them.
func TestSEC_13_FileIsCutUnderCalls(t *testing.T) {
	for name, size := range map[string]int64{"to nothing": 0, "to the first page": 4096} {
		t.Run("SEC-13 "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			s, err := OpenBolt(path, BoltOptions{Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			begun, goOn, over := make(chan struct{}), make(chan struct{}), make(chan error)
			wait := func(*bolt.Tx) error {
				begun <- struct{}{}
				<-goOn
				return nil
			}
			for _, call := range []func(func(*bolt.Tx) error) error{s.view, s.view, s.group.update} {
				go func() { over <- call(wait) }()
				<-begun
			}
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), Key{"t", "k", "x"}); !errors.Is(err, ErrBroken) {
				t.Errorf("Get = %v, want %v", err, ErrBroken)
			}
			close(goOn)
			for range 3 {
				select {
				case err := <-over:
					if !errors.Is(err, ErrBroken) {
						t.Errorf("a call that ran = %v, want %v", err, ErrBroken)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("a call that ran hangs")
				}
			}
			if err := s.Commit(t.Context(), Create(Doc{Key: Key{"t", "k", "new"}})); !errors.Is(err, ErrBroken) {
				t.Errorf("Commit = %v, want %v", err, ErrBroken)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// SEC-13: a damaged file is copied by nobody; it is an error and not the end of the process.
func TestSEC_13_WalkOfADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := OpenBolt(path, BoltOptions{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		doc := Doc{Key: Key{"t", "k", strconv.Itoa(i)}, Body: make([]byte, 100<<10)}
		if err := s.Commit(t.Context(), Create(doc)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(path, 1<<19); err != nil {
		t.Fatal(err)
	}
	to, err := OpenBolt(filepath.Join(t.TempDir(), "to.db"), BoltOptions{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := Migrate(t.Context(), s, to); !errors.Is(err, errCut) {
		t.Errorf("Migrate = %v, want %v", err, errCut)
	}
}

// SEC-13: a file that was cut while nobody had it open, or is half a copy, is refused,
// and does not end the process.
func TestSEC_13_OpenAFileThatWasCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := OpenBolt(path, BoltOptions{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		doc := Doc{Key: Key{"t", "k", strconv.Itoa(i)}, Body: make([]byte, 10<<10)}
		if err := s.Commit(t.Context(), Create(doc)); err != nil {
			t.Fatal(err)
		}
	}
	var used int64 // bolt makes a file larger than what it uses
	if err := s.view(func(tx *bolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := int64(4096); size <= used; size += 4096 {
		cut := filepath.Join(t.TempDir(), "cut.db")
		if err := os.WriteFile(cut, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the lock is free again
			s, err := OpenBolt(cut, BoltOptions{Now: time.Now, LockTimeout: time.Second})
			if got, want := err == nil, size == used; got != want {
				t.Errorf("OpenBolt with %d bytes of %d = %v", size, used, err)
			}
			if err == nil {
				_ = s.Close()
			} else if strings.Contains(err.Error(), "another process") {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
}
