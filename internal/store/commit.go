package store

import (
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// Commit does all ops or none. Commits that arrive together share one sync of
// the disk (group); when one of them fails, the shared transaction is undone, and
// the failing one runs alone and the rest again, so each caller gets the error of
// its own ops only.
func (s *Bolt) Commit(ctx context.Context, ops ...Op) error {
	if err := Validate(ops...); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil || len(ops) == 0 {
		return err
	}
	return wrap(s.group.commit(func(tx *bolt.Tx) error {
		// May run more than once: everything it knows comes from tx.
		if err := ctx.Err(); err != nil {
			return err
		}
		now := s.millis()
		for i, op := range ops {
			if err := apply(tx, op, now); err != nil {
				return opError(i, op, err)
			}
		}
		return nil
	}))
}

// opError names the op that what is stored stood against; failures of the disk
// stay what they are.
func opError(i int, op Op, err error) error {
	if errors.Is(err, ErrExists) || errors.Is(err, ErrConflict) {
		return &OpError{Op: i, Key: op.Doc.Key, Err: err}
	}
	return err
}

// apply does one op inside the transaction.
func apply(tx *bolt.Tx, op Op, now int64) error {
	old, found, err := read(tx, docKey(op.Doc.Key), now)
	if err != nil {
		return err
	}
	switch {
	case op.Action == ActionCreate && found:
		return ErrExists
	case op.Action != ActionCreate && (!found || old.rev != op.Doc.Rev):
		return ErrConflict
	}
	// Of an expired document that Create writes over, index and expiry must go,
	// too: rev 0 means that there is nothing to remove.
	if old.rev != 0 {
		if err := remove(tx, op.Doc.Key, old); err != nil {
			return err
		}
	}
	if op.Action == ActionDelete {
		return nil
	}
	return put(tx, op.Doc, op.nextRev())
}

// nextRev is the revision that the op writes.
func (op Op) nextRev() int64 {
	if op.Action == ActionCreate {
		return 1
	}
	return op.Doc.Rev + 1
}

// put writes a document and the entries that lead to it.
func put(tx *bolt.Tx, d Doc, rev int64) error {
	r := record{rev: rev, expires: expiryMillis(d.Expires), index: d.Index, body: d.Body}
	key := docKey(d.Key)
	if err := tx.Bucket([]byte(bucketDoc)).Put(key, r.encode()); err != nil {
		return err
	}
	if r.index != "" {
		if err := tx.Bucket([]byte(bucketIndex)).Put(indexKey(d.Key, r.index), nil); err != nil {
			return err
		}
	}
	if r.expires == 0 {
		return nil
	}
	return tx.Bucket([]byte(bucketExpiry)).Put(expiryKey(r.expires, key), nil)
}

// remove takes a document away with the entries that lead to it.
func remove(tx *bolt.Tx, key Key, r record) error {
	name := docKey(key)
	return errors.Join(
		tx.Bucket([]byte(bucketIndex)).Delete(indexKey(key, r.index)),
		tx.Bucket([]byte(bucketExpiry)).Delete(expiryKey(r.expires, name)),
		tx.Bucket([]byte(bucketDoc)).Delete(name))
}
