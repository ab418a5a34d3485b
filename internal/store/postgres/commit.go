package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// What commit_ops says besides the position of an op.
const (
	done       = -1
	otherStore = -2
	again      = -3
)

// attempts bounds how often a commit that somebody else was faster than is tried.
// The second attempt sees what the faster one wrote, so more are rarely needed.
const attempts = 16

// Commit does all ops or none, in one statement. When the connection breaks or the
// time is over while the statement runs, nobody knows which of the two it was;
// that is an error, too, and callers issue nothing (CONFORMANCE SEC-13).
func (s *Store) Commit(ctx context.Context, ops ...store.Op) error {
	if err := store.Validate(ops...); err != nil {
		return err
	}
	if len(ops) == 0 {
		return ctx.Err()
	}
	args := arguments(ops)
	result := again
	err := s.call(ctx, func(ctx context.Context) (err error) {
		for range attempts {
			if result, err = s.try(ctx, args); err != nil || result != again {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.verdict(ctx, ops, result)
}

// try calls commit_ops once.
func (s *Store) try(ctx context.Context, args []any) (result int, err error) {
	all := append([]any{*s.id.Load(), s.clock()}, args...)
	err = s.pool.QueryRow(ctx, s.sql.commit, all...).Scan(&result)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "40001" || pg.Code == "40P01") {
		return again, nil // undone: serialization_failure, deadlock_detected
	}
	return result, err
}

// verdict turns the result of commit_ops into the error of Commit.
func (s *Store) verdict(ctx context.Context, ops []store.Op, result int) error {
	switch {
	case result == done:
		return nil
	case result == otherStore:
		// Tickets of the store that was here are void from now on (SEC-12).
		return errors.Join(fmt.Errorf("store postgres: schema %q was made anew, or emptied, under the running server; nothing was written", s.schema), s.readID(ctx))
	case result >= 0 && result < len(ops):
		op := ops[result]
		failure := &store.OpError{Op: result, Key: op.Doc.Key, Err: store.ErrConflict}
		if op.Action == store.ActionCreate {
			failure.Err = store.ErrExists
		}
		return failure
	default:
		return errors.New("store postgres: others keep changing the same documents; nothing was written")
	}
}

// sorted is an op with its key and its place in the list.
type sorted struct {
	store.Op
	key []byte
	at  int32
}

// arguments are the parameters of commit_ops from the third on: the ops, column by
// column, in the order of their keys.
func arguments(ops []store.Op) []any {
	list := make([]sorted, len(ops))
	for i, op := range ops {
		list[i] = sorted{op, keyOf(op.Doc.Key), int32(i)}
	}
	slices.SortFunc(list, func(a, b sorted) int { return bytes.Compare(a.key, b.key) })
	return []any{
		column(list, func(o sorted) int32 { return o.at }),
		column(list, func(o sorted) int32 { return int32(o.Action) }),
		column(list, func(o sorted) []byte { return o.key }),
		column(list, func(o sorted) []byte { return []byte(o.Doc.Tenant) }),
		column(list, func(o sorted) []byte { return []byte(o.Doc.Kind) }),
		column(list, func(o sorted) []byte { return []byte(o.Doc.ID) }),
		column(list, func(o sorted) []byte { return []byte(o.Doc.Index) }),
		column(list, func(o sorted) int64 { return o.Doc.Rev }),
		column(list, func(o sorted) *time.Time { return expiry(o.Doc) }),
		// An absent body is an empty one; nil would be NULL.
		column(list, func(o sorted) []byte { return append([]byte{}, o.Doc.Body...) }),
	}
}

func column[T any](list []sorted, field func(sorted) T) []T {
	c := make([]T, len(list))
	for i, op := range list {
		c[i] = field(op)
	}
	return c
}

// expiry is NULL for never.
func expiry(d store.Doc) *time.Time {
	if d.Expires.IsZero() {
		return nil
	}
	t := store.RoundExpiry(d.Expires)
	return &t
}
