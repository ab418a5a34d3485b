package uma

import (
	"context"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// decisionRecord is what was decided about a verified person, for `explain` and
// for the evaluation of live grants under new policies. Requests without a
// verified claims token leave none: whoever sends such could fill the store.
type decisionRecord struct {
	version
	At              int64         `json:"at"`
	Outcome         event.Outcome `json:"outcome"`
	Reason          string        `json:"reason,omitempty"`
	Policy          string        `json:"policy,omitempty"`
	Revision        string        `json:"policy_revision"`
	Client          string        `json:"client_id"`
	ResourceServer  string        `json:"resource_server"`
	Owner           string        `json:"owner"`
	TicketChallenge string        `json:"ticket_challenge"`
	Confirm         confirmation  `json:"cnf,omitzero"`
	ByPCT           bool          `json:"by_pct,omitempty"`
	// Asked is what was asked for, Granted what came of it.
	Asked   []oauth.Permission `json:"asked"`
	Granted []oauth.Permission `json:"granted,omitempty"`
	// Instances are those among Asked: what was denied is registered nowhere.
	Instances map[string]instanceKey `json:"instances,omitempty"`
	// Party is the sealed requesting party; Truncated says that its claims were too
	// large to be kept.
	Party     string `json:"party"`
	Truncated bool   `json:"truncated,omitempty"`
}

// Bounds of what people who are denied can make us keep: anyone with a domain of
// his own can be somebody whose claims token is verified.
const (
	deniedPerDomain = 100 // in an hour
	deniedInAll     = 600 // in an hour
	maxDeniedClaims = 8 << 10
)

// decisionData binds the sealed party of a decision to it.
func (s *Server) decisionData(id string) []string { return []string{"decision", s.cfg.Issuer, id} }

// recordDecision gives the op that records a decision, or nothing if nobody was
// identified.
func (s *Server) recordDecision(ctx context.Context, p *process, outcome event.Outcome, granted []oauth.Permission) ([]store.Op, error) {
	if p.party == nil || outcome == event.NeedInfo || outcome == event.Failed {
		return nil, nil
	}
	if outcome != event.Granted && !s.mayKeepDenial(p.party.Email.Domain) {
		return nil, nil
	}
	id := p.decision.DecisionID
	sealed, truncated, err := s.sealDecision(ctx, p, id, outcome)
	if err != nil {
		return nil, s.unavailable("grant keys", err)
	}
	now := s.cfg.Now()
	key, _ := decidedKey(id)
	doc, err := s.doc(kindDecided, key, "", now.Add(s.cfg.DecisionRetention()), decisionRecord{
		version: version{currentVersion}, At: now.Unix(), Outcome: outcome, Reason: p.decision.Reason,
		Policy: p.decision.Policy, Revision: s.cfg.PolicyRevision, Client: p.req.client.ID,
		ResourceServer: p.rs.ID, Owner: p.ticket.Owner, TicketChallenge: p.challenge,
		Confirm: p.req.bound, ByPCT: p.party.source == fromPCT,
		Asked: p.askedPermissions(), Granted: granted, Instances: p.askedInstances(),
		Party: sealed, Truncated: truncated,
	})
	if err != nil {
		return nil, err
	}
	return []store.Op{store.Create(doc)}, nil
}

// mayKeepDenial holds the bounds above.
func (s *Server) mayKeepDenial(domain string) bool {
	if ok, _ := s.denialsOf.Allow(domain); !ok {
		return false
	}
	ok, _ := s.denials.Allow("in all")
	return ok
}

// sealDecision seals the party of a decision. What came of a grant is evaluated
// again and needs the claims whole; a denial is kept without large ones.
func (s *Server) sealDecision(ctx context.Context, p *process, id string, outcome event.Outcome) (sealed string, truncated bool, err error) {
	sealed, err = p.party.keep(ctx, s.kept, p.req.method, p.req.from.ip, s.decisionData(id)...)
	if err != nil || outcome == event.Granted || len(sealed) <= maxDeniedClaims {
		return sealed, false, err
	}
	short := *p.party
	short.Claims = map[string]any{}
	sealed, err = short.keep(ctx, s.kept, p.req.method, p.req.from.ip, s.decisionData(id)...)
	return sealed, true, err
}

// pastDecision reads a decision with its party. store.ErrNotFound stands for one
// that is not kept (any more).
func (s *Server) pastDecision(ctx context.Context, id string) (decisionRecord, *party, keptParty, error) {
	rec, err := s.loadDecision(ctx, id)
	if err != nil {
		return rec, nil, keptParty{}, err
	}
	who, kept, err := recall(ctx, s.kept, rec.Party, s.decisionData(id)...)
	if err == nil && rec.ByPCT {
		who.source = fromPCT
	}
	return rec, who, kept, err
}

func (s *Server) loadDecision(ctx context.Context, id string) (decisionRecord, error) {
	if key, ok := decidedKey(id); ok {
		rec, _, err := load[decisionRecord](ctx, s, kindDecided, key)
		if !absent(err) {
			return rec, err
		}
	}
	rec, _, err := load[decisionRecord](ctx, s, kindDecision, id)
	return rec, err
}

func (r decisionRecord) at() time.Time { return time.Unix(r.At, 0) }
