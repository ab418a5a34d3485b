package uma

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// revokeGrant ends a grant and everything that came of it, because something
// points to a thief: the claims that are kept for the client go, too (CONFORMANCE
// UG-57: claims behind a suspect PCT are not used).
func (s *Server) revokeGrant(ctx context.Context, id, reason string) error {
	return s.endGrant(ctx, id, reason, true)
}

// endGrant ends a grant and those that upgrades put in its place.
func (s *Server) endGrant(ctx context.Context, id, reason string, suspect bool) error {
	for id != "" {
		next := ""
		err := s.again(func() (err error) {
			next, err = s.endOne(ctx, id, reason, suspect)
			return err
		})
		if err != nil {
			return err
		}
		id = next
	}
	return nil
}

// endOne ends one grant, if it lives, and names the one that took its place.
func (s *Server) endOne(ctx context.Context, id, reason string, suspect bool) (next string, err error) {
	g, found, err := s.loadGrant(ctx, id)
	if err != nil || !found {
		return "", err
	}
	var ops []store.Op
	if suspect && g.rec.PCT != "" {
		if ops, err = s.deletePCT(ctx, g.rec.PCT); err != nil {
			return "", err
		}
	}
	lived := g.rec.Revoked == ""
	if !lived && len(ops) == 0 {
		return g.rec.Next, nil
	}
	if lived {
		g.end(reason)
	}
	if err := s.saveGrant(ctx, g, ops...); err != nil {
		return "", err
	}
	if lived {
		s.observeRevocation(ctx, g.rec, reason)
	}
	return g.rec.Next, nil
}

// endRPT ends one RPT of a grant; its refresh token goes on (RFC 7009 §2.1).
func (s *Server) endRPT(ctx context.Context, f *foundRPT, reason string) error {
	f.drop(f.rpt.Serial)
	if err := s.saveGrant(ctx, f.grant); err != nil {
		return err
	}
	s.observeRevocation(ctx, f.rec, reason)
	return nil
}

func (s *Server) observeRevocation(ctx context.Context, rec grantRecord, reason string) {
	s.cfg.Observe(ctx, event.Revocation{
		Issuer: s.cfg.Issuer, ClientID: rec.Client, ResourceServer: rec.ResourceServer,
		DecisionID: rec.DecisionID, Reason: reason,
	})
}
