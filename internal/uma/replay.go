package uma

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// replayed is the answer to a ticket that was presented before: always
// invalid_grant. What came of the ticket is revoked only if the replay shows the
// accepted claims token or comes from the same authenticated client: a ticket
// stands in a response header and so in logs, and must not be a switch by which
// anybody ends somebody else's access (CONFORMANCE A40).
func (s *Server) replayed(ctx context.Context, p *process) error {
	s.cfg.Observe(ctx, event.Replay{
		Issuer: s.cfg.Issuer, ClientID: p.req.client.ID,
		ResourceServer: p.ticket.ResourceServer, TicketChallenge: p.challenge,
	})
	rec, _, err := load[spentRecord](ctx, s, kindSpent, hashID(p.ticket.ID))
	if err != nil && !absent(err) {
		return s.unavailable("spent ticket", err)
	}
	if err != nil || !s.suspicious(p, rec) {
		return invalidTicket()
	}
	if err := s.undo(ctx, rec); err != nil {
		return err
	}
	return invalidTicket()
}

// suspicious tells a sign of compromise from a race, a retry or a double click.
func (s *Server) suspicious(p *process, rec spentRecord) bool {
	if rec.Outcome == "" {
		return false
	}
	same := rec.Client == p.req.client.ID
	if same && s.cfg.Now().Before(time.Unix(rec.At, 0).Add(s.cfg.ReplayGrace)) {
		return false
	}
	shown := rec.ClaimToken != "" && rec.ClaimToken == hashID(p.claimToken)
	return shown || same && !p.req.client.Public
}

// undo revokes what a ticket led to: its grant, or its successor and, if that was
// presented already, what the successor led to.
func (s *Server) undo(ctx context.Context, rec spentRecord) error {
	for range s.cfg.Rounds + 1 {
		if rec.Grant != "" {
			return s.revokeGrant(ctx, rec.Grant, "a ticket was presented again")
		}
		if rec.Next == "" {
			return nil
		}
		used, err := s.voidSuccessor(ctx, rec)
		if err != nil || used == nil {
			return err
		}
		rec = *used
	}
	return nil
}

// voidSuccessor marks the successor of a ticket as spent. If it was spent before,
// it gives that record.
func (s *Server) voidSuccessor(ctx context.Context, rec spentRecord) (*spentRecord, error) {
	expires := time.Unix(rec.NextExpires, 0).Add(2 * s.cfg.Leeway)
	doc, err := s.doc(kindSpent, rec.Next, "", expires, spentRecord{
		version: version{currentVersion}, At: s.cfg.Now().Unix(), Client: rec.Client, Outcome: event.Refused,
	})
	if err != nil {
		return nil, err
	}
	err = s.commit(ctx, store.Create(doc))
	if err == nil {
		return nil, nil //nolint:nilnil // nothing was made of the successor
	}
	if !errors.Is(err, store.ErrExists) {
		return nil, s.unavailable("successor of a ticket", err)
	}
	used, _, err := load[spentRecord](ctx, s, kindSpent, rec.Next)
	if err != nil && !absent(err) {
		return nil, s.unavailable("successor of a ticket", err)
	}
	return &used, nil
}
