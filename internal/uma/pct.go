package uma

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/seal"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// prefixPCT begins a persisted claims token.
const prefixPCT = "pct_"

// pctRecord holds the claims behind a persisted claims token. They are sealed with
// a key that only the token itself gives, and the record is found by the token's
// hash: the store names nobody (UMA Grant §6.2, CONFORMANCE UG-37, UG-64).
type pctRecord struct {
	version
	Client  string       `json:"client"`
	Confirm confirmation `json:"cnf,omitzero"`
	Expires int64        `json:"exp"`
	Party   string       `json:"party"`
}

// issuePCT gives a client that can be trusted with it a PCT for claims that were
// verified in this process (UMA Grant §3.3.5). For claims that a PCT brought there
// is no new one: they end when that one does, however often it is used.
func (s *Server) issuePCT(ctx context.Context, p *process) (token string, ops []store.Op, err error) {
	if s.cfg.PCTLifetime <= 0 || !holdsSafely(p.req) || p.party.source == fromPCT {
		return "", nil, nil
	}
	token = prefixPCT + randomText(32)
	box, data, err := s.secretBox(kindPCT, token)
	if err != nil {
		return "", nil, err
	}
	sealed, err := p.party.keep(ctx, box, "", "", data...)
	if err != nil {
		return "", nil, err
	}
	expires := s.cfg.Now().Add(s.cfg.PCTLifetime)
	doc, err := s.doc(kindPCT, hashID(token), "", expires, pctRecord{
		version: version{currentVersion}, Client: p.req.client.ID, Confirm: p.req.bound,
		Expires: expires.Unix(), Party: sealed,
	})
	return token, []store.Op{store.Create(doc)}, err
}

// recallPCT gives the claims behind the persisted claims token in the request. One
// that is unknown, expired, of another client or bound to another key counts as
// absent (CONFORMANCE UG-57). Whether its claims are enough, policies say (A18).
func (s *Server) recallPCT(ctx context.Context, p *process) (*party, error) {
	if s.cfg.PCTLifetime <= 0 || !strings.HasPrefix(p.pct, prefixPCT) || !holdsSafely(p.req) {
		return nil, nil //nolint:nilnil // as if there were none
	}
	rec, _, err := load[pctRecord](ctx, s, kindPCT, hashID(p.pct))
	if absent(err) {
		return nil, nil //nolint:nilnil // unknown or expired
	}
	if err != nil {
		return nil, s.unavailable("PCT", err)
	}
	if !rec.usable(p.req, s.cfg.Now()) {
		return nil, nil //nolint:nilnil // not for this request
	}
	box, data, err := s.secretBox(kindPCT, p.pct)
	if err != nil {
		return nil, err
	}
	who, _, err := recall(ctx, box, rec.Party, data...)
	if errors.Is(err, seal.ErrOpen) {
		return nil, nil //nolint:nilnil // not what this token opens
	}
	if err != nil {
		return nil, err
	}
	who.source = fromPCT
	return who, s.stillWelcome(p, who)
}

func (r pctRecord) usable(req *tokenRequest, now time.Time) bool {
	// CONFORMANCE A25: for public clients only bound, also if it was confidential then.
	free := r.Confirm.none() && !req.client.Public
	return r.Client == req.client.ID && (free || r.Confirm == req.bound) && now.Before(time.Unix(r.Expires, 0))
}

// deletePCT gives the ops that delete a PCT by its hash.
func (s *Server) deletePCT(ctx context.Context, hash string) ([]store.Op, error) {
	_, doc, err := load[pctRecord](ctx, s, kindPCT, hash)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.unavailable("PCT", err)
	}
	return []store.Op{store.Delete(doc.Key, doc.Rev)}, nil
}
