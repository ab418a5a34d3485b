package postgres

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

func init() {
	caddy.RegisterModule(new(Postgres))
}

// UnmarshalCaddyfile reads
//
//	store postgres <dsn> {
//		schema    <name>
//		max_conns <n>
//	}
//
// None of its errors shows the DSN.
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	args := d.RemainingArgs()
	switch {
	case len(args) == 0 || args[0] == "":
		return d.Err(directive + " needs the DSN of the database; write: store postgres {env.DATABASE_URL}")
	case len(args) > 1:
		return d.Err(directive + " takes one argument, the DSN; put one that has spaces in quotes, or write: store postgres {env.DATABASE_URL}")
	}
	p.DSN = args[0]
	return syntax.Words{
		Directive: directive,
		Known: map[string]func(*caddyfile.Dispenser) error{
			"schema":    syntax.Text(directive, &p.Schema),
			"max_conns": p.parseMaxConns,
		},
		Order: []string{"max_conns", "schema"},
	}.Read(d)
}

func (p *Postgres) parseMaxConns(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.ArgErr()
	}
	if p.MaxConns != 0 {
		return d.Errf("%s: max_conns is set twice", directive)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 {
		return d.Errf("%s: max_conns '%s' must be a number of connections, at least 1", directive, args[0])
	}
	p.MaxConns = n
	return nil
}

var _ caddyfile.Unmarshaler = (*Postgres)(nil)
