package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/binary"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var files embed.FS

// embedded are the steps that lead from an empty schema to the newest layout. A
// step that was released never changes; nodes of the version before may still be
// running while the next one is taken, so a step keeps what they use.
func embedded() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// versionTable is where goose keeps the version, inside the schema.
const versionTable = "goose_db_version"

// migrate brings the schema to the newest layout. When it is there already,
// nothing is written or locked: a role without those rights will do.
func (s *Store) migrate(ctx context.Context, steps fs.FS) error {
	db := stdlib.OpenDB(*s.pool.Config().ConnConfig, stdlib.OptionAfterConnect(s.enterSchema))
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, steps, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true), goose.WithTableName(versionTable))
	if err != nil {
		return fmt.Errorf("store postgres: %w", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	if current, err := s.version(ctx, newest); err != nil || current == newest {
		return err
	}
	if err := s.upgrade(ctx, db, p); ctx.Err() != nil {
		return fmt.Errorf("store postgres: schema %q was not ready within %v; is another node upgrading it? %w", s.schema, openTimeout, ctx.Err())
	} else if err != nil {
		return fmt.Errorf("store postgres: schema %q could not be made or upgraded: %w", s.schema, s.explain(ctx, err))
	}
	// A newer node may have been faster.
	_, err = s.version(ctx, newest)
	return err
}

// upgrade takes the steps while it holds the lock of the schema. goose's own
// lockers come too late: it makes its table before it locks.
func (s *Store) upgrade(ctx context.Context, db *sql.DB, p *goose.Provider) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	// The lock ends with the session, whatever happens to us.
	if _, err := conn.ExecContext(ctx, "SELECT pg_catalog.pg_advisory_lock($1::bigint)", lockNumber(s.schema)); err != nil {
		return err
	}
	if err := makeSchema(ctx, conn, s.schema); err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

// lockNumber names the lock of a schema. Advisory locks belong to the database.
func lockNumber(schema string) int64 {
	sum := sha256.Sum256([]byte("caddy-uma\x00" + schema))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// makeSchema makes the schema if there is none. CREATE SCHEMA IF NOT EXISTS would
// ask for the right to make it even then.
func makeSchema(ctx context.Context, conn *sql.Conn, schema string) error {
	var there bool
	err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&there)
	if err == nil && !there {
		_, err = conn.ExecContext(ctx, "CREATE SCHEMA "+quote(schema))
	}
	return err
}

// enterSchema makes the schema the place where the steps make their tables.
func (s *Store) enterSchema(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SET search_path = "+quote(s.schema))
	return err
}

// version reads the version of the layout, 0 if there is none, and refuses one
// that is newer than the newest we know.
func (s *Store) version(ctx context.Context, newest int64) (current int64, err error) {
	var there bool
	table := quote(s.schema, versionTable)
	err = s.pool.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there)
	if err == nil && there {
		err = s.pool.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+table+" WHERE is_applied").Scan(&current)
	}
	if err != nil {
		return 0, s.explain(ctx, err)
	}
	if current > newest {
		return 0, fmt.Errorf("store postgres: schema %q has version %d and this program knows versions up to %d: a newer version of caddy-uma made it; start that version, or name another schema", s.schema, current, newest)
	}
	return current, nil
}

// quote makes an identifier of SQL.
func quote(name ...string) string { return pgx.Identifier(name).Sanitize() }
