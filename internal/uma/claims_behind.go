package uma

import (
	"slices"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/event"
)

// maxClaimsBehind is how many claims are told of one decision.
const maxClaimsBehind = 32

// claimsBehind are the claims that the policies which decided looked at; if none
// decided, of those that would have let the person in had their condition held. They
// are for the audit log alone (CONFORMANCE SEC-22).
func (s *Server) claimsBehind(who *party, v verdict) []event.Claim {
	names := slices.Concat(v.deciding, v.failing)
	if v.policy != "" {
		names = append(names, v.policy)
	}
	var claims []event.Claim
	for _, p := range s.policiesNamed(names) {
		for _, name := range p.looksAt() {
			there := slices.ContainsFunc(claims, func(c event.Claim) bool { return c.Name == name })
			if there || len(claims) == maxClaimsBehind {
				continue
			}
			claims = append(claims, event.Claim{Name: name, Value: who.Claims[name]})
		}
	}
	return claims
}

// looksAt gives the names of the claims that a policy looks at. A guest that does
// not tell is silent.
func (p Policy) looksAt() []string {
	names := slices.Clone(p.RequiredClaims)
	for _, condition := range []policy.Policy{p.When, p.Guest} {
		looker, ok := condition.(policy.Looker)
		if !ok {
			continue
		}
		named, whole := looker.LooksAt()
		names = append(names, named...)
		if whole {
			names = append(names, "*")
		}
	}
	return names
}
