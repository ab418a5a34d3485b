package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Bolt is the embedded store, one file.
type Bolt struct {
	db    *bolt.DB
	group *group
	id    string
	now   func() time.Time
}

// ctxEvery is how many documents a scan looks at between two looks at its
// context.
const ctxEvery = 256

// ID is the random id that was made together with the file.
func (s *Bolt) ID(ctx context.Context) (string, error) { return s.id, ctx.Err() }

// Close waits for running calls and releases the file. A broken store is left
// alone: what bolt has locked stays locked.
func (s *Bolt) Close() error {
	if s.group.broken.Load() != nil {
		return nil
	}
	return wrap(s.db.Close())
}

// Get gives a document, or ErrNotFound.
func (s *Bolt) Get(ctx context.Context, key Key) (Doc, error) {
	if err := key.Validate(); err != nil {
		return Doc{}, wrap(err)
	}
	if err := ctx.Err(); err != nil {
		return Doc{}, err
	}
	var doc Doc
	err := s.view(func(tx *bolt.Tx) error {
		r, found, err := read(tx, docKey(key), s.millis())
		if err != nil {
			return err
		}
		if !found {
			return ErrNotFound
		}
		doc = r.doc(key)
		return nil
	})
	return doc, wrap(err)
}

// List gives up to n documents in the order of their ids.
func (s *Bolt) List(ctx context.Context, tenant, kind, index, after string, n int) ([]Doc, error) {
	if err := ValidateList(tenant, kind, index, after); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var docs []Doc
	err := s.view(func(tx *bolt.Tx) (err error) {
		docs, err = s.list(ctx, tx, tenant, kind, index, after, n)
		return err
	})
	if err != nil {
		return nil, wrap(err)
	}
	return docs, nil
}

// list walks the ids below one prefix: of the documents themselves for every
// index, of the index bucket for one.
func (s *Bolt) list(ctx context.Context, tx *bolt.Tx, tenant, kind, index, after string, n int) ([]Doc, error) {
	bucket, prefix := bucketDoc, join(tenant, kind, "")
	if index != "" {
		bucket, prefix = bucketIndex, join(tenant, kind, index, "")
	}
	start := append(bytes.Clone(prefix), after...)
	now := s.millis()
	var docs []Doc
	c := tx.Bucket([]byte(bucket)).Cursor()
	seen := 0
	for k, _ := c.Seek(start); len(docs) < n && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		// Expired documents that were not swept yet make the walk longer than n.
		if seen++; seen%ctxEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		key := Key{tenant, kind, string(k[len(prefix):])}
		if key.ID == after {
			continue
		}
		r, found, err := read(tx, docKey(key), now)
		if err != nil {
			return nil, err
		}
		if found {
			docs = append(docs, r.doc(key))
		}
	}
	return docs, nil
}

// read gives the record of a live document.
func read(tx *bolt.Tx, key []byte, now int64) (r record, found bool, err error) {
	raw := tx.Bucket([]byte(bucketDoc)).Get(key)
	if raw == nil {
		return record{}, false, nil
	}
	if r, err = decode(raw); err != nil {
		return record{}, false, err
	}
	return r, r.live(now), nil
}

// maxSweep bounds one Sweep: it holds the only writer's place meanwhile.
const maxSweep = 4096

// Sweep removes up to n expired documents, at most maxSweep at a time.
func (s *Bolt) Sweep(ctx context.Context, n int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	// A look without a write first: most sweeps find nothing, and every write
	// transaction costs a sync of the disk.
	var due [][]byte
	err := s.view(func(tx *bolt.Tx) error {
		due = expired(tx, s.millis(), min(n, 1))
		return nil
	})
	if err != nil || len(due) == 0 {
		return 0, wrap(err)
	}
	err = s.group.update(func(tx *bolt.Tx) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		due = expired(tx, s.millis(), min(n, maxSweep))
		return removeAll(tx, due)
	})
	if err != nil {
		return 0, wrap(err)
	}
	return len(due), nil
}

// expired gives up to n keys of the expiry bucket that are due. They are
// collected first: a cursor must not be walked while its bucket shrinks.
func expired(tx *bolt.Tx, now int64, n int) [][]byte {
	var due [][]byte
	c := tx.Bucket([]byte(bucketExpiry)).Cursor()
	for k, _ := c.First(); k != nil && len(due) < n; k, _ = c.Next() {
		if int64(binary.BigEndian.Uint64(k)) > now {
			break
		}
		due = append(due, bytes.Clone(k))
	}
	return due
}

// removeAll removes the documents that keys of the expiry bucket name.
func removeAll(tx *bolt.Tx, due [][]byte) error {
	for _, k := range due {
		key, ok := splitKey(k[8:])
		if !ok {
			return errRecord
		}
		raw := tx.Bucket([]byte(bucketDoc)).Get(docKey(key))
		if raw == nil {
			return errRecord
		}
		r, err := decode(raw)
		if err != nil {
			return err
		}
		if err := remove(tx, key, r); err != nil {
			return err
		}
	}
	return nil
}

// splitKey undoes docKey.
func splitKey(b []byte) (Key, bool) {
	parts := bytes.Split(b, []byte{0})
	if len(parts) != 3 {
		return Key{}, false
	}
	return Key{string(parts[0]), string(parts[1]), string(parts[2])}, true
}

// millis is the time of the clock in milliseconds.
func (s *Bolt) millis() int64 { return s.now().UnixMilli() }

// wrap says where an error comes from, unless it is one of the contract's.
func wrap(err error) error {
	switch e := err.(type) { //nolint:errorlint // only what we return ourselves, unwrapped
	case nil, *OpError:
		return err
	default:
		if e == ErrNotFound || e == context.Canceled || e == context.DeadlineExceeded || e == errRecord { //nolint:errorlint // likewise
			return e
		}
		return fmt.Errorf("store: %w", err)
	}
}

var _ Store = (*Bolt)(nil)
