package uma

import (
	"slices"
	"sync/atomic"
)

// watch remembers which of the claims that a policy looks at were ever there: a name
// that is misspelt denies, and nothing else says so. It holds the names of the
// configuration and nothing of people.
type watch []*watched

type watched struct {
	policy string
	names  []string
	seen   []atomic.Bool
	asked  atomic.Int64
}

// newWatch has an entry for each policy, nil for one that looks at no claim. Rules
// that let anyone in see no claims.
func newWatch(policies []Policy) watch {
	w := make(watch, len(policies))
	for i, p := range policies {
		names := p.looksAt()
		slices.Sort(names)
		names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "*" })
		if len(names) > 0 && !p.From.Anyone {
			w[i] = &watched{policy: p.Name, names: names, seen: make([]atomic.Bool, len(names))}
		}
	}
	return w
}

// note takes down what somebody brought whom policies speak of.
func (w watch) note(policies []Policy, who *party) {
	for i, one := range w {
		if one == nil || !policies[i].speaksOf(who) {
			continue
		}
		one.asked.Add(1)
		for j, name := range one.names {
			if who.Claims[name] != nil && !one.seen[j].Load() {
				one.seen[j].Store(true)
			}
		}
	}
}

// Unseen are claims that a policy looks at and nobody has brought.
type Unseen struct {
	Policy string
	Claims []string
	// Asked is how often somebody came whom the policy speaks of.
	Asked int64
}

// UnseenClaims gives those of policies of which at least one person came, since the
// configuration was loaded.
func (s *Server) UnseenClaims() []Unseen {
	var all []Unseen
	for _, one := range s.watch {
		if one == nil || one.asked.Load() == 0 {
			continue
		}
		u := Unseen{Policy: one.policy, Asked: one.asked.Load()}
		for i, name := range one.names {
			if !one.seen[i].Load() {
				u.Claims = append(u.Claims, name)
			}
		}
		if len(u.Claims) > 0 {
			all = append(all, u)
		}
	}
	return all
}
