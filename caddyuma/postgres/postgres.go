// Package postgres is the module uma.stores.postgres: the document store of the
// app `uma` in a PostgreSQL database, for several machines that are one
// authorization server. The store itself, with its schema and the privileges that
// it needs, is internal/store/postgres.
package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Postgres is the module uma.stores.postgres: documents in a PostgreSQL database
// (13 or newer). Nothing is opened before the first use; then missing tables are
// made and older ones upgraded.
type Postgres struct {
	// DSN leads to the database: postgres://user:password@host:port/database?… or
	// key=value pairs. Write {env.NAME} or {file./path/to/dsn}: whatever stands
	// here can be read at the admin API. Required.
	DSN string `json:"dsn,omitempty"`
	// Schema that the tables stand in; it is made if it is not there. Default: uma.
	Schema string `json:"schema,omitempty"`
	// MaxConns is the number of connections that this process opens at most.
	// Default: 10.
	MaxConns int `json:"max_conns,omitempty"`

	options postgres.Options
	literal bool
}

// CaddyModule implements caddy.Module.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.stores.postgres", New: func() caddy.Module { return new(Postgres) }}
}

// directive is what messages begin with.
const directive = "uma: store postgres"

// Provision implements caddy.Provisioner. It connects to nothing. The expanded DSN
// stays where no JSON shows it.
func (p *Postgres) Provision(caddy.Context) error {
	dsn, err := syntax.Expand(directive, "the DSN", p.DSN)
	if err != nil {
		return err
	}
	p.literal = dsn == p.DSN && holdsPassword(dsn)
	if p.literal {
		syntax.WarnLiteral(directive, "the DSN")
	}
	p.options = postgres.Options{DSN: dsn, Schema: p.Schema, MaxConns: p.MaxConns, Machine: time.Now}
	return postgres.Check(p.options)
}

// password finds one among key=value pairs.
var password = regexp.MustCompile(`(^|[\s&?])(ssl)?password\s*=`) //nolint:gochecknoglobals // a constant of a type that has none

// holdsPassword tells whether a DSN is a secret. When it cannot be told, it is.
func holdsPassword(dsn string) bool {
	u, err := url.Parse(dsn)
	if err == nil && u.User != nil {
		if _, set := u.User.Password(); set {
			return true
		}
	}
	return password.MatchString(dsn)
}

// HoldsLiteralSecret implements umaapp.LiteralSecret.
func (p *Postgres) HoldsLiteralSecret() bool { return p.literal }

// PoolKey implements umaapp.Backend. It names the database by a hash, so that the
// password stands in no key.
func (p *Postgres) PoolKey() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", p.options.DSN, p.options.Schema, p.options.MaxConns))
	return hex.EncodeToString(sum[:])
}

// Open implements umaapp.Backend.
func (p *Postgres) Open() (store.Store, error) {
	s, err := postgres.Open(context.Background(), p.options)
	if err != nil {
		return nil, err // a nil *postgres.Store would be a store that is not nil
	}
	return s, nil
}

// Interface guards.
var (
	_ umaapp.Backend       = (*Postgres)(nil)
	_ umaapp.LiteralSecret = (*Postgres)(nil)
	_ caddy.Provisioner    = (*Postgres)(nil)
)
