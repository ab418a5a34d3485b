package uma

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// spentRecord remembers a presented ticket by the hash of its id until the
// ticket could no longer be live anywhere.
type spentRecord struct {
	version
	Client  string        `json:"client"`
	Outcome event.Outcome `json:"outcome,omitempty"` // "" = presented, no outcome yet
	// ClaimToken is the hash of the accepted claims token, Grant the grant that
	// came of it: what a replay may revoke (CONFORMANCE A40).
	ClaimToken string `json:"claim_token,omitempty"`
	Grant      string `json:"grant,omitempty"`
}

// spend records that a ticket was presented: durably, before the claims token
// is read and before any outbound request (CONFORMANCE A2). Of many who present
// one ticket at once exactly one gets past here.
func (s *Server) spend(ctx context.Context, p *process) error {
	expires := time.Unix(p.ticket.Expires, 0).Add(2 * s.cfg.Leeway)
	doc, err := s.doc(kindSpent, hashID(p.ticket.ID), "", expires, spentRecord{
		version: version{currentVersion}, Client: p.req.client.ID,
	})
	if err != nil {
		return err
	}
	err = s.commit(ctx, store.Create(doc))
	if errors.Is(err, store.ErrExists) {
		s.cfg.Observe(ctx, event.Replay{
			Issuer: s.cfg.Issuer, ClientID: p.req.client.ID,
			ResourceServer: p.ticket.ResourceServer, TicketChallenge: p.challenge,
		})
		return invalidTicket()
	}
	if err != nil {
		return s.unavailable("spent ticket", err)
	}
	doc.Rev = 1
	p.spent = doc
	return nil
}

// settle records the outcome of a spent ticket together with what comes of it.
// If it fails, nothing leaves (CONFORMANCE SEC-13).
func (s *Server) settle(ctx context.Context, p *process, outcome event.Outcome, grant string, also ...store.Op) error {
	rec := spentRecord{
		version: version{currentVersion}, Client: p.req.client.ID, Outcome: outcome, Grant: grant,
	}
	if grant != "" {
		rec.ClaimToken = hashID(p.claimToken)
	}
	doc, err := s.doc(kindSpent, p.spent.ID, "", p.spent.Expires, rec)
	if err != nil {
		return err
	}
	doc.Rev = p.spent.Rev
	if err := s.commit(ctx, append(also, store.Swap(doc))...); err != nil {
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
