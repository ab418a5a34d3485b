package store

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// upgrade changes a file from one format to the next.
type upgrade func(tx *bolt.Tx) error

// upgrades lead from the first format to the one that this program writes: the
// first from 1 to 2, and so on. A step that was released never changes. A file
// with a higher format was written by a newer program and is refused.
func upgrades() []upgrade { return nil }

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
	// upgrades replaces those of the package in tests.
	upgrades []upgrade
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
	if opts.upgrades == nil {
		opts.upgrades = upgrades()
	}
	return openGuarded(path, opts)
}

// openGuarded makes an error of a panic. What bolt has mapped and locked stays so then.
func openGuarded(path string, opts BoltOptions) (s *Bolt, err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("store %s: %w (%w)", path, ErrBroken, panicked(p))
		}
	}()
	if err := look(path, opts); err != nil {
		return nil, err
	}
	db, err := openFile(path, opts, false)
	if err != nil {
		return nil, err
	}
	id, err := prepare(db, opts.upgrades)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", path, err), db.Close())
	}
	return &Bolt{db: db, group: newGroup(db), id: id, now: opts.Now}, nil
}

// look refuses a file that is shorter than it says. Some of these bolt could not open for
// writing without a panic, which leaves them locked; of the others much could be read,
// and what is missing would come up one day.
func look(path string, opts BoltOptions) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && (info.Size() == 0 || !info.Mode().IsRegular()) {
		return nil // it will be made, or is no file, which opening it tells
	}
	db, err := openFile(path, opts, true)
	if err != nil {
		return err
	}
	err = db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(path)
		if err == nil && info.Size() < tx.Size() {
			err = fmt.Errorf("store %s: the file has %d bytes of %d: it was cut, or is a copy that broke off; restore it", path, info.Size(), tx.Size())
		}
		return err
	})
	return errors.Join(err, db.Close())
}

// openFile opens the file and takes its lock.
func openFile(path string, opts BoltOptions, readOnly bool) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      opts.LockTimeout,
		FreelistType: bolt.FreelistMapType,
		OpenFile:     opts.openFile,
		ReadOnly:     readOnly,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("store %s: another process has it open (waited %v); stop that one or name another file", path, opts.LockTimeout)
	case err != nil:
		return nil, fmt.Errorf("store %s: cannot open: %w", path, err)
	}
	return db, nil
}

// prepare checks the layout of the file, makes it in an empty one or brings an
// older one to the newest, and gives the id of the store.
func prepare(db *bolt.DB, steps []upgrade) (string, error) {
	var f format
	newest := 1 + len(steps)
	err := db.View(func(tx *bolt.Tx) (err error) {
		f, err = inspect(tx, newest)
		return err
	})
	if err != nil || f.version == newest {
		return f.id, err
	}
	// One transaction: a file is of the old format or of the new one.
	err = db.Update(func(tx *bolt.Tx) (err error) {
		if f.version == 0 {
			f = format{1, newID()}
			err = create(tx, f.id)
		}
		if err != nil {
			return err
		}
		return advance(tx, steps, f.version)
	})
	return f.id, err
}

// format is what a file says of itself; version 0 is an empty file.
type format struct {
	version int
	id      string
}

// advance takes the steps behind version.
func advance(tx *bolt.Tx, steps []upgrade, version int) error {
	for ; version <= len(steps); version++ {
		if err := steps[version-1](tx); err != nil {
			return fmt.Errorf("cannot be upgraded from format %d: %w", version, err)
		}
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(metaSchema), []byte(strconv.Itoa(version)))
}

// inspect reads what prepare needs and refuses files that are not ours.
func inspect(tx *bolt.Tx, newest int) (format, error) {
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return format{}, errors.New("this file belongs to another program")
		}
		return format{}, nil
	}
	version, err := readVersion(string(meta.Get([]byte(metaSchema))), newest)
	if err != nil {
		return format{}, err
	}
	if meta.Get([]byte(metaFilling)) != nil {
		return format{}, errFilling
	}
	id := string(meta.Get([]byte(metaID)))
	for _, name := range []string{bucketDoc, bucketIndex, bucketExpiry} {
		if tx.Bucket([]byte(name)) == nil || len(id) != idLength {
			return format{}, errors.New("the file is damaged: a part of it is missing")
		}
	}
	return format{version, id}, nil
}

// readVersion accepts the formats this program knows.
func readVersion(s string, newest int) (int, error) {
	version, err := strconv.Atoi(s)
	if err != nil || version < 1 {
		return 0, errors.New("the file has no readable format version: it is damaged or belongs to another program")
	}
	if version > newest {
		return 0, fmt.Errorf("the file has format %d and this program knows formats up to %d: it was written by a newer version of caddy-uma; start that version, or name another file", version, newest)
	}
	return version, nil
}

// create lays out an empty file in the first format.
func create(tx *bolt.Tx, id string) error {
	for _, name := range []string{bucketDoc, bucketIndex, bucketExpiry} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucketIfNotExists([]byte(bucketMeta))
	if err != nil {
		return err
	}
	return meta.Put([]byte(metaID), []byte(id))
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
