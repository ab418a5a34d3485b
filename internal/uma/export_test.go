package uma

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// OpenTicket opens a ticket as a client would present it: whether it is one.
func (s *Server) OpenTicket(ctx context.Context, text, client string) bool {
	_, err := s.openTicket(ctx, text, client)
	return err == nil
}

// ParseResource and ParsePermissions tell whether a body is accepted, and what
// is read of it.
func ParseResource(body []byte) (scopes []string, texts map[string]string, owner string, err error) {
	rec, owner, err := parseResource(body)
	return rec.Scopes, rec.Texts, owner, err
}

// ParsePermissions gives the number of permissions.
func ParsePermissions(body []byte) (int, error) {
	list, err := parsePermissions(body)
	return len(list), err
}

// VerifyClaimToken checks a claims token as if it came with a ticket of this text
// for a resource server.
func (s *Server) VerifyClaimToken(ctx context.Context, ticket, rs, token string) (email string, err error) {
	p := &process{
		req: &tokenRequest{}, ticketText: ticket, challenge: oauth.TicketChallenge(ticket), rs: s.servers[rs],
		claimToken: token, format: oauth.ClaimTokenFormatJWT,
	}
	if err := s.verifyClaimToken(ctx, p); err != nil {
		return "", err
	}
	return p.party.Email.String(), nil
}
