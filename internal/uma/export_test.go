package uma

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
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

// Seed gives the documents that a server has for the i-th resource and for one
// live grant on it: resource, grant and decision, as the engine writes them. Ids
// are in the order of i, or a million of them would take an hour to write.
func (s *Server) Seed(ctx context.Context, i int, server string, sub string) (ops []store.Op, resource, rpt string, err error) {
	id := func(kind byte) string { return fmt.Sprintf("%c%021d", kind, i) }
	who := &party{
		Issuer: "https://bob.example", Subject: sub, Email: oauth.Address{Local: sub, Domain: "bob.example"}, evidence: "webfinger",
		Claims: map[string]any{"iss": "https://bob.example", "sub": sub, "email": sub + "@bob.example", "groups": []any{"staff"}},
	}
	what := []oauth.Permission{{ResourceID: id('r'), ResourceScopes: []string{"get"}}}
	g := &grant{id: id('g'), rec: grantRecord{
		version: version{currentVersion}, ResourceServer: server, Owner: server, Client: "app", Subject: "u-" + id('s'),
		Permissions: what, Policy: "bob", DecisionID: seededDecision(i), Revision: s.cfg.PolicyRevision,
	}}
	p := &process{
		req: &tokenRequest{client: clientauth.Client{ID: "app"}, method: "POST"}, rs: s.servers[server], party: who,
		ticket: ticket{ResourceServer: server, Owner: server}, challenge: oauth.TicketChallenge(g.id),
	}
	p.decision.DecisionID = g.rec.DecisionID
	decision, err := s.recordDecision(ctx, p, event.Granted, what)
	if err != nil {
		return nil, "", "", err
	}
	answer, more, err := s.mint(ctx, g, what, nil, released(p.rs, who))
	if err != nil {
		return nil, "", "", err
	}
	grantOps, err := s.ops(g)
	if err != nil {
		return nil, "", "", err
	}
	doc, err := s.doc(kindResource, id('r'), server, time.Time{}, resourceRecord{
		version: version{currentVersion}, ResourceServer: server, Owner: server, Scopes: []string{"get", "post"},
		Texts: map[string]string{"name": "photo " + id('n'), "type": "https://types.example/photo"},
	})
	return slices.Concat([]store.Op{store.Create(doc)}, grantOps, decision, more), id('r'), answer.AccessToken, err
}

// seededDecision makes ids whose documents are in the order of i.
func seededDecision(i int) string {
	id, _, _ := decisionOf(fmt.Sprintf("%032x", i))
	return id
}

// TicketHash is the id under which a ticket is remembered when it is spent.
func (s *Server) TicketHash(ctx context.Context, text, client string) (string, error) {
	t, err := s.openTicket(ctx, text, client)
	return hashID(t.ID), err
}

// CheckSignature gives the checked payload of a token; tried is what was found out
// before the look-up.
func CheckSignature(ctx context.Context, token *jose.Token, keys jose.KeySet, tried *discovery.Signed) (string, error) {
	signed, err := checkSignature(ctx, token, keys, tried)
	return string(signed.Payload), err
}

// MinuteOf is what the decisions of a time are found by.
func MinuteOf(t time.Time) string { return minuteOf(t) }

// NewID makes an id that people type.
func NewID() string { return newID() }

// NewDecisionID makes an id of a decision.
func NewDecisionID(now time.Time) string { return newDecisionID(now) }

// DecidedKey is the id of the document of a decision.
func DecidedKey(id string) (string, bool) { return decidedKey(id) }

// DecisionOf undoes it.
func DecisionOf(key string) (string, int64, bool) { return decisionOf(key) }

// Reviews is how many looks through all grants came to their end.
func (s *Server) Reviews() int {
	s.review.mu.Lock()
	defer s.review.mu.Unlock()
	return s.review.done
}

// Orphans are counted by the names of their resource servers.
type Orphans = orphans

// Add counts one.
func (o orphans) Add(name string) { o[name]++ }

// Warn tells about them.
func (o orphans) Warn(log *zap.Logger, issuer string) { o.warn(log, issuer) }
