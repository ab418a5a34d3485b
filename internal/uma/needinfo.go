package uma

import (
	"context"
	"errors"
	"maps"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// needs says that a claims token is missing or not acceptable. The reason goes
// to the log alone: which check failed is nobody else's business (CONFORMANCE
// A16).
func needs(reason string) *oauth.Error {
	return &oauth.Error{
		Code: oauth.CodeNeedInfo, Status: http.StatusForbidden, Err: errors.New(reason),
		Description: "a claims token for this ticket is required, from the provider of the e-mail address",
	}
}

// needsClaims says that a verified claims token lacks claims that a policy
// demands. Only who could be let in learns their names.
func needsClaims(names []string) *oauth.Error {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = map[string]any{
			"claim_token_format": []string{oauth.ClaimTokenFormatJWT}, "name": name, "claim_type": oauth.ProfileURI,
		}
	}
	return &oauth.Error{
		Code: oauth.CodeNeedInfo, Status: http.StatusForbidden, Err: errors.New("claims are missing"),
		Description: "a claims token for this ticket with the required claims is needed",
		Extra:       map[string]any{"required_claims": list},
	}
}

// denied ends the process (UMA Grant §3.3.6).
func denied(reason string) *oauth.Error {
	return &oauth.Error{
		Code: oauth.CodeRequestDenied, Status: http.StatusForbidden,
		Description: "access is not granted", Err: errors.New(reason),
	}
}

// refuse records and forms the answer to a spent ticket that grants nothing.
func (s *Server) refuse(ctx context.Context, p *process, err error) error {
	r := result{outcome: event.Denied}
	e := oauth.AsError(err)
	switch {
	case e.Status >= http.StatusInternalServerError:
		r.outcome = event.Failed
	case e.Code == oauth.CodeNeedInfo && p.ticket.Round+1 > s.cfg.Rounds:
		e = denied("too many rounds: " + reasonOf(err))
	case e.Code == oauth.CodeNeedInfo:
		r.outcome = event.NeedInfo
		if e, err = s.needInfo(ctx, p, e, &r); err != nil {
			return err
		}
	}
	p.decision.Reason = reasonOf(e)
	if err := s.settle(ctx, p, r); err != nil {
		return err
	}
	return e
}

// needInfo completes a need_info answer with a successor ticket, bound to the
// client, and with what would help (UMA Grant §3.3.6).
func (s *Server) needInfo(ctx context.Context, p *process, e *oauth.Error, r *result) (*oauth.Error, error) {
	next := &ticket{
		ResourceServer: p.ticket.ResourceServer, Owner: p.ticket.Owner, Permissions: p.ticket.Permissions,
		Client: p.req.client.ID, Round: p.ticket.Round + 1, Party: p.ticket.Party, Key: p.ticket.Key,
	}
	if p.ticket.Round == 0 {
		next.Key = p.req.bound.JKT
	}
	if p.party != nil && next.Party == "" {
		next.Party = p.party.identity()
	}
	ops, err := s.keepClaims(ctx, p, next)
	if err != nil {
		return nil, err
	}
	text, err := s.sealTicket(ctx, next)
	if err != nil {
		return nil, err
	}
	r.next, r.ops = next, ops
	c := *e
	c.Extra = map[string]any{"required_claims": []any{s.requiredClaims()}}
	maps.Copy(c.Extra, e.Extra)
	c.Extra["ticket"] = text
	return &c, nil
}

// requiredClaims tells a client what to bring (UMA Grant §3.3.6). It is the
// same for everybody: it must not show whom the owner trusts (CONFORMANCE A39).
func (s *Server) requiredClaims() map[string]any {
	return map[string]any{
		"claim_token_format": []string{oauth.ClaimTokenFormatJWT},
		"name":               s.cfg.EmailClaim,
		"friendly_name":      "e-mail address",
		"claim_type":         oauth.ProfileURI,
	}
}
