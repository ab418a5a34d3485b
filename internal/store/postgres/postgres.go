package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// statements are the statements of a store, with the name of its schema.
type statements struct{ id, get, list, listIndex, commit, sweep, time string }

// live is the condition that a document exists, by the time in the parameter or
// the database's own. now() is the start of the statement.
const live = `(expires IS NULL OR expires > coalesce($1::timestamptz, now()))`

func statementsFor(schema string) statements {
	const (
		fields = ` SELECT id, idx, rev, expires, body FROM SCHEMA.doc `
		page   = ` AND substr(id, 1, 512) >= substr($3::bytea, 1, 512) AND id > $3 AND ` + live + ` ORDER BY substr(id, 1, 512), id LIMIT $4`
	)
	in := func(s string) string { return strings.ReplaceAll(s, "SCHEMA", quote(schema)) }
	return statements{
		id:        in(`SELECT id FROM SCHEMA.meta`),
		time:      `SELECT coalesce($1::timestamptz, clock_timestamp())`,
		get:       in(fields + `WHERE key = $2 AND ` + live),
		list:      in(fields + `WHERE sha256(tenant || '\x00'::bytea || kind) = $2` + page),
		listIndex: in(fields + `WHERE sha256(tenant || '\x00'::bytea || kind || '\x00'::bytea || idx) = $2 AND idx <> ''` + page),
		// The types say which function is meant: for a parameter without one the server
		// would prefer a function with text that somebody else made.
		commit: in(`SELECT SCHEMA.commit_ops($1::text, $2::timestamptz, $3::integer[], $4::integer[], $5::bytea[],
				$6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bigint[], $11::timestamptz[], $12::bytea[])`),
		// Rows that another node is sweeping or changing are left to it.
		sweep: in(`WITH due AS MATERIALIZED (
				SELECT key FROM SCHEMA.doc WHERE expires <= least(coalesce($1::timestamptz, now()), $3::timestamptz)
				ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)
			DELETE FROM SCHEMA.doc USING due WHERE doc.key = due.key`),
	}
}

// hash is SHA-256 of the names with zero bytes between them, which names never
// hold.
func hash(names ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return sum[:]
}

func keyOf(k store.Key) []byte { return hash(k.Tenant, k.Kind, k.ID) }

// clock is the injected time, or nil for the database's.
func (s *Store) clock() *time.Time {
	if s.now == nil {
		return nil
	}
	now := s.now()
	return &now
}

// call runs f within the time of a call and says in our words what went wrong.
func (s *Store) call(ctx context.Context, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.explain(ctx, f(limited))
}

// ID is the random id that was made together with the schema.
func (s *Store) ID(ctx context.Context) (string, error) { return *s.id.Load(), ctx.Err() }

// readID reads the id anew.
func (s *Store) readID(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context) error {
		var id string
		if err := s.pool.QueryRow(ctx, s.sql.id).Scan(&id); err != nil {
			return err
		}
		s.id.Store(&id)
		return nil
	})
}

// Time implements store.Timed: the database's clock decides what has expired.
func (s *Store) Time(ctx context.Context) (now time.Time, err error) {
	err = s.call(ctx, func(ctx context.Context) error { return s.pool.QueryRow(ctx, s.sql.time, s.clock()).Scan(&now) })
	return now, err
}

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Get gives a document, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, key store.Key) (doc store.Doc, err error) {
	if err := key.Validate(); err != nil {
		return store.Doc{}, fmt.Errorf("store: %w", err)
	}
	err = s.call(ctx, func(ctx context.Context) error {
		doc, err = scan(s.pool.QueryRow(ctx, s.sql.get, s.clock(), keyOf(key)), key.Tenant, key.Kind)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Doc{}, store.ErrNotFound
	}
	return doc, err
}

// List gives up to n documents in the order of their ids.
func (s *Store) List(ctx context.Context, tenant, kind, index, after string, n int) (docs []store.Doc, err error) {
	if err := store.ValidateList(tenant, kind, index, after); err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, ctx.Err()
	}
	sql, which := s.sql.list, hash(tenant, kind)
	if index != "" {
		sql, which = s.sql.listIndex, hash(tenant, kind, index)
	}
	err = s.call(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, sql, s.clock(), which, []byte(after), n)
		if err != nil {
			return err
		}
		docs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Doc, error) { return scan(row, tenant, kind) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return docs, nil
}

// scan reads a document.
func scan(row pgx.Row, tenant, kind string) (store.Doc, error) {
	var id, index []byte
	var expires *time.Time
	d := store.Doc{Key: store.Key{Tenant: tenant, Kind: kind}}
	if err := row.Scan(&id, &index, &d.Rev, &expires, &d.Body); err != nil {
		return store.Doc{}, err
	}
	d.ID, d.Index = string(id), string(index)
	if expires != nil {
		d.Expires = expires.UTC()
	}
	return d, nil
}

// maxSweep bounds one Sweep: its rows stay locked until it ends.
const maxSweep = 4096

// Sweep removes up to n expired documents, at most maxSweep at a time. Several
// nodes sweep beside each other. What has expired by the database's clock alone stays:
// if that is ahead and set back, a spent ticket must not be good again (CONFORMANCE
// SEC-12).
func (s *Store) Sweep(ctx context.Context, n int) (removed int, err error) {
	if n <= 0 {
		return 0, ctx.Err()
	}
	// NULL is no time: least takes the other one.
	var machine *time.Time
	if s.machine != nil {
		now := s.machine()
		machine = &now
	}
	err = s.call(ctx, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, s.sql.sweep, s.clock(), min(n, maxSweep), machine)
		removed = int(tag.RowsAffected())
		return err
	})
	return removed, err
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Timed = (*Store)(nil)
)
