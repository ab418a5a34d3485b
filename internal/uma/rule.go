package uma

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// question is what policies are asked: may this party, with this client, have
// these scopes of this resource?
type question struct {
	rs       ResourceServer
	resource requested
	party    *party
	client   string
	bound    confirmation
	// Of the token request.
	method, ip string
	now        time.Time

	decisionID string
	// budget is what all conditions of one request may cost together.
	budget *policy.Budget
}

// standing is how a policy stands to a question, whatever the scope.
type standing int

const (
	otherThing   standing = iota // it does not speak of this resource
	otherPerson                  // or not of this person
	otherClient                  // or not of this client
	unmet                        // its condition does not hold
	unknowable                   // its condition cannot be evaluated
	lacksClaims                  // it needs claims that are not there
	needsFresh                   // it needs a claims token, not a PCT
	needsBinding                 // it needs a token that is bound to its sender
	matches                      // it decides about the scopes that it names
)

// stance is a policy's standing and why.
type stance struct {
	standing standing
	lacks    []string
	err      error
}

// ruling is what is decided about one scope; scope "" is the resource as such.
type ruling struct {
	scope   string
	allowed bool
	policy  string // the policy that decided; "" = none
	// failing are the policies that would have allowed the scope if their condition
	// held.
	failing []string
	// What would help, if the scope is not allowed.
	lacks          []string
	stale, unbound bool
	// shadow says what the shadow policies would have changed.
	shadow string
}

// rule decides about each scope of a question: deny rules first, then allow
// rules in their order; what no rule allows is denied (UMA Grant §5.6).
func (s *Server) rule(ctx context.Context, q question) []ruling {
	stances := make([]stance, len(s.cfg.Policies))
	for i, p := range s.cfg.Policies {
		stances[i] = s.stance(ctx, q, p)
	}
	scopes := q.resource.scopes
	if len(scopes) == 0 {
		scopes = []string{""}
	}
	rulings := make([]ruling, len(scopes))
	for i, scope := range scopes {
		rulings[i] = s.decide(scope, stances, false)
		rulings[i].shadow = s.shadow(scope, stances, rulings[i])
	}
	return rulings
}

// stance finds how a policy stands to a question, cheap comparisons first.
func (s *Server) stance(ctx context.Context, q question, p Policy) stance {
	switch {
	case !p.concerns(q.rs.ID, q.resource.rec):
		return stance{standing: otherThing}
	case !p.speaksOf(q.party):
		return stance{standing: otherPerson}
	case !anyOf(p.Clients, q.client):
		return stance{standing: otherClient}
	}
	if missing := absentClaims(p.RequiredClaims, q.party.Claims); len(missing) > 0 {
		return stance{standing: lacksClaims, lacks: missing}
	}
	st := s.conditions(ctx, q, p)
	if st.standing != matches || p.Deny {
		return st
	}
	switch {
	case q.party.source == fromPCT && !p.AcceptPCT:
		return stance{standing: needsFresh}
	case !q.bound.meets(p.Require):
		return stance{standing: needsBinding}
	}
	return st
}

func absentClaims(names []string, claims map[string]any) []string {
	var missing []string
	for _, name := range names {
		if claims[name] == nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// conditions evaluates the conditions of a policy. What cannot be evaluated does
// not match an allow rule and does match a deny rule (CONFORMANCE SEC-26).
func (s *Server) conditions(ctx context.Context, q question, p Policy) stance {
	for _, condition := range []policy.Policy{p.When, p.Guest} {
		if condition == nil {
			continue
		}
		ok, err := condition.Evaluate(ctx, q.input(p))
		if err != nil {
			s.cfg.Log.Info("condition of a policy could not be evaluated", zap.String("policy", p.Name),
				zap.String("decision_id", q.decisionID), zap.Bool("deny", p.Deny), zap.Error(err))
			if p.Deny {
				return stance{standing: matches, err: err}
			}
			return stance{standing: unknowable, err: err}
		}
		if !ok {
			return stance{standing: unmet}
		}
	}
	return stance{standing: matches}
}

// input is what a condition may look at. What a stranger's provider claims
// about its people beyond address, iss and sub is kept from rules that let
// anyone in.
func (q question) input(p Policy) *policy.Input {
	in := &policy.Input{
		Email:  policy.Email{Address: q.party.Email.String(), Local: q.party.Email.Local, Domain: q.party.Email.Domain},
		Issuer: q.party.Issuer, Subject: q.party.Subject, Claims: q.party.Claims,
		Resource: policy.Resource{
			Name: q.resource.rec.Texts["name"], Type: q.resource.rec.Texts["type"], Owner: q.resource.rec.Owner,
			ID: q.resource.id, Server: q.rs.ID, Scopes: q.resource.rec.Scopes, Captures: q.resource.rec.captured(),
		},
		Scopes: q.resource.scopes, Client: q.client,
		Request: policy.Request{Method: q.method, IP: q.ip},
		Now:     q.now, DecisionID: q.decisionID, Budget: q.budget,
	}
	if p.From.Anyone {
		in.Claims = map[string]any{}
	}
	return in
}

// decide finds the rule that decides about one scope. Scope "" is the resource
// as such: only rules for every scope allow it, any rule denies it.
func (s *Server) decide(scope string, stances []stance, withShadow bool) ruling {
	r := ruling{scope: scope}
	for _, deny := range []bool{true, false} {
		for i, p := range s.cfg.Policies {
			if p.Deny != deny || p.Shadow && !withShadow || !p.covers(scope) {
				continue
			}
			if stances[i].standing == matches {
				return ruling{scope: scope, allowed: !deny, policy: p.Name}
			}
			r.help(stances[i])
			if st := stances[i].standing; !deny && (st == unmet || st == unknowable || st == lacksClaims) {
				r.failing = append(r.failing, p.Name)
			}
		}
	}
	return r
}

// covers tells whether a rule decides about a scope.
func (p Policy) covers(scope string) bool {
	return anyOf(p.Scopes, scope) || p.Deny && scope == ""
}

// help notes what would make a rule match.
func (r *ruling) help(st stance) {
	switch st.standing {
	case lacksClaims:
		r.lacks = append(r.lacks, st.lacks...)
	case needsFresh:
		r.stale = true
	case needsBinding:
		r.unbound = true
	default:
	}
}

// shadow says what would be different if the shadow policies counted.
func (s *Server) shadow(scope string, stances []stance, is ruling) string {
	would := s.decide(scope, stances, true)
	if would.policy == is.policy && would.allowed == is.allowed {
		return ""
	}
	effect := "deny"
	if would.allowed {
		effect = "allow"
	}
	return fmt.Sprintf("%s would %s '%s'", would.policy, effect, scope)
}
