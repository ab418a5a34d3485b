package store

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// schema is the layout of the file that this program writes. A file with a
// higher one was written by a newer program and is refused.
const schema = 1

// Buckets and the records of the first.
const (
	bucketMeta   = "meta"   // "schema", "id"
	bucketDoc    = "doc"    // tenant 0 kind 0 id → record
	bucketIndex  = "index"  // tenant 0 kind 0 index 0 id → nothing
	bucketExpiry = "expiry" // expiry in ms, 8 bytes ‖ key of the document → nothing

	metaSchema = "schema"
	metaID     = "id"
)

// DefaultLockTimeout is how long OpenBolt waits for another process to let go
// of the file.
const DefaultLockTimeout = 5 * time.Second

// BoltOptions are the options of OpenBolt.
type BoltOptions struct {
	// Now is the clock that expiry goes by. Required.
	Now func() time.Time
	// LockTimeout is how long to wait for the lock of the file; default
	// DefaultLockTimeout.
	LockTimeout time.Duration

	// openFile replaces os.OpenFile in tests of disk failures.
	openFile func(string, int, os.FileMode) (*os.File, error)
}

// OpenBolt opens the store in a file, which is made when it is not there (mode
// 0600; missing folders 0700). One process at a time has it open.
func OpenBolt(path string, opts BoltOptions) (*Bolt, error) {
	if opts.Now == nil {
		return nil, errors.New("store: options without a clock")
	}
	if opts.LockTimeout <= 0 {
		opts.LockTimeout = DefaultLockTimeout
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := openFile(path, opts)
	if err != nil {
		return nil, err
	}
	id, err := prepare(db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), db.Close())
	}
	return &Bolt{db: db, id: id, now: opts.Now}, nil
}

// openFile opens the file and takes its lock.
func openFile(path string, opts BoltOptions) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      opts.LockTimeout,
		FreelistType: bolt.FreelistMapType,
		OpenFile:     opts.openFile,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("store %s: another process has it open (waited %v); stop that one or name another file", path, opts.LockTimeout)
	case err != nil:
		return nil, fmt.Errorf("store %s: cannot open: %w", path, err)
	}
	// A commit waits at most this long for company; the default of 10 ms would
	// be the latency of a lonely client.
	db.MaxBatchDelay = time.Millisecond
	return db, nil
}

// prepare checks the layout of the file, or makes it in an empty one, and
// gives the id of the store.
func prepare(db *bolt.DB) (string, error) {
	var id string
	var fresh bool
	err := db.View(func(tx *bolt.Tx) (err error) {
		id, fresh, err = inspect(tx)
		return err
	})
	if err != nil || !fresh {
		return id, err
	}
	err = db.Update(func(tx *bolt.Tx) (err error) {
		id, err = create(tx)
		return err
	})
	return id, err
}

// inspect reads what prepare needs and refuses files that are not ours.
func inspect(tx *bolt.Tx) (id string, fresh bool, err error) {
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return "", false, errors.New("this file belongs to another program")
		}
		return "", true, nil
	}
	if err := checkSchema(string(meta.Get([]byte(metaSchema)))); err != nil {
		return "", false, err
	}
	id = string(meta.Get([]byte(metaID)))
	for _, name := range []string{bucketDoc, bucketIndex, bucketExpiry} {
		if tx.Bucket([]byte(name)) == nil || len(id) != idLength {
			return "", false, errors.New("the file is damaged: a part of it is missing")
		}
	}
	return id, false, nil
}

// checkSchema accepts the layouts this program knows.
func checkSchema(s string) error {
	version, err := strconv.Atoi(s)
	if err != nil || version < 1 {
		return errors.New("the file has no readable format version: it is damaged or belongs to another program")
	}
	if version > schema {
		return fmt.Errorf("the file has format %d and this program knows formats up to %d: it was written by a newer version of caddy-uma; start that version, or name another file", version, schema)
	}
	return nil
}

// create lays out an empty file.
func create(tx *bolt.Tx) (string, error) {
	for _, name := range []string{bucketDoc, bucketIndex, bucketExpiry} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return "", err
		}
	}
	meta, err := tx.CreateBucketIfNotExists([]byte(bucketMeta))
	if err != nil {
		return "", err
	}
	id := newID()
	return id, errors.Join(
		meta.Put([]byte(metaSchema), []byte(strconv.Itoa(schema))),
		meta.Put([]byte(metaID), []byte(id)))
}

// idLength is 128 bits in base64url.
const idLength = 22

// newID makes the id of a new store. Tickets are bound to it, so an emptied
// store voids the tickets whose consumption it has forgotten.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
