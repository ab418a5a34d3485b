package uma

import (
	"context"
	"slices"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// assess evaluates the policies on the verified claims (UMA Grant §3.3.4, §5.6):
// each scope of each resource. If not everything passes, the answer is what
// would help, request_denied, or the part that passed if that is configured.
func (s *Server) assess(ctx context.Context, p *process) ([]oauth.Permission, error) {
	v := verdict{complete: len(p.asked) == len(p.ticket.Permissions)}
	budget := policy.NewBudget(policy.DefaultBudget)
	s.watch.note(s.cfg.Policies, p.party)
	for _, r := range p.asked {
		q := s.question(p, r)
		q.budget = budget
		v.add(r, s.rule(ctx, q))
	}
	p.decision.Policy, p.decision.Shadow, p.deciding = v.policy, v.shadow, v.deciding
	p.decision.Claims = s.claimsBehind(p.party, v)
	return v.answer(s.cfg.PartialGrant)
}

// question makes the question about one resource of a request.
func (s *Server) question(p *process, r requested) question {
	return question{
		rs: p.rs, resource: r, party: p.party, client: p.req.client.ID, bound: p.req.bound,
		method: p.req.method, ip: p.req.from.ip, now: s.cfg.Now(), decisionID: p.decision.DecisionID,
	}
}

// verdict sums up the rulings about the resources of one request.
type verdict struct {
	granted  []oauth.Permission
	complete bool
	// hopeless: something is refused whatever else the client brings.
	hopeless bool
	lacks    []string
	stale    bool
	unbound  bool
	policy   string
	deciding []string // the policies that allowed something
	failing  []string // those whose condition kept them from it
	shadow   []string
}

// add takes in the rulings about one resource. A permission without scopes asks
// for the resource as such.
func (v *verdict) add(r requested, rulings []ruling) {
	scopes, passed := []string{}, 0
	for _, ruling := range rulings {
		v.note(ruling)
		if ruling.allowed {
			passed++
			if ruling.scope != "" {
				scopes = append(scopes, ruling.scope)
			}
		}
	}
	if r.lost || passed < len(rulings) {
		v.complete = false
	}
	v.hopeless = v.hopeless || r.lost
	if passed > 0 {
		v.granted = append(v.granted, oauth.Permission{ResourceID: r.id, ResourceScopes: scopes})
	}
}

func (v *verdict) note(r ruling) {
	if r.policy != "" && (v.policy == "" || !r.allowed) {
		v.policy = r.policy
	}
	if r.shadow != "" && !slices.Contains(v.shadow, r.shadow) {
		v.shadow = append(v.shadow, r.shadow)
	}
	if r.allowed {
		if !slices.Contains(v.deciding, r.policy) {
			v.deciding = append(v.deciding, r.policy)
		}
		return
	}
	v.failing = append(v.failing, r.failing...)
	v.stale, v.unbound = v.stale || r.stale, v.unbound || r.unbound
	v.hopeless = v.hopeless || !r.stale && !r.unbound && len(r.lacks) == 0
	for _, name := range r.lacks {
		if !slices.Contains(v.lacks, name) {
			v.lacks = append(v.lacks, name)
		}
	}
}

// answer: need_info is for somebody who could get everything (or, where parts
// are granted, something) by bringing more.
func (v *verdict) answer(partial bool) ([]oauth.Permission, error) {
	if len(v.granted) > 0 && (v.complete || partial) {
		return v.granted, nil
	}
	helpless := v.hopeless && !partial
	switch {
	case !helpless && len(v.lacks) > 0:
		return nil, needsClaims(v.lacks)
	case !helpless && v.stale:
		return nil, needs("a policy demands a fresh claims token")
	case !helpless && v.unbound:
		e := denied("a policy demands a token that is bound to its sender")
		e.Description = "access is granted only with a token that is bound to its sender (DPoP or mutual TLS)"
		return nil, e
	}
	return nil, denied("no policy allows it, or not all of it")
}
