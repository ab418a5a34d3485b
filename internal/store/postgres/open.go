package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Defaults of Options.
const (
	DefaultSchema   = "uma"
	DefaultMaxConns = 10
	DefaultTimeout  = 5 * time.Second
)

// openTimeout is for Open as a whole: waiting for another node that changes the
// schema, and changing it.
const openTimeout = 15 * time.Second

// Options are the options of Open.
type Options struct {
	// DSN leads to the database: postgres://user:password@host:port/database?…
	// or key=value pairs. It appears in no error. Required.
	DSN string
	// Schema is where the tables stand. Default: DefaultSchema.
	Schema string
	// MaxConns is the number of connections this process opens at most. Default:
	// DefaultMaxConns.
	MaxConns int
	// Timeout is for one call, waiting for a connection included. Default:
	// DefaultTimeout.
	Timeout time.Duration
	// Now replaces the database's clock in tests; nil in production, where the
	// clocks of several machines would differ.
	Now func() time.Time
	// Machine is the clock of this machine: what has not expired by it, too, is not
	// swept. Default: the database's clock alone counts.
	Machine func() time.Time

	// migrations replaces the embedded ones in tests of upgrades.
	migrations fs.FS
}

// Store is a document store in a PostgreSQL schema.
type Store struct {
	pool    *pgxpool.Pool
	sql     statements
	schema  string
	id      atomic.Pointer[string]
	now     func() time.Time
	machine func() time.Time
	timeout time.Duration
}

// Check checks options without connecting to anything.
func Check(opts Options) error {
	_, err := opts.config()
	return err
}

// Open connects, makes or upgrades the schema where that is needed, and reads the
// id of the store.
func Open(ctx context.Context, opts Options) (*Store, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("store postgres: %w", err)
	}
	s := &Store{pool: pool, schema: opts.Schema, sql: statementsFor(opts.Schema), now: opts.Now, machine: opts.Machine, timeout: opts.Timeout}
	if err := s.prepare(ctx, opts.migrations); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// prepare sees to the schema and reads the id.
func (s *Store) prepare(ctx context.Context, migrations fs.FS) error {
	if err := s.migrate(ctx, migrations); err != nil {
		return err
	}
	return s.readID(ctx)
}

// schemaName is what needs no quotes anywhere.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`) //nolint:gochecknoglobals // a constant of a type that has none

// config checks the options, fills in the defaults and reads the DSN.
func (o *Options) config() (*pgxpool.Config, error) {
	o.fillDefaults()
	if !schemaName.MatchString(o.Schema) || strings.HasPrefix(o.Schema, "pg_") {
		return nil, errors.New("store postgres: schema must be small letters, digits and underscores, at most 63, and not begin with a digit or pg_")
	}
	if o.MaxConns < 1 || o.MaxConns > 10000 {
		return nil, errors.New("store postgres: max_conns must be a number from 1 to 10000")
	}
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil || o.DSN == "" {
		return nil, unreadable(err)
	}
	config.MaxConns = int32(o.MaxConns)
	// As many as are kept warm must not be more than there may be.
	config.MinConns = min(config.MinConns, config.MaxConns)
	config.MinIdleConns = min(config.MinIdleConns, config.MaxConns)
	config.AfterConnect = o.afterConnect
	config.PingTimeout = o.Timeout
	o.setConn(config.ConnConfig)
	return config, nil
}

func (o *Options) fillDefaults() {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.migrations == nil {
		o.migrations = embedded()
	}
}

// setConn sets what the DSN leaves open.
func (o *Options) setConn(c *pgx.ConnConfig) {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = o.Timeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "caddy-uma"
	}
	// Notices are for people at a terminal.
	c.OnNotice = nil
}

// afterConnect sets what every statement relies on: that it ends when nobody waits
// for it any more, that it sees what is committed, and that a commit is durable.
func (o *Options) afterConnect(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.PgConn().Exec(ctx, fmt.Sprintf(`
		SET statement_timeout = %d;
		SET default_transaction_isolation = 'read committed';
		SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`,
		o.Timeout.Milliseconds())).ReadAll()
	return err
}
