package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
)

// metaFilling stands in bucketMeta while Fill runs. A file with it is refused: the
// process ended in the middle.
const metaFilling = "filling"

var errFilling = errors.New("a migration into this file broke off; remove the file and migrate again")

// Bounds of one transaction of Fill, which bolt keeps in memory.
const (
	fillDocs  = 1000
	fillBytes = 4 << 20
)

// Walk implements Portable, in one transaction.
func (s *Bolt) Walk(ctx context.Context) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		more := true
		err := s.view(func(tx *bolt.Tx) error {
			return walk(ctx, tx, func(d Doc) bool {
				more = yield(d, nil)
				return more
			})
		})
		if err != nil && more {
			yield(Doc{}, wrap(err))
		}
	}
}

// walk gives documents until f has enough.
func walk(ctx context.Context, tx *bolt.Tx, f func(Doc) bool) error {
	c := tx.Bucket([]byte(bucketDoc)).Cursor()
	seen := 0
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if seen%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		seen++
		key, ok := splitKey(k)
		if !ok {
			return errRecord
		}
		r, err := decode(v)
		if err != nil {
			return err
		}
		if !f(r.doc(key)) {
			return nil
		}
	}
	return ctx.Err()
}

// Fill implements Portable: in many transactions, with a mark in the file until the
// last one.
func (s *Bolt) Fill(ctx context.Context, id string, docs iter.Seq2[Doc, error]) error {
	if err := errors.Join(CheckID(id), ctx.Err()); err != nil {
		return err
	}
	if err := s.db.Update(s.beginFill); err != nil {
		return wrapFill(err)
	}
	given, err := s.fill(ctx, docs)
	if err == nil {
		err = s.verifyFill(ctx, given)
	}
	if err == nil {
		err = s.db.Update(func(tx *bolt.Tx) error { return endFill(tx, id) })
	}
	if err != nil {
		return errors.Join(wrapFill(err), wrap(s.db.Update(emptied)))
	}
	s.id = id
	return nil
}

// wrapFill leaves alone what callers look for.
func wrapFill(err error) error {
	if errors.Is(err, ErrNotEmpty) || errors.Is(err, ErrCopy) {
		return err
	}
	return wrap(err)
}

// beginFill sets the mark if there is no live document, and removes the others.
func (s *Bolt) beginFill(tx *bolt.Tx) error {
	now := s.millis()
	c := tx.Bucket([]byte(bucketDoc)).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if r, err := decode(v); err != nil || r.live(now) {
			return errors.Join(err, ErrNotEmpty)
		}
	}
	if err := emptied(tx); err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketMeta)).Put([]byte(metaFilling), []byte("1"))
}

// emptied removes all documents and the mark.
func emptied(tx *bolt.Tx) error {
	for _, name := range []string{bucketDoc, bucketIndex, bucketExpiry} {
		if err := tx.DeleteBucket([]byte(name)); err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	return tx.Bucket([]byte(bucketMeta)).Delete([]byte(metaFilling))
}

func endFill(tx *bolt.Tx, id string) error {
	meta := tx.Bucket([]byte(bucketMeta))
	return errors.Join(meta.Delete([]byte(metaFilling)), meta.Put([]byte(metaID), []byte(id)))
}

// fill writes the documents and counts them.
func (s *Bolt) fill(ctx context.Context, docs iter.Seq2[Doc, error]) (*Tally, error) {
	var given Tally
	var batch []Doc
	size := 0
	for d, err := range docs {
		if err == nil {
			err = errors.Join(CheckFill(d), ctx.Err())
		}
		if err != nil {
			return nil, err
		}
		given.Add(d)
		batch, size = append(batch, d), size+len(d.Body)
		if len(batch) < fillDocs && size < fillBytes {
			continue
		}
		if err := s.putAll(batch); err != nil {
			return nil, err
		}
		batch, size = batch[:0], 0
	}
	return &given, s.putAll(batch)
}

func (s *Bolt) putAll(docs []Doc) error {
	if len(docs) == 0 {
		return nil
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, d := range docs {
			if tx.Bucket([]byte(bucketDoc)).Get(docKey(d.Key)) != nil {
				return fmt.Errorf("%w: a document came twice", ErrCopy)
			}
			if err := put(tx, d, d.Rev); err != nil {
				return err
			}
		}
		return nil
	})
}

// verifyFill reads everything again.
func (s *Bolt) verifyFill(ctx context.Context, given *Tally) error {
	var found Tally
	for d, err := range s.Walk(ctx) {
		if err != nil {
			return err
		}
		found.Add(d)
	}
	if !found.Equal(given) {
		return fmt.Errorf("%w: %d documents of %d", ErrCopy, found.Len(), given.Len())
	}
	return nil
}

// Renew implements Portable.
func (s *Bolt) Renew(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id := newID()
	err := s.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(metaID), []byte(id))
	})
	if err == nil {
		s.id = id
	}
	return wrap(err)
}

var _ Portable = (*Bolt)(nil)
