package uma

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Explanation says, for the administrator, how the policies stand to a question:
// that of a recorded decision, or one that he asks himself.
type Explanation struct {
	DecisionID      string        `json:"decision_id,omitempty"`
	At              time.Time     `json:"at,omitzero"`
	Outcome         event.Outcome `json:"outcome"`
	Reason          string        `json:"reason,omitempty"`
	Policy          string        `json:"policy,omitempty"`
	PolicyRevision  string        `json:"policy_revision,omitempty"`
	CurrentRevision string        `json:"current_revision,omitempty"`
	Client          string        `json:"client_id,omitempty"`
	ResourceServer  string        `json:"resource_server"`
	Owner           string        `json:"owner,omitempty"`
	Evidence        string        `json:"evidence,omitempty"`
	Person          Person        `json:"person"`
	// Notes say what limits the explanation.
	Notes     []string            `json:"notes,omitempty"`
	Resources []ExplainedResource `json:"resources"`
}

// Person is whom a question is about.
type Person struct {
	Issuer  string `json:"iss,omitempty"`
	Subject string `json:"sub,omitempty"`
	Email   string `json:"email,omitempty"`
}

// ExplainedResource is what is decided about one resource, and by whom.
type ExplainedResource struct {
	ID       string            `json:"resource_id,omitempty"`
	Name     string            `json:"name,omitempty"`
	Type     string            `json:"type,omitempty"`
	Captures map[string]string `json:"captures,omitempty"`
	Scopes   []ExplainedScope  `json:"scopes"`
	Policies []ExplainedPolicy `json:"policies"`
}

// ExplainedScope is the ruling about one scope; scope "" is the resource as such.
type ExplainedScope struct {
	Scope   string `json:"scope"`
	Allowed bool   `json:"allowed"`
	Policy  string `json:"policy,omitempty"`
	Shadow  string `json:"shadow,omitempty"`
}

// ExplainedPolicy is how one policy stands to the question.
type ExplainedPolicy struct {
	Name   string `json:"name"`
	Effect string `json:"effect"`
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// ExplainDecision explains a recorded decision by the policies of now, with the
// claims, client and time of then. store.ErrNotFound: it is not kept.
func (s *Server) ExplainDecision(ctx context.Context, id string) (*Explanation, error) {
	rec, who, kept, err := s.pastDecision(ctx, id)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		DecisionID: id, At: rec.at().UTC(), Outcome: rec.Outcome, Reason: rec.Reason, Policy: rec.Policy,
		PolicyRevision: rec.Revision, CurrentRevision: s.cfg.PolicyRevision, Client: rec.Client,
		ResourceServer: rec.ResourceServer, Owner: rec.Owner, Evidence: who.evidence, Person: personOf(who),
	}
	if rec.Revision != s.cfg.PolicyRevision {
		e.Notes = append(e.Notes, "the policies have changed since; what follows is by those of now")
	}
	if rec.Truncated {
		e.Notes = append(e.Notes, "the claims were too large to be kept; what follows is without them")
	}
	base := question{
		rs: s.servers[rec.ResourceServer], party: who, client: rec.Client, bound: rec.Confirm,
		method: kept.Method, ip: kept.IP, now: rec.at(), decisionID: id,
	}
	if blocked, err := s.isBlocked(ctx, who); err != nil {
		return nil, err
	} else if blocked {
		e.Notes = append(e.Notes, noteBlocked)
	}
	for _, asked := range rec.Asked {
		if err := s.explainAsked(ctx, e, base, rec, asked); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (s *Server) explainAsked(ctx context.Context, e *Explanation, base question, rec decisionRecord, asked oauth.Permission) error {
	resource, found, err := s.decidedResource(ctx, rec, asked.ResourceID)
	if err != nil {
		return err
	}
	if !found {
		e.Notes = append(e.Notes, "the resource "+asked.ResourceID+" is not registered any more")
		return nil
	}
	q := base
	q.resource = requested{id: asked.ResourceID, rec: resource, scopes: asked.ResourceScopes}
	e.Resources = append(e.Resources, s.explain(ctx, q))
	return nil
}

// decidedResource is ownResource for what a decision was about: an instance that
// was denied need not be registered.
func (s *Server) decidedResource(ctx context.Context, rec decisionRecord, id string) (resource resourceRecord, found bool, err error) {
	key, isInstance := rec.Instances[id]
	if !isInstance {
		return s.ownResource(ctx, id, rec.ResourceServer, rec.Owner)
	}
	resource, found, err = s.instanceOf(ctx, key)
	return resource, found && s.isOwn(resource, rec.ResourceServer, rec.Owner), err
}

func personOf(who *party) Person {
	p := who.person()
	return Person{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email}
}

// explain gives the rulings about one resource and how each policy came to them.
func (s *Server) explain(ctx context.Context, q question) ExplainedResource {
	out := ExplainedResource{
		ID: q.resource.id, Name: q.resource.rec.Texts["name"], Type: q.resource.rec.Texts["type"],
		Captures: q.resource.rec.captured(), Scopes: []ExplainedScope{}, Policies: []ExplainedPolicy{},
	}
	for _, r := range s.rule(ctx, q) {
		out.Scopes = append(out.Scopes, ExplainedScope{Scope: r.scope, Allowed: r.allowed, Policy: r.policy, Shadow: r.shadow})
	}
	for _, p := range s.cfg.Policies {
		out.Policies = append(out.Policies, s.explainPolicy(ctx, q, p))
	}
	return out
}

func (s *Server) explainPolicy(ctx context.Context, q question, p Policy) ExplainedPolicy {
	st := s.stance(ctx, q, p)
	e := ExplainedPolicy{Name: p.Name, Effect: p.effect(), Result: st.standing.String(), Detail: st.detail(p)}
	if st.standing == matches && !p.coversAny(q.resource.scopes) {
		e.Result = "does not cover the scope"
	}
	for _, condition := range []policy.Policy{p.When, p.Guest} {
		// Whose conditions were not reached, or do hold, needs no further words.
		if condition != nil && (st.standing == unmet || st.standing == unknowable || st.err != nil) {
			e.Detail = strings.TrimPrefix(e.Detail+"; "+conditionText(ctx, q, p, condition), "; ")
		}
	}
	return e
}

// conditionText says which parts of a condition do not hold, with the values of
// claims: it is for the administrator alone.
func conditionText(ctx context.Context, q question, p Policy, condition policy.Policy) string {
	q.budget = policy.NewBudget(policy.DefaultBudget)
	return policy.Explain(ctx, condition, q.input(p), policy.Detail{Values: true}).String()
}

// effect says what a policy does when it matches.
func (p Policy) effect() string {
	effect := "allow"
	if p.Deny {
		effect = "deny"
	}
	if p.Shadow {
		effect = "shadow " + effect
	}
	return effect
}

func (p Policy) coversAny(scopes []string) bool {
	if len(scopes) == 0 {
		return p.covers("")
	}
	return slices.ContainsFunc(scopes, p.covers)
}
