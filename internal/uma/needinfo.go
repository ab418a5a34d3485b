package uma

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// needs says that a claims token is missing or not acceptable. The reason goes
// to the log alone: which check failed is nobody else's business (CONFORMANCE
// A16).
func needs(reason string) *oauth.Error {
	return &oauth.Error{Code: oauth.CodeNeedInfo, Status: http.StatusForbidden, Err: errors.New(reason)}
}

// denied ends the process (UMA Grant §3.3.6).
func denied(reason string) *oauth.Error {
	return &oauth.Error{
		Code: oauth.CodeRequestDenied, Status: http.StatusForbidden,
		Description: "access is not granted", Err: errors.New(reason),
	}
}

// needInfo completes a need_info answer with a successor ticket, bound to the
// client, and with what would help (UMA Grant §3.3.6). After the last round it
// is request_denied.
func (s *Server) needInfo(ctx context.Context, p *process, e *oauth.Error) (*oauth.Error, error) {
	if p.ticket.Round+1 > s.cfg.Rounds {
		return denied("too many rounds: " + reasonOf(e)), nil
	}
	next := ticket{
		ResourceServer: p.ticket.ResourceServer, Owner: p.ticket.Owner, Permissions: p.ticket.Permissions,
		Client: p.req.client.ID, Round: p.ticket.Round + 1,
	}
	text, err := s.sealTicket(ctx, next)
	if err != nil {
		return nil, err
	}
	c := *e
	c.Description = "a claims token for this ticket is required, from the provider of the e-mail address"
	c.Extra = map[string]any{"ticket": text, "required_claims": []any{s.requiredClaims()}}
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
