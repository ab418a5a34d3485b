package caddyrs

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// Assertion is a signed statement for the backend about who is asking, and the
// header field that carries it.
type Assertion struct {
	// Field is removed from requests, as those of HeaderUp are.
	Field string `json:"field"`
	// Audience is the aud of the JWT: the name of the backend.
	Audience string `json:"audience"`
}

func checkAssertion(a *Assertion, up []HeaderField) error {
	if a == nil {
		return nil
	}
	if err := checkHeaderUp([]HeaderField{{Field: a.Field}}); err != nil {
		return errors.New(strings.Replace(err.Error(), "header_up", "assertion", 1))
	}
	switch alike := lookAlike(a.Field); {
	case alike == "authorization", alike == "dpop", alike == "cookie":
		return fmt.Errorf("assertion: %s has a meaning of its own; write a name like X-Assertion", a.Field)
	case a.Audience == "" || strings.ContainsAny(a.Audience, "{}") || !rs.Safe(a.Audience):
		return fmt.Errorf("assertion: '%s' is no audience; write the name by which the backend knows itself", a.Audience)
	}
	for _, f := range up {
		if lookAlike(f.Field) == lookAlike(a.Field) {
			return fmt.Errorf("assertion: %s is also set by header_up", a.Field)
		}
	}
	return nil
}

// engineAssertion gives the engine its keys. They belong to the client of the
// authorization server: handlers that speak as the same one share them, on all
// nodes. No issuer has a fragment, so no two names are the same.
func (h *Handler) engineAssertion(app *umaapp.App) (*rs.Assertion, error) {
	if h.Assertion == nil {
		return nil, nil
	}
	ring, err := app.Ring("rs", h.Issuer+"#"+h.ClientID, "assertion", 2*rs.AssertionLife)
	if err != nil {
		return nil, err
	}
	return &rs.Assertion{Audience: h.Assertion.Audience, Keys: ring}, nil
}

// assert makes what the backend is told by Assertion; "" without one.
func (h *Handler) assert(r *http.Request, g *rs.Grant) (string, *rs.Refusal) {
	if h.Assertion == nil {
		return "", nil
	}
	return h.engine.Assert(r.Context(), g)
}

func (p *parser) assertion() error {
	if err := p.once(p.Val()); err != nil {
		return err
	}
	args := p.RemainingArgs()
	if len(args) != 2 {
		return p.ArgErr()
	}
	p.h.Assertion = &Assertion{Field: args[0], Audience: args[1]}
	if err := checkAssertion(p.h.Assertion, nil); err != nil {
		return p.Errf("uma_protect: %v", err)
	}
	return nil
}
