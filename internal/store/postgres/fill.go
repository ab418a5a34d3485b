package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Copying everything takes longer than a call may: these transactions have no limit
// but the caller's.
const patient = `
	SET LOCAL statement_timeout = 0;
	SET LOCAL idle_in_transaction_session_timeout = 0`

// columns of doc but the key, in the order of everything.
const everything = `SELECT tenant, kind, id, idx, rev, expires, body FROM SCHEMA.doc`

// enterFill keeps others away while the store is filled: who commits looks into meta
// first. A server that runs on the store would hold us up; nobody waits for that.
const enterFill = `
	SET LOCAL lock_timeout = '10s';
	LOCK TABLE SCHEMA.meta IN ACCESS EXCLUSIVE MODE;
	LOCK TABLE SCHEMA.doc IN SHARE ROW EXCLUSIVE MODE;
	DELETE FROM SCHEMA.doc WHERE expires <= now()`

func (s *Store) in(sql string) string { return strings.ReplaceAll(sql, "SCHEMA", quote(s.schema)) }

// Walk implements store.Portable, in one transaction.
func (s *Store) Walk(ctx context.Context) iter.Seq2[store.Doc, error] {
	return func(yield func(store.Doc, error) bool) {
		more := true
		opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		err := pgx.BeginTxFunc(ctx, s.pool, opts, func(tx pgx.Tx) error {
			return s.walk(ctx, tx, func(d store.Doc) bool {
				more = yield(d, nil)
				return more
			})
		})
		if err != nil && more {
			yield(store.Doc{}, s.explain(ctx, err))
		}
	}
}

// walk gives documents until f has enough.
func (s *Store) walk(ctx context.Context, tx pgx.Tx, f func(store.Doc) bool) error {
	if _, err := tx.Exec(ctx, patient, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, s.in(everything))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scanWhole(rows)
		if err != nil {
			return err
		}
		if !f(d) {
			return nil
		}
	}
	return rows.Err()
}

// scanWhole reads a document with its names.
func scanWhole(rows pgx.Rows) (store.Doc, error) {
	var tenant, kind []byte
	d, err := scan(prefixed{rows, []any{&tenant, &kind}}, "", "")
	d.Tenant, d.Kind = string(tenant), string(kind)
	return d, err
}

// prefixed is a row with further columns in front.
type prefixed struct {
	pgx.Row
	front []any
}

func (p prefixed) Scan(dest ...any) error { return p.Row.Scan(append(p.front, dest...)...) }

// Fill implements store.Portable, in one transaction. It needs the rights of the
// schema's owner.
func (s *Store) Fill(ctx context.Context, id string, docs iter.Seq2[store.Doc, error]) error {
	if err := errors.Join(store.CheckID(id), ctx.Err()); err != nil {
		return err
	}
	var foreign error // of who gives the documents
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.enterFill(ctx, tx); err != nil {
			return err
		}
		given, err := s.copyAll(ctx, tx, docs, &foreign)
		if err != nil {
			return err
		}
		return s.endFill(ctx, tx, id, given)
	})
	switch {
	case foreign != nil:
		return foreign
	case errors.Is(err, store.ErrNotEmpty), errors.Is(err, store.ErrCopy):
		return err
	case err != nil && !s.became(ctx, id):
		return s.explain(ctx, err)
	}
	s.id.Store(&id)
	return nil
}

// became tells whether the store has another id than it had. If the answer to a commit
// was lost, it is done all the same.
func (s *Store) became(ctx context.Context, id string) bool {
	if *s.id.Load() == id { // as before
		return false
	}
	s.pool.Reset()
	return s.readID(ctx) == nil && *s.id.Load() == id
}

func (s *Store) enterFill(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, patient+";"+s.in(enterFill), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	var some bool
	err := tx.QueryRow(ctx, s.in("SELECT EXISTS (SELECT FROM SCHEMA.doc)")).Scan(&some)
	if err == nil && some {
		err = store.ErrNotEmpty
	}
	return err
}

// copyAll writes the documents and counts them.
func (s *Store) copyAll(ctx context.Context, tx pgx.Tx, docs iter.Seq2[store.Doc, error], foreign *error) (*store.Tally, error) {
	next, stop := iter.Pull2(docs)
	defer stop()
	var given store.Tally
	source := pgx.CopyFromFunc(func() ([]any, error) {
		d, err, more := next()
		if !more {
			return nil, nil // the end
		}
		if err == nil {
			err = store.CheckFill(d)
		}
		if err != nil {
			*foreign = err
			return nil, err
		}
		given.Add(d)
		return []any{
			keyOf(d.Key), []byte(d.Tenant), []byte(d.Kind), []byte(d.ID), []byte(d.Index), d.Rev, expiry(d), append([]byte{}, d.Body...),
		}, nil
	})
	_, err := tx.CopyFrom(ctx, pgx.Identifier{s.schema, "doc"}, []string{"key", "tenant", "kind", "id", "idx", "rev", "expires", "body"}, source)
	return &given, err
}

// endFill reads everything again, and gives the store its id.
func (s *Store) endFill(ctx context.Context, tx pgx.Tx, id string, given *store.Tally) error {
	var found store.Tally
	if err := s.walk(ctx, tx, func(d store.Doc) bool { found.Add(d); return true }); err != nil {
		return err
	}
	if !found.Equal(given) {
		return fmt.Errorf("%w: %d documents of %d", store.ErrCopy, found.Len(), given.Len())
	}
	if _, err := tx.Exec(ctx, s.in("UPDATE SCHEMA.meta SET id = $1"), id); err != nil {
		return err
	}
	// Without it the first queries would be planned for an empty table.
	_, err := tx.Exec(ctx, s.in("ANALYZE SCHEMA.doc"))
	return err
}

// Renew implements store.Portable. It needs the rights of the schema's owner.
func (s *Store) Renew(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		var id string
		err := s.pool.QueryRow(ctx, s.in("UPDATE SCHEMA.meta SET id = SCHEMA.new_store_id() RETURNING id")).Scan(&id)
		if err == nil {
			s.id.Store(&id)
		}
		return err
	})
}

var _ store.Portable = (*Store)(nil)
