package uma

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// revokeGrant ends a grant and everything that came of it.
func (s *Server) revokeGrant(ctx context.Context, id, reason string) error {
	rec, doc, err := load[grantRecord](ctx, s, kindGrant, id)
	if absent(err) {
		return nil
	}
	if err != nil {
		return s.unavailable("grant", err)
	}
	rec.Revoked = reason
	next, err := s.doc(kindGrant, id, doc.Index, doc.Expires, rec)
	if err != nil {
		return err
	}
	next.Rev = doc.Rev
	if err := s.commit(ctx, store.Swap(next)); err != nil {
		return s.unavailable("grant", err)
	}
	return nil
}
