package rs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// state is what the check of a request needs.
type state struct {
	learned   *learned
	endpoints endpoints
	ids       []string
	reg       registration
	keys      jose.KeySet
}

// ready gives it, loading what is missing.
func (s *Server) ready(ctx context.Context) (*state, error) {
	l, err := s.currentLearned(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.currentEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	reg, err := s.currentRegistration(ctx)
	if err != nil {
		return nil, err
	}
	if st := s.current.Load(); st != nil && st.learned == l && st.endpoints == e && sameIDs(st.ids, reg.ids) {
		return st, nil
	}
	st := &state{learned: l, endpoints: e, ids: reg.ids, reg: reg, keys: s.verifier.keys.Keys(e.keys)}
	s.current.Store(st)
	return st, nil
}

// outOfStep tells errors that mean that our registrations are not what the
// authorization server has (UMA Fed §4.3).
func outOfStep(a *answer) bool {
	if a.status != http.StatusBadRequest {
		return false
	}
	code := a.errorCode()
	return code == oauth.CodeInvalidResourceID || code == oauth.CodeInvalidScope
}

// ticket asks the permission endpoint for a ticket (UMA Fed §4.1). If the
// authorization server has lost our resources they are registered again, once.
func (s *Server) ticket(ctx context.Context, wants []want) (string, error) {
	for attempt := 0; ; attempt++ {
		st, err := s.ready(ctx)
		if err != nil {
			return "", err
		}
		a, err := s.askPermission(ctx, st, wants)
		if err != nil {
			return "", err
		}
		if a.status == http.StatusCreated {
			return readTicket(a.body)
		}
		if !outOfStep(a) || attempt > 0 {
			return "", a.failure("asking for a ticket")
		}
		s.registered.forget(func(have registration) bool { return sameIDs(have.ids, st.ids) })
	}
}

// sameIDs compares by identity: another round makes another slice.
func sameIDs(a, b []string) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

func (s *Server) askPermission(ctx context.Context, st *state, wants []want) (*answer, error) {
	permissions := make([]permissionRequest, len(wants))
	for i, w := range wants {
		if st.ids[w.index] == "" {
			return nil, errors.Join(errors.New("a resource is not registered"), st.reg.err)
		}
		permissions[i] = w.request(st.ids[w.index])
	}
	var body any = permissions
	if len(permissions) == 1 {
		body = permissions[0]
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return s.protected(ctx, request{
		call: CallPermission, method: http.MethodPost, url: st.endpoints.permission,
		content: "application/json", body: text,
	})
}

// readTicket refuses a ticket that could not stand in a header field as it is.
func readTicket(body []byte) (string, error) {
	ticket := ""
	err := oauth.Members(body, func(name, value []byte) {
		if string(name) == "ticket" && value[0] == '"' {
			ticket = string(value[1 : len(value)-1])
		}
	})
	if err != nil {
		return "", fmt.Errorf("asking for a ticket: %w", err)
	}
	if ticket == "" || len(ticket) > 8<<10 {
		return "", errors.New("asking for a ticket: the answer holds none")
	}
	for i := range len(ticket) {
		// An escape sequence has a backslash: it could only stand for what must not
		// be there, or be the other spelling of what needs none.
		if c := ticket[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return "", errors.New("asking for a ticket: it holds characters that a header field cannot")
		}
	}
	return ticket, nil
}
