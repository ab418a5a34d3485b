package uma

import (
	"context"
	"encoding/json"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
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

// WantsSigned tells which introspection answer an Accept header asks for.
func WantsSigned(accept ...string) bool { return wantsSigned(map[string][]string{"Accept": accept}) }

// GrantRecordSize is how long the record of a grant is, with as many RPTs as there
// can be and all of them narrowed to these scopes.
func GrantRecordSize(scopes []string) (bytes, rpts int) {
	g := &grant{}
	for i := range 10 * maxRPTs {
		g.add(rptRecord{Serial: i, Expires: 1 << 40, Scopes: scopes}, time.Unix(0, 0), 0)
	}
	body, _ := json.Marshal(g.rec)
	return len(body), len(g.rec.RPTs)
}

// CheckConfirmation tells whether a request that proves this key and this
// certificate may use a claims token with these claims.
func CheckConfirmation(claims map[string]any, jkt, x5t string) bool {
	return checkConfirmation(claims, confirmation{JKT: jkt, X5T: x5t}) == nil
}

// TokenType is that of an RPT with this binding.
func TokenType(jkt, x5t string) string { return confirmation{JKT: jkt, X5T: x5t}.tokenType() }

// ParseClientMetadata gives what would be registered, and the client of it.
func ParseClientMetadata(body []byte) (map[string]any, clientauth.Client, error) {
	m, err := parseClientMetadata(body)
	if err != nil {
		return nil, clientauth.Client{}, err
	}
	all, err := m.describe()
	return all, m.client("x"), err
}

// ParseClientDocument reads a metadata document.
func ParseClientDocument(body []byte, id string) (clientauth.Client, error) {
	return parseClientDocument(body, id)
}

// ParseClientID tells whether an id may be the URL of a document.
func ParseClientID(id string) (host string, ok bool) { return parseClientID(id) }

// TicketHash is the id under which a ticket is remembered when it is spent.
func (s *Server) TicketHash(ctx context.Context, text, client string) (string, error) {
	t, err := s.openTicket(ctx, text, client)
	return hashID(t.ID), err
}
