package uma

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/seal"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// A process lasts from the first ticket to a grant or a denial, over up to
// Config.Rounds successor tickets. It has one requesting party. The claims of
// that party are kept between rounds only for a client that proves itself each
// time; they lie in the store, sealed with a secret that stands in the successor
// ticket and nowhere else (CONFORMANCE A3).

// processRecord holds the sealed claims of a process between two rounds.
type processRecord struct {
	version
	Client string `json:"client"`
	Party  string `json:"party"`
}

// identify finds the requesting party: from the claims token in the request,
// else from what was kept, else from a persisted claims token. Nothing is merged.
func (s *Server) identify(ctx context.Context, p *process) error {
	if err := s.claimsOf(ctx, p); err != nil {
		return err
	}
	p.decision.Person, p.decision.Evidence, p.decision.Key = p.party.person(), p.party.evidence, p.party.key
	// CONFORMANCE A3, CA-49: one requesting party per process.
	if p.ticket.Party != "" && p.ticket.Party != p.party.identity() {
		return denied("the claims are of another requesting party than those before")
	}
	return nil
}

func (s *Server) claimsOf(ctx context.Context, p *process) (err error) {
	if p.claimToken != "" {
		return s.verifyClaimToken(ctx, p)
	}
	if p.party, err = s.recallClaims(ctx, p); p.party != nil || err != nil {
		return err
	}
	if p.party, err = s.recallPCT(ctx, p); p.party != nil || err != nil {
		return err
	}
	return needs("no claims token")
}

// mayKeep tells whether claims are kept for the client of this request, under a
// ticket: for one that authenticates, or that proves the DPoP key of the process's
// first request. For any other the ticket would be a bearer token for somebody's
// claims.
func (p *process) mayKeep(t *ticket) bool {
	return !p.req.client.Public || t.Key != "" && p.req.bound.JKT == t.Key
}

// recallClaims gives the claims kept since the round before, or nothing.
func (s *Server) recallClaims(ctx context.Context, p *process) (*party, error) {
	if p.ticket.Secret == "" || !p.mayKeep(&p.ticket) {
		return nil, nil //nolint:nilnil // nothing is kept
	}
	rec, doc, err := load[processRecord](ctx, s, kindProcess, hashID(p.ticket.Secret))
	if absent(err) {
		return nil, nil //nolint:nilnil // it has expired
	}
	if err != nil {
		return nil, s.unavailable("process", err)
	}
	box, data, err := s.secretBox(kindProcess, p.ticket.Secret)
	if err != nil {
		return nil, err
	}
	who, _, err := recall(ctx, box, rec.Party, data...)
	if errors.Is(err, seal.ErrOpen) {
		return nil, nil //nolint:nilnil // not what this secret opens
	}
	if err != nil {
		return nil, err
	}
	who.source, p.kept = fromProcess, &doc
	return who, s.stillWelcome(p, who)
}

// stillWelcome repeats, for claims that were verified earlier, what may have
// changed since: the lists and pins of domains, and the proof of the key that the
// claims are bound to (CONFORMANCE DP-07).
func (s *Server) stillWelcome(p *process, who *party) error {
	if s.cfg.Finder.Rule(who.Email.Domain).Deny {
		return denied("the domain is denied")
	}
	if s.unpinned(who) {
		return needs("the issuer is not the one that is pinned now, or was and is not any more")
	}
	return checkConfirmation(who.Claims, p.req.bound)
}

// unpinned tells whether a party's issuer has lost the administrator's word: he pins
// another one now, or this one no longer. What a look-up would say now is not known
// without one.
func (s *Server) unpinned(who *party) bool {
	rule := s.cfg.Finder.Rule(who.Email.Domain)
	if rule.NoWebFinger {
		return rule.BaseURL != who.Issuer
	}
	return who.evidence == discovery.ByPin
}

// keepClaims puts the claims of this round under a new secret of the successor
// ticket.
func (s *Server) keepClaims(ctx context.Context, p *process, next *ticket) ([]store.Op, error) {
	var ops []store.Op
	if p.kept != nil {
		ops = append(ops, store.Delete(p.kept.Key, p.kept.Rev))
	}
	if !p.mayKeep(next) || p.party != nil && p.party.source == fromPCT {
		return ops, nil
	}
	if p.party == nil { // a token that is not acceptable does not replace what was
		next.Secret = p.ticket.Secret
		return ops, nil
	}
	next.Secret = randomText(32)
	box, data, err := s.secretBox(kindProcess, next.Secret)
	if err != nil {
		return nil, err
	}
	sealed, err := p.party.keep(ctx, box, "", "", data...)
	if err != nil {
		return nil, err
	}
	expires := s.cfg.Now().Add(s.cfg.TicketLifetime)
	doc, err := s.doc(kindProcess, hashID(next.Secret), "", expires.Add(time.Second), processRecord{
		version: version{currentVersion}, Client: next.Client, Party: sealed,
	})
	return append(ops, store.Create(doc)), err
}
