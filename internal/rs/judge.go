package rs

import (
	"context"
	"net/http"
)

// presented is an RPT with the request that presents it.
type presented struct {
	request *http.Request
	to      Target
	wants   []want
	token   string
	scheme  string // bearer or dpop
	// dpop says that the client is to prove a key.
	dpop bool
	// decision is the id of the decision behind the RPT, for whoever is refused.
	decision string
}

// judge does every check of an RPT. Errors are a *tokenError if the token is at
// fault, errInsufficient if it is good and opens something else, a *limitError if
// too much was asked, and anything else if it could not be found out. No verdict is remembered: each request comes here.
func (s *Server) judge(ctx context.Context, st *state, p *presented) (claims *rptClaims, source string, err error) {
	claims, source, err = s.verifier.verify(ctx, st, p)
	if err != nil {
		return claims, source, err
	}
	if err := s.bound(ctx, st, p, claims); err != nil {
		return claims, source, err
	}
	if !claims.grants(p.wants, st.ids, s.cfg.Now(), s.cfg.Leeway) {
		return claims, source, errInsufficient
	}
	return claims, source, nil
}

// maxDecision bounds a decision id that is shown; ours have 22 characters.
const maxDecision = 64

// decision gives the decision id of an RPT that verifies, if it is fit to be shown.
func (c *rptClaims) decision() string {
	if c == nil || len(c.DecisionID) > maxDecision || !Safe(c.DecisionID) {
		return ""
	}
	return c.DecisionID
}
