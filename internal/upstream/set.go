package upstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Set is the providers of one service.
type Set struct {
	byIssuer map[string]*Upstream
	opaque   *Upstream // nil = nobody can read tokens that are no JWTs
}

// NewSet puts providers together. No two may speak for one e-mail domain: one of
// them could take over the other's people.
func NewSet(all ...*Upstream) (*Set, error) {
	s := &Set{byIssuer: make(map[string]*Upstream, len(all))}
	domains := make(map[string]string)
	for _, u := range all {
		if _, twice := s.byIssuer[u.cfg.Issuer]; twice {
			return nil, fmt.Errorf("upstream %s is written twice", u.cfg.Issuer)
		}
		s.byIssuer[u.cfg.Issuer] = u
		for domain := range u.domains {
			if other, taken := domains[domain]; taken {
				return nil, fmt.Errorf("upstream %s and upstream %s both speak for %s: give each its own email_domain", other, u.cfg.Issuer, domain)
			}
			domains[domain] = u.cfg.Issuer
		}
		if err := s.addOpaque(u); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no upstream")
	}
	return s, nil
}

// addOpaque: an opaque token does not say whose it is, and asking every provider
// would hand the tokens of one to the others.
func (s *Set) addOpaque(u *Upstream) error {
	if !u.takesOpaque() {
		return nil
	}
	if s.opaque != nil {
		return fmt.Errorf("upstream %s and upstream %s both take opaque tokens, which do not say who issued them: use check jwt at one of them", s.opaque.cfg.Issuer, u.cfg.Issuer)
	}
	s.opaque = u
	return nil
}

// Resolve finds the user of an access token at the provider that issued it.
func (s *Set) Resolve(ctx context.Context, token string) (oauth.Subject, error) {
	u := s.opaque
	if issuer, ok := issuerOf(token); ok {
		u = s.byIssuer[issuer]
	}
	if u == nil {
		return oauth.Subject{}, refuse("no configured provider issues such tokens")
	}
	return u.Resolve(ctx, token)
}

// issuerOf reads the iss of a JWT, which nobody has verified: it says no more than
// where to ask.
func issuerOf(token string) (string, bool) {
	parsed, err := jose.Parse(token, maxToken)
	if err != nil {
		return "", false
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := parsed.Unverified(&c); err != nil || c.Issuer == "" {
		return "", false
	}
	return c.Issuer, true
}
