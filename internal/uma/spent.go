package uma

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// spentRecord remembers a presented ticket by the hash of its id until the
// ticket could no longer be live anywhere.
type spentRecord struct {
	version
	At      int64         `json:"at"`
	Client  string        `json:"client"`
	Outcome event.Outcome `json:"outcome,omitempty"` // "" = presented, no outcome yet
	// ClaimToken is the hash of the accepted claims token; Grant, or Next, the
	// hash of the successor's id, is what came of it: what a replay may revoke
	// (CONFORMANCE A40).
	ClaimToken  string `json:"claim_token,omitempty"`
	Grant       string `json:"grant,omitempty"`
	Next        string `json:"next,omitempty"`
	NextExpires int64  `json:"next_exp,omitempty"`
}

// spend records that a ticket was presented: durably, before the claims token
// is read and before any outbound request (CONFORMANCE A2). Of many who present
// one ticket at once exactly one gets past here.
func (s *Server) spend(ctx context.Context, p *process) error {
	expires := time.Unix(p.ticket.Expires, 0).Add(2 * s.cfg.Leeway)
	doc, err := s.doc(kindSpent, hashID(p.ticket.ID), "", expires, spentRecord{
		version: version{currentVersion}, At: s.cfg.Now().Unix(), Client: p.req.client.ID,
	})
	if err != nil {
		return err
	}
	err = s.commit(ctx, store.Create(doc))
	if errors.Is(err, store.ErrExists) {
		return s.replayed(ctx, p)
	}
	if err != nil {
		return s.unavailable("spent ticket", err)
	}
	doc.Rev = 1
	p.spent = doc
	return nil
}

// result is what a presented ticket led to.
type result struct {
	outcome event.Outcome
	granted []oauth.Permission
	grant   string // id of the grant
	next    *ticket
	ops     []store.Op
}

// settle records the outcome of a spent ticket together with what comes of it.
// If it fails, nothing leaves (CONFORMANCE SEC-13).
func (s *Server) settle(ctx context.Context, p *process, r result) error {
	rec := spentRecord{
		version: version{currentVersion}, At: s.cfg.Now().Unix(), Client: p.req.client.ID,
		Outcome: r.outcome, Grant: r.grant,
	}
	if p.party != nil && p.party.source == fromToken {
		rec.ClaimToken = hashID(p.claimToken)
	}
	if r.next != nil {
		rec.Next, rec.NextExpires = hashID(r.next.ID), r.next.Expires
	}
	doc, err := s.doc(kindSpent, p.spent.ID, "", p.spent.Expires, rec)
	if err != nil {
		return err
	}
	doc.Rev = p.spent.Rev
	decision, err := s.recordDecision(ctx, p, r.outcome, r.granted)
	if err != nil {
		return err
	}
	if err := s.commit(ctx, slices.Concat([]store.Op{store.Swap(doc)}, r.ops, decision)...); err != nil {
		return s.unavailable("outcome of a ticket", err)
	}
	return nil
}

// reasonOf says for the log why a request failed.
func reasonOf(err error) string {
	e := oauth.AsError(err)
	if e.Err != nil {
		return e.Err.Error()
	}
	if e.Description != "" {
		return e.Description
	}
	return e.Code
}
