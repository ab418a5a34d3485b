package caddyrs

import (
	"github.com/caddyserver/caddy/v2"
)

// Values of Handler.Check.
const (
	checkLocal         = "local"
	checkIntrospection = "introspection"
)

const failOpen = "fail_open"

// Revocation says how soon an RPT that was taken back must be refused here.
type Revocation struct {
	// MaxAge is how old the status list of RPTs, or a remembered introspection
	// answer, may be. While the authorization server cannot be asked, three times
	// as long. Default: 10s.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
	// FailOpen lets RPTs pass until they expire when the authorization server
	// cannot be asked for longer than that, with a line in the log. Default: they
	// are refused.
	FailOpen bool `json:"fail_open,omitempty"`
}

// check reads
//
//	check local|introspection
func (p *parser) check() error {
	if err := p.scalar(&p.h.Check); err != nil {
		return err
	}
	if p.h.Check != checkLocal && p.h.Check != checkIntrospection {
		return p.Errf("uma_protect: check can only be followed by %s or %s", checkLocal, checkIntrospection)
	}
	return nil
}

// revocation reads
//
//	revocation <max_age> [fail_open]
func (p *parser) revocation() error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	args := p.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return p.ArgErr()
	}
	age, err := caddy.ParseDuration(args[0])
	if err != nil || age <= 0 {
		return p.Errf("uma_protect: revocation: '%s' is no positive duration", args[0])
	}
	r := &Revocation{MaxAge: caddy.Duration(age), FailOpen: len(args) == 2}
	if r.FailOpen && args[1] != failOpen {
		return p.Errf("uma_protect: revocation %s can only be followed by %s", args[0], failOpen)
	}
	p.h.Revocation = r
	return nil
}
