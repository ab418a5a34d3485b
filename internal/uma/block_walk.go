package uma

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// walkPage is how many grants are read at once.
const walkPage = 256

// endAll ends the live grants that a block hits and says how many these were. One
// that cannot be ended does not save the others.
func (s *Server) endAll(ctx context.Context, b blockable) (ended int, err error) {
	for after := ""; ; {
		docs, failed := s.cfg.Store.List(ctx, s.tenant, kindGrant, "", after, walkPage)
		if failed != nil {
			return ended, errors.Join(err, s.unavailable("grants", failed))
		}
		for _, doc := range docs {
			hit, failed := s.endHit(ctx, doc, b)
			if err = errors.Join(err, failed); hit {
				ended++
			}
			after = doc.ID
		}
		if len(docs) < walkPage || ctx.Err() != nil {
			return ended, errors.Join(err, ctx.Err())
		}
	}
}

// endHit ends one grant, if it lives and the block hits it.
func (s *Server) endHit(ctx context.Context, doc store.Doc, b blockable) (hit bool, err error) {
	rec, err := decodeRecord[grantRecord](doc)
	if err != nil {
		return false, err
	}
	if rec.Revoked != "" || !s.cfg.Now().Before(time.Unix(rec.Expires, 0)) {
		return false, nil
	}
	reason, err := s.blockedFor(ctx, rec, func(who *party) (bool, error) {
		return slices.Contains(who.blockables(), b), nil
	})
	if err != nil || reason == "" {
		return false, err
	}
	if err := s.endGrant(ctx, doc.ID, reason, true); err != nil {
		return false, err
	}
	return true, nil
}
