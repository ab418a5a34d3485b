package uma

import (
	"context"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// assess evaluates the policies on the verified claims (UMA Grant §3.3.4,
// §5.6): each scope of each resource, deny rules first, then allow rules in
// their order; what no rule allows is denied. If not everything passes, the
// answer is request_denied, or the part that passed if that is configured.
func (s *Server) assess(ctx context.Context, p *process) ([]oauth.Permission, error) {
	var granted []oauth.Permission
	complete := true
	for _, r := range p.asked {
		scopes, passed := s.assessResource(ctx, p, r)
		complete = complete && !r.lost && passed == max(1, len(r.scopes))
		if passed > 0 {
			granted = append(granted, oauth.Permission{ResourceID: r.id, ResourceScopes: scopes})
		}
	}
	complete = complete && len(p.asked) == len(p.ticket.Permissions)
	if len(granted) == 0 || !complete && !s.cfg.PartialGrant {
		return nil, denied("no policy allows it, or not all of it")
	}
	return granted, nil
}

// assessResource gives the scopes that pass. A permission without scopes asks
// for the resource as such: then passed is 1 or 0.
func (s *Server) assessResource(ctx context.Context, p *process, r requested) (scopes []string, passed int) {
	scopes = []string{}
	holds := s.conditions(ctx, p, r)
	if len(r.scopes) == 0 {
		if s.decide(p, "", holds) {
			passed = 1
		}
		return scopes, passed
	}
	for _, scope := range r.scopes {
		if s.decide(p, scope, holds) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, len(scopes)
}

// conditions evaluates, once for this resource, each policy that speaks of it:
// does it hold for this party and client?
func (s *Server) conditions(ctx context.Context, p *process, r requested) []bool {
	holds := make([]bool, len(s.cfg.Policies))
	for i, rule := range s.cfg.Policies {
		holds[i] = rule.concerns(p.rs.ID, r.rec) && rule.speaksOf(p.party) &&
			anyOf(rule.Clients, p.req.client.ID) && s.when(ctx, p, r, rule)
	}
	return holds
}

// when evaluates the condition of a rule. What cannot be evaluated does not
// match an allow rule and does match a deny rule (CONFORMANCE SEC-26).
func (s *Server) when(ctx context.Context, p *process, r requested, rule Policy) bool {
	if rule.When == nil {
		return true
	}
	ok, err := rule.When.Evaluate(ctx, s.input(p, r, rule))
	if err != nil {
		s.cfg.Log.Info("condition of a policy could not be evaluated", zap.String("policy", rule.Name),
			zap.String("decision_id", p.decision.DecisionID), zap.Bool("deny", rule.Deny), zap.Error(err))
		return rule.Deny
	}
	return ok
}

// input is what a condition may look at. What a stranger's provider claims
// about its people beyond address, iss and sub is kept from rules that let
// anyone in.
func (s *Server) input(p *process, r requested, rule Policy) *policy.Input {
	in := &policy.Input{
		Email:  policy.Email{Address: p.party.Email.String(), Local: p.party.Email.Local, Domain: p.party.Email.Domain},
		Issuer: p.party.Issuer, Subject: p.party.Subject, Claims: p.party.Claims,
		Resource: policy.Resource{
			Name: r.rec.Texts["name"], Type: r.rec.Texts["type"], Owner: r.rec.Owner,
			Server: p.rs.ID, Scopes: r.rec.Scopes,
		},
		Scopes: r.scopes, Client: p.req.client.ID,
		Request: policy.Request{Method: p.req.method, IP: p.req.from.ip},
		Now:     s.cfg.Now(),
	}
	if rule.From.Anyone {
		in.Claims = map[string]any{}
	}
	return in
}

// decide finds the rule that decides about one scope. scope "" is the resource
// as such: only rules for every scope allow it, any rule denies it.
func (s *Server) decide(p *process, scope string, holds []bool) bool {
	for _, deny := range []bool{true, false} {
		for i, rule := range s.cfg.Policies {
			if rule.Deny != deny || !holds[i] {
				continue
			}
			if anyOf(rule.Scopes, scope) || deny && scope == "" {
				p.decision.Policy = rule.Name
				return !deny
			}
		}
	}
	return false
}
