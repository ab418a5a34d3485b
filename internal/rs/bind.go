package rs

import (
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
)

// Binding is what an RPT must be bound to.
type Binding string

// Bindings.
const (
	BindNone Binding = ""
	BindDPoP Binding = "dpop" // RFC 9449
	BindMTLS Binding = "mtls" // RFC 8705 §3
)

func (b Binding) check() error {
	if b != BindNone && b != BindDPoP && b != BindMTLS {
		return fmt.Errorf("require '%s' is unknown; write dpop or mtls", b)
	}
	return nil
}

// requirement is what the resources of a request demand.
type requirement struct{ dpop, mtls bool }

// requires gives what a request must meet: a resource of `also` has its own word.
func (s *Server) requires(wants []want) (r requirement) {
	for i := range wants {
		b := or(s.resources[wants[i].index].Require, s.cfg.Require)
		r.dpop, r.mtls = r.dpop || b == BindDPoP, r.mtls || b == BindMTLS
	}
	return r
}

// allRequire tells whether no request passes without a binding, someRequire whether
// there is one that does not.
func (s *Server) allRequire(b Binding) bool {
	return !slices.ContainsFunc(s.resources, func(r resource) bool { return or(r.Require, s.cfg.Require) != b })
}

func (s *Server) someRequire(b Binding) bool {
	return slices.ContainsFunc(s.resources, func(r resource) bool { return or(r.Require, s.cfg.Require) == b })
}

// checkBinding compares what an RPT is bound to with what the request demands and
// how it presents the token. It says nothing yet about the proof of a key.
func (s *Server) checkBinding(p *presented, bound *confirmation) error {
	need := s.requires(p.wants)
	switch {
	case bound == nil && p.scheme == schemeDPoP: // RFC 9449 §7.1: the proof's key must be the token's
		return bad("is presented with DPoP and bound to no key")
	case bound == nil && need != (requirement{}): // CONFORMANCE SEC-14
		return bad("is not bound as the resource demands")
	case bound == nil:
		return nil
	case bound.other, bound.jkt == "" && bound.x5t == "":
		return bad("is bound to something unknown") // to ignore it would make a bearer token of it
	case bound.jkt != "" && p.scheme != schemeDPoP: // RFC 9449 §7.2 (CONFORMANCE DP-04)
		return bad("is bound to a key and presented as a bearer token")
	case bound.jkt == "" && p.scheme == schemeDPoP:
		return bad("is presented with DPoP and bound to no key")
	case need.dpop && bound.jkt == "", need.mtls && bound.x5t == "":
		return bad("is not bound as the resource demands")
	case bound.x5t != "" && !p.shows(bound.x5t): // CONFORMANCE OA-19
		return bad("is bound to a certificate that this connection does not show")
	}
	return nil
}

// shows compares the certificate of the TLS connection itself (RFC 8705 §3). What a
// header field says about certificates is anybody's word.
func (p *presented) shows(x5t string) bool {
	shown := clientauth.Shown(p.request.TLS)
	return shown != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(x5t)) == 1
}
