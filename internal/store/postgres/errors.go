package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// unreadable says that a DSN cannot be read. The parser's own words may hold parts
// of it, the password among them; only the name of a file is taken from them.
func unreadable(err error) error {
	const text = "store postgres: the DSN cannot be read; write postgres://user:password@host:port/database?sslmode=verify-full"
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s (a file that it names: %w)", text, file)
	}
	return errors.New(text)
}

// cures are what to do, by the code of the database (PostgreSQL, appendix A).
var cures = map[string]string{
	"25006": "the database is read-only; name the primary server in the DSN (target_session_attrs=read-write), or end default_transaction_read_only",
	"28000": "the database refuses the login; see the DSN and pg_hba.conf",
	"28P01": "the database refuses the password",
	"3D000": "there is no such database; create it",
	"3F000": "the schema is gone; restart, and it will be made anew",
	"42501": "the database's role lacks a privilege; see the package's documentation",
	"42P01": "a table is gone; was the schema removed or changed by hand?",
	"42883": "a function is missing; is the server older than PostgreSQL 13, or was the schema changed by hand?",
	"53300": "the database has no connection left; lower max_conns, or raise max_connections there",
	"55P03": "others use the store; stop the servers that run on it",
	"57014": "the database did not finish in time",
	"57P01": "the database is shutting down",
	"57P03": "the database is starting or shutting down",
}

// explain says in our words why a call failed. ctx is the caller's: when it is
// over, that is the reason. The DSN stands in none of the texts.
func (s *Store) explain(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, pgx.ErrNoRows):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("store postgres: %w", ctx.Err())
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		if pg.Code[:min(4, len(pg.Code))] == "57P0" {
			s.pool.Reset()
		}
		return explainCode(pg)
	}
	if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		return fmt.Errorf("store postgres: the database did not answer within %v: %w", s.timeout, err)
	}
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fmt.Errorf("store postgres: the database cannot be reached; does it run where the DSN says? %w", connect.Unwrap())
	}
	// The connection broke: those that stand idle have most likely, too.
	s.pool.Reset()
	return fmt.Errorf("store postgres: the connection to the database failed: %w", err)
}

// explainCode is explain for what the database itself says.
func explainCode(pg *pgconn.PgError) error {
	if cure := cures[pg.Code]; cure != "" {
		return fmt.Errorf("store postgres: %s: %w", cure, pg)
	}
	return fmt.Errorf("store postgres: %w", pg)
}
