package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// An older file is upgraded where it stands, all steps or none, and each step
// once; the version before refuses it from then on.
func TestOpenBolt_Upgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	open := func(steps ...upgrade) (*Bolt, error) {
		return OpenBolt(path, BoltOptions{Now: func() time.Time { return time.Unix(0, 0) }, upgrades: append([]upgrade{}, steps...)})
	}
	kept := Key{"t", "k", "kept"}
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	id := s.id
	if err := errors.Join(s.Commit(t.Context(), Create(Doc{Key: kept})), s.Close()); err != nil {
		t.Fatal(err)
	}

	var taken []string
	step := func(name string) upgrade {
		return func(tx *bolt.Tx) error {
			taken = append(taken, name)
			_, err := tx.CreateBucket([]byte(name)) // fails the second time
			return err
		}
	}
	fails := func(*bolt.Tx) error { return errors.New("no space") }
	if _, err := open(step("second"), fails); err == nil || !strings.Contains(err.Error(), "cannot be upgraded from format 2: no space") {
		t.Errorf("OpenBolt with a step that fails = %v, want an error", err)
	}
	if s, err := open(); err != nil {
		t.Errorf("OpenBolt by the version before, after an upgrade that failed = %v", err)
	} else {
		s.Close()
	}
	taken = nil
	for _, steps := range [][]upgrade{{step("second")}, {step("second"), step("third")}, {step("second"), step("third")}} {
		s, err := open(steps...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), kept); err != nil || s.id != id {
			t.Errorf("Get after an upgrade = %v, id %s, want the document and %s", err, s.id, id)
		}
		s.Close()
	}
	if got := strings.Join(taken, " "); got != "second third" {
		t.Errorf("steps taken: %s, want each once", got)
	}
	if _, err := open(step("second")); err == nil || !strings.Contains(err.Error(), "the file has format 3 and this program knows formats up to 2") {
		t.Errorf("OpenBolt of a newer file = %v, want a refusal", err)
	}
}

// A new file takes the same steps and is of the newest format.
func TestOpenBolt_UpgradeNew(t *testing.T) {
	opts := BoltOptions{Now: func() time.Time { return time.Unix(0, 0) }, upgrades: []upgrade{
		func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketMeta)).Put([]byte("second"), nil) },
	}}
	path := filepath.Join(t.TempDir(), "store.db")
	for range 2 {
		s, err := OpenBolt(path, opts)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.db.View(func(tx *bolt.Tx) error {
			meta := tx.Bucket([]byte(bucketMeta))
			if got := string(meta.Get([]byte(metaSchema))); got != "2" || meta.Get([]byte("second")) == nil {
				t.Errorf("a new file has format %s, want 2 with its step", got)
			}
			return nil
		})
		s.Close()
	}
}
