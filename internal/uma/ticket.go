package uma

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// ticket is the plaintext of a permission ticket (DESIGN §8, ticket v1). It is
// sealed, so a client can neither read nor make one.
type ticket struct {
	ID             string             `json:"i"` // 160 random bits (UMA Grant §5.5)
	ResourceServer string             `json:"r"`
	Owner          string             `json:"o"`
	Permissions    []ticketPermission `json:"p"`
	Expires        int64              `json:"e"`
	// Successor tickets are bound to the client that received them (CONFORMANCE
	// A3) and count the need_info answers of their process.
	Client string `json:"c,omitempty"`
	Round  int    `json:"n,omitempty"`
	// Party is the identity of the process's requesting party, once it is known.
	Party string `json:"w,omitempty"`
	// Secret opens the claims that are kept for the process; it exists here alone.
	Secret string `json:"s,omitempty"`
	// Key is the thumbprint of the DPoP key that the first request proved.
	Key string `json:"k,omitempty"`
}

type ticketPermission struct {
	ResourceID string   `json:"r"`
	Scopes     []string `json:"s"`
	// Of an instance: the owner that was named, "" = that of the pattern, and what
	// was captured. The resource is the pattern.
	Owner    string          `json:"o,omitempty"`
	Captures []oauth.Capture `json:"c,omitzero"`
}

// add takes a permission into a new ticket; each scope must be registered for
// the resource (UMA Fed §4.3).
func (t *ticket) add(want ticketPermission, asked []*string, registered []string) error {
	scopes := []string{}
	for _, scope := range asked {
		if !slices.Contains(registered, *scope) {
			return oauth.Errorf(oauth.CodeInvalidScope, "a scope is not registered for its resource")
		}
		if !slices.Contains(scopes, *scope) {
			scopes = append(scopes, *scope)
		}
	}
	for i, have := range t.Permissions {
		if have.id() == want.id() {
			for _, scope := range scopes {
				if !slices.Contains(have.Scopes, scope) {
					t.Permissions[i].Scopes = append(t.Permissions[i].Scopes, scope)
				}
			}
			return nil
		}
	}
	want.Scopes = scopes
	t.Permissions = append(t.Permissions, want)
	return nil
}

func (t *ticket) resourceIDs() []string {
	ids := make([]string, len(t.Permissions))
	for i, p := range t.Permissions {
		ids[i] = p.id()
	}
	return ids
}

// ticketData binds a ticket to its purpose, to this issuer and to this store: a
// new or emptied store voids older tickets, since it cannot know which of them
// are spent.
func (s *Server) ticketData(ctx context.Context) ([]string, error) {
	id, err := s.cfg.Store.ID(ctx)
	if err != nil {
		return nil, s.unavailable("store id", err)
	}
	return []string{"ticket", s.cfg.Issuer, id}, nil
}

// maxTicket is how long the plaintext of a resource server's ticket may get. The
// ticket is a third longer and travels in a header field, of which servers and
// proxies take 8 KiB at best.
const maxTicket = 4 << 10

// sealTicket gives a ticket an id and an expiry and seals it.
func (s *Server) sealTicket(ctx context.Context, t *ticket) (string, error) {
	t.ID = randomText(20)
	t.Expires = s.cfg.Now().Add(s.cfg.TicketLifetime).Unix()
	data, err := s.ticketData(ctx)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	if len(plain) > maxTicket && t.Client == "" {
		return "", oauth.Errorf(oauth.CodeInvalidRequest, "so many permissions and scopes do not fit into one ticket")
	}
	text, err := s.tickets.Seal(ctx, plain, data...)
	if err != nil {
		return "", s.unavailable("ticket keys", err)
	}
	return text, nil
}

// openTicket opens a presented ticket. An unknown, foreign or expired one is
// invalid_grant (UMA Grant §3.3.6), all alike.
func (s *Server) openTicket(ctx context.Context, text, clientID string) (ticket, error) {
	var t ticket
	data, err := s.ticketData(ctx)
	if err != nil {
		return t, err
	}
	plain, err := s.tickets.Open(ctx, text, data...)
	if errors.Is(err, seal.ErrOpen) {
		return t, invalidTicket()
	}
	if err != nil {
		return t, s.unavailable("ticket keys", err)
	}
	if err := json.Unmarshal(plain, &t); err != nil {
		return t, invalidTicket().Because(err)
	}
	_, known := s.servers[t.ResourceServer]
	if !known || !s.inTime(t) || t.Client != "" && t.Client != clientID {
		return t, invalidTicket()
	}
	return t, nil
}

// inTime tells whether a ticket has not expired. One that lives longer than tickets
// do was made by a clock that was ahead: its record of being spent may be gone when
// its time comes.
func (s *Server) inTime(t ticket) bool {
	left := time.Unix(t.Expires, 0).Sub(s.cfg.Now())
	return left > 0 && left <= s.cfg.TicketLifetime+2*s.cfg.Leeway
}

func invalidTicket() *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidGrant, "the ticket is unknown, expired or was used before; ask the resource server for a new one")
}
