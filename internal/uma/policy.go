package uma

import (
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Policy is one rule of the owner: which things, which people, what effect.
type Policy struct {
	Name string
	// Which things. Empty lists mean every one; Resources and Types count inside
	// the resource servers alone (CONFORMANCE SEC-26).
	ResourceServers, Resources, Types, Scopes []string
	// Which people.
	From    From
	Clients []string
	// When is a further condition, Guest one that a guest module evaluates; nil =
	// none. Both must hold.
	When, Guest policy.Policy
	// RequiredClaims must be there; if one is missing the answer is need_info with
	// their names instead of request_denied.
	RequiredClaims []string
	// Require demands a sender-constrained RPT.
	Require Binding
	// AcceptPCT lets a PCT alone be enough; otherwise a fresh claims token is
	// demanded (CONFORMANCE A18).
	AcceptPCT bool
	// Deny rules win over every allow.
	Deny bool
	// Shadow rules are evaluated and logged, not enforced.
	Shadow bool
}

// From says whose word counts: it is compared by code, never by a condition.
type From struct {
	Anyone    bool
	Addresses []oauth.Address
	// Domains are exact, or *.domain for its subdomains.
	Domains []string
	Issuers []string
}

func (f From) empty() bool {
	return !f.Anyone && len(f.Addresses)+len(f.Domains)+len(f.Issuers) == 0
}

// hits is how a deny rule compares: the local part without case, because most
// providers take Mallory@ and mallory@ for one person.
func (f From) hits(a oauth.Address, issuer string) bool {
	for _, denied := range f.Addresses {
		if denied.Domain == a.Domain && strings.EqualFold(denied.Local, a.Local) {
			return true
		}
	}
	return f.matches(a, issuer)
}

func (f From) matches(a oauth.Address, issuer string) bool {
	if f.Anyone || slices.Contains(f.Addresses, a) || slices.Contains(f.Issuers, issuer) {
		return true
	}
	for _, d := range f.Domains {
		if d == a.Domain || strings.HasPrefix(d, "*.") && strings.HasSuffix(a.Domain, d[1:]) {
			return true
		}
	}
	return false
}

// mayBeAt tells whether somebody of a domain, or issuer, could match.
func (f From) mayBeAt(domain, issuer string) bool {
	named := slices.ContainsFunc(f.Addresses, func(a oauth.Address) bool { return a.Domain == domain })
	return named || f.matches(oauth.Address{Domain: domain}, issuer)
}

// speaksOf tells whether a rule is about this person.
func (p Policy) speaksOf(who *party) bool {
	if p.Deny {
		return p.From.hits(who.Email, who.Issuer)
	}
	return p.From.matches(who.Email, who.Issuer)
}

// concerns tells whether a rule speaks of a resource.
func (p Policy) concerns(rs string, rec resourceRecord) bool {
	return anyOf(p.ResourceServers, rs) && anyOf(p.Resources, rec.Texts["name"]) && anyOf(p.Types, rec.Texts["type"])
}

// concernsAny tells whether a rule speaks of a resource of the process.
func (p Policy) concernsAny(proc *process) bool {
	for _, r := range proc.asked {
		if p.concerns(proc.rs.ID, r.rec) {
			return true
		}
	}
	return false
}

// policiesNamed gives the policies with these names.
func (s *Server) policiesNamed(names []string) []Policy {
	var list []Policy
	for _, p := range s.cfg.Policies {
		if slices.Contains(names, p.Name) {
			list = append(list, p)
		}
	}
	return list
}

// anyOf: an empty list is every value.
func anyOf(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

func (c *Config) checkPolicies() error {
	names := map[string]bool{}
	for _, p := range c.Policies {
		if p.Name == "" || names[p.Name] {
			return fault(KindPolicy, p.Name, " is defined twice or has no name")
		}
		names[p.Name] = true
		if err := c.checkPolicy(p); err != nil {
			return err
		}
	}
	return nil
}
