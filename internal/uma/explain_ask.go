package uma

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Question is a question of the administrator: what would the policies say of
// these claims? Nothing is looked up or verified, and no ticket is needed.
type Question struct {
	Claims         map[string]any `json:"claims"`
	ResourceServer string         `json:"resource_server"`
	// Resource is the name or the _id of a resource.
	Resource string   `json:"resource"`
	Scopes   []string `json:"scopes"`
	Client   string   `json:"client_id"`
	// Captures, and Owner, say which instance is meant if the resource is a pattern.
	Captures map[string]string `json:"captures"`
	Owner    string            `json:"owner"`
}

// ErrQuestion: the question cannot be asked; its text says why.
var ErrQuestion = errors.New("the question cannot be answered")

// maxExplained bounds how many resources of one name are explained.
const maxExplained = 20

// Explain answers a question. Policies that demand a bound token are taken as met
// by one, since the question has no request to bind.
func (s *Server) Explain(ctx context.Context, ask Question) (*Explanation, error) {
	rs, known := s.servers[ask.ResourceServer]
	if !known {
		return nil, fmt.Errorf("%w: there is no resource server '%s'", ErrQuestion, ask.ResourceServer)
	}
	who, err := s.asked(ask.Claims)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		CurrentRevision: s.cfg.PolicyRevision, Client: ask.Client, ResourceServer: rs.ID, Person: personOf(who),
		Notes: []string{"a dry run: nothing was looked up, and the claims are taken as if they had been verified"},
	}
	resources, err := s.askedResources(ctx, rs, ask, e)
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		e.Resources = append(e.Resources, s.explain(ctx, question{
			rs: rs, resource: r, party: who, client: ask.Client, method: "POST", now: s.cfg.Now(),
			bound: confirmation{JKT: "dry-run", X5T: "dry-run"},
		}))
	}
	e.conclude()
	return e, s.explainBlock(ctx, e, who)
}

// noteBlocked is for who is blocked, whatever the policies say.
const noteBlocked = "the address, its domain or the issuer is blocked now: nothing is granted, whatever the policies say (caddy uma blocks)"

// explainBlock changes the outcome of a dry run for who is blocked.
func (s *Server) explainBlock(ctx context.Context, e *Explanation, who *party) error {
	blocked, err := s.isBlocked(ctx, who)
	if err != nil || !blocked {
		return err
	}
	e.Outcome, e.Reason, e.Policy = event.Denied, reasonBlocked, ""
	e.Notes = append(e.Notes, noteBlocked)
	return nil
}

// asked makes a party of claims that nobody signed.
func (s *Server) asked(claims map[string]any) (*party, error) {
	address, err := s.address(claims)
	if err != nil {
		return nil, fmt.Errorf("%w: the claims need an e-mail address in '%s'", ErrQuestion, s.cfg.EmailClaim)
	}
	iss, _ := claims["iss"].(string)
	sub, _ := claims["sub"].(string)
	return &party{Issuer: iss, Subject: sub, Email: address, Claims: claims}, nil
}

// askedResources finds the resources of this name, or id, at this resource
// server. A name that is not registered may be asked about, too: a policy is
// often written before the resource is there.
func (s *Server) askedResources(ctx context.Context, rs ResourceServer, ask Question, e *Explanation) ([]requested, error) {
	var found []requested
	err := s.eachResource(ctx, rs.ID, func(id string, rec resourceRecord) bool {
		if id == ask.Resource || rec.Texts["name"] == ask.Resource {
			found = append(found, ask.instance(id, rec, e))
		}
		return len(found) < maxExplained
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		e.Notes = append(e.Notes, "no such resource is registered; the answer is for one of this name")
		rec := resourceRecord{ResourceServer: rs.ID, Owner: rs.owner(), Scopes: ask.Scopes, Texts: map[string]string{"name": ask.Resource}}
		found = append(found, requested{rec: rec, scopes: ask.Scopes})
	}
	for _, r := range found {
		for _, scope := range ask.Scopes {
			if !slices.Contains(r.rec.Scopes, scope) {
				e.Notes = append(e.Notes, fmt.Sprintf("the resource %s does not offer the scope '%s'", r.id, scope))
			}
		}
	}
	return found, nil
}

// instance is the resource that is asked about, or that instance of it.
func (ask Question) instance(id string, rec resourceRecord, e *Explanation) requested {
	r := requested{id: id, rec: rec, scopes: ask.Scopes}
	if !rec.isPattern() {
		return r
	}
	key := instanceKey{Pattern: id, Owner: ask.Owner, Captures: []oauth.Capture{}}
	for _, name := range slices.Sorted(maps.Keys(ask.Captures)) {
		key.Captures = append(key.Captures, oauth.Capture{Name: name, Value: ask.Captures[name]})
	}
	instance, ok := rec.instance(key)
	if !ok {
		e.Notes = append(e.Notes, fmt.Sprintf("the resource %s is a pattern; the answer is for none of its instances: name these captures to ask about one: %s", id, strings.Join(rec.Captures, ", ")))
		return r
	}
	r.id, r.rec = key.id(), instance
	return r
}

// conclude sums up the rulings of a dry run.
func (e *Explanation) conclude() {
	e.Outcome = event.Granted
	for _, r := range e.Resources {
		for _, scope := range r.Scopes {
			if e.Policy == "" || !scope.Allowed {
				e.Policy = scope.Policy
			}
			if !scope.Allowed {
				e.Outcome = event.Denied
				return
			}
		}
	}
}

// String says how a policy stands to a question.
func (st standing) String() string {
	switch st {
	case otherThing:
		return "speaks of another resource"
	case otherPerson:
		return "is about other people"
	case otherClient:
		return "is about another client"
	case unmet:
		return "condition is false"
	case unknowable:
		return "condition cannot be evaluated"
	case lacksClaims:
		return "needs claims"
	case needsFresh:
		return "needs a fresh claims token"
	case needsBinding:
		return "needs a bound token"
	default:
		return "matches"
	}
}

// detail names what is missing.
func (st stance) detail(p Policy) string {
	switch st.standing {
	case lacksClaims:
		return strings.Join(st.lacks, ", ")
	case needsBinding:
		return string(p.Require)
	default:
		return ""
	}
}
