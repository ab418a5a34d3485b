package postgres

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/golden"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

func TestCaddyfile(t *testing.T) { golden.Run(t) }

const dsn = "postgres://bob:sesame@db.example/uma?sslmode=disable"

func TestProvision(t *testing.T) {
	t.Setenv("UMA_DSN", dsn)
	t.Setenv("UMA_NO_DSN", "postgres://bob:ses%zzame@db.example/uma")
	t.Setenv("UMA_EMPTY", "")
	for _, tc := range []struct {
		name, want string
		module     Postgres
	}{
		{"literal", "", Postgres{DSN: dsn}},
		{"environment", "", Postgres{DSN: "{env.UMA_DSN}", Schema: "other", MaxConns: 3}},
		{"nothing", "uma: store postgres: the DSN is empty", Postgres{}},
		{"unset", "environment variable UMA_UNSET is not set", Postgres{DSN: "{env.UMA_UNSET}"}},
		{"empty", "environment variable UMA_EMPTY is empty", Postgres{DSN: "{env.UMA_EMPTY}"}},
		{"part", "a placeholder must be the whole value", Postgres{DSN: "postgres://bob:{env.UMA_DSN}@db.example/uma"}},
		{"unreadable", "the DSN cannot be read; write postgres://user:password@host", Postgres{DSN: "{env.UMA_NO_DSN}"}},
		{"schema", "schema must be small letters", Postgres{DSN: dsn, Schema: "Uma"}},
		{"connections", "max_conns must be a number from 1", Postgres{DSN: dsn, MaxConns: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.module.Provision(caddy.Context{})
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Provision = %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "ame@") {
				t.Errorf("the error holds the DSN: %v", err)
			}
		})
	}
}

// Two configurations of one database are one store, and its key is no secret.
func TestPoolKey(t *testing.T) {
	t.Setenv("UMA_DSN", dsn)
	key := func(p Postgres) string {
		t.Helper()
		if err := p.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		return p.PoolKey()
	}
	same := key(Postgres{DSN: dsn})
	if strings.Contains(same, "sesame") || strings.Contains(same, "db.example") {
		t.Errorf("PoolKey = %s holds the DSN", same)
	}
	if got := key(Postgres{DSN: "{env.UMA_DSN}"}); got != same {
		t.Errorf("PoolKey of the same DSN = %s, want %s", got, same)
	}
	for name, p := range map[string]Postgres{
		"database": {DSN: strings.Replace(dsn, "/uma", "/other", 1)},
		"password": {DSN: strings.Replace(dsn, "sesame", "other", 1)},
		"schema":   {DSN: dsn, Schema: "other"},
		"limit":    {DSN: dsn, MaxConns: 3},
	} {
		if key(p) == same {
			t.Errorf("another %s has the same PoolKey", name)
		}
	}
}

// A DSN with a password is known from one that is not, or stands elsewhere.
func TestHoldsLiteralSecret(t *testing.T) {
	t.Setenv("UMA_DSN", dsn)
	for text, want := range map[string]bool{dsn: true, "{env.UMA_DSN}": false, "postgres://bob@db.example/uma": false} {
		p := Postgres{DSN: text}
		if err := p.Provision(caddy.Context{}); err != nil || p.HoldsLiteralSecret() != want {
			t.Errorf("%s: %v, %v, want %v", text, p.HoldsLiteralSecret(), err, want)
		}
	}
}

func TestHoldsPassword(t *testing.T) {
	for dsn, want := range map[string]bool{
		"postgres://bob:sesame@db.example/uma":              true,
		"postgres://bob@db.example/uma":                     false,
		"postgres://bob@db.example/uma?password=sesame":     true,
		"postgres://bob@db.example/uma?a=b&password=x":      true,
		"host=db.example user=bob password=sesame":          true,
		"host=db.example user=bob password = 'ses ame'":     true,
		"host=db.example user=bob passfile=/etc/uma.pgpass": false,
		"host=/run/postgresql user=bob":                     false,
		"postgres://bob@db.example/uma?sslpassword=sesame":  true,
		"postgres:///uma?host=/run/postgresql":              false,
	} {
		if got := holdsPassword(dsn); got != want {
			t.Errorf("holdsPassword(%s) = %v, want %v", dsn, got, want)
		}
	}
}

// The module opens the store, at first use only.
func TestOpen(t *testing.T) {
	server := pgtest.DSN(t)
	p := &Postgres{DSN: server, Schema: pgtest.Schema(t, server)}
	if err := p.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	s, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if id, err := s.ID(t.Context()); err != nil || len(id) != 22 {
		t.Errorf("ID = %q, %v", id, err)
	}
	d := store.Doc{Key: store.Key{Tenant: "t", Kind: "k", ID: "x"}}
	if err := s.Commit(t.Context(), store.Create(d)); err != nil {
		t.Errorf("Commit = %v", err)
	}
	gone := &Postgres{DSN: "postgres://bob:sesame@127.0.0.1:1/uma?sslmode=disable"}
	if err := gone.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if s, err := gone.Open(); s != nil || err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("Open of a database that is not there = %v, %v, want nil and an error without the password", s, err)
	}
}
