package uma

import (
	"context"
	"errors"
	"time"
)

// eachGrant walks all grants that live, as they stood when the walk came to them. One
// that cannot be read does not save those behind it; the error says that there was one.
func (s *Server) eachGrant(ctx context.Context, f func(id string, rec grantRecord) error) error {
	const page = 1000
	var unread error
	for after := ""; ; {
		docs, err := s.cfg.Store.List(ctx, s.tenant, kindGrant, "", after, page)
		if err != nil {
			return s.unavailable("grants", err)
		}
		for _, doc := range docs {
			after = doc.ID
			rec, err := decodeRecord[grantRecord](doc)
			if err != nil {
				unread = s.unavailable("grants", err)
				continue
			}
			if !s.lives(rec) {
				continue
			}
			if err := f(doc.ID, rec); err != nil {
				return err
			}
		}
		if len(docs) < page {
			return errors.Join(unread, ctx.Err())
		}
	}
}

// lives tells whether anything of a grant can be used, by the slowest of clocks.
func (s *Server) lives(rec grantRecord) bool {
	now := s.cfg.Now().Add(-2 * s.cfg.Leeway)
	if rec.Revoked != "" {
		return false
	}
	for _, rpt := range rec.RPTs {
		if rpt.good(now) {
			return true
		}
	}
	return now.Before(time.Unix(rec.Refresh.Ends, 0))
}
