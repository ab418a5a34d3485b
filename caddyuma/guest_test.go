package caddyuma_test

import (
	"context"
	"errors"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

func TestMain(m *testing.M) {
	caddy.RegisterModule(new(roster))
	caddy.RegisterModule(new(stone))
	m.Run()
}

// roster is a guest: whose address ends with one of the names.
type roster struct {
	Names []string          `json:"names,omitempty"`
	Notes map[string]string `json:"notes,omitempty"`

	ready bool
}

func (*roster) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.policies.roster", New: func() caddy.Module { return new(roster) }}
}

func (r *roster) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	r.Names = d.RemainingArgs()
	for d.NextBlock(0) {
		if d.Val() != "name" || !d.NextArg() {
			return d.ArgErr()
		}
		r.Names = append(r.Names, d.Val())
	}
	return nil
}

func (r *roster) Provision(caddy.Context) error {
	if len(r.Names) == 0 {
		return errors.New("a roster without names")
	}
	r.ready = true
	return nil
}

func (r *roster) Evaluate(context.Context, *policy.Input) (bool, error) { return r.ready, nil }

// stone stands in the namespace of guests and decides nothing.
type stone struct{}

func (*stone) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.policies.stone", New: func() caddy.Module { return new(stone) }}
}

func (*stone) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

var (
	_ policy.Policy         = (*roster)(nil)
	_ caddyfile.Unmarshaler = (*roster)(nil)
	_ caddy.Provisioner     = (*roster)(nil)
)
