package upstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

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
	if len(s.byIssuer) > 1 && isJWE(token) {
		u = nil
	}
	if u == nil {
		return oauth.Subject{}, refuse("no configured provider issues such tokens")
	}
	return u.Resolve(ctx, token)
}

// isJWE tells whether a token is an encrypted JWT (RFC 7516 §3.1). It does not say
// whose it is either, and unlike an opaque token it may be of a provider whose tokens
// are JWTs: among several, nobody is asked about it.
func isJWE(token string) bool {
	return strings.Count(token, ".") == 4 && strings.HasPrefix(token, "eyJ")
}

// issuerOf reads the iss of a JWT, which nobody has verified: it says no more than
// where to ask. What looks like a JWT is one, even if it is none that we would
// take: taken for opaque, it would go to a provider that did not issue it. A JWT
// without iss has the issuer "", which nobody is.
func issuerOf(token string) (issuer string, isJWT bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	// Repeated members and the like are no reason to think that it is opaque.
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(header), []byte("{")) {
		return "", false
	}
	payload, err := oauth.DecodeBase64(parts[1])
	var c struct {
		Issuer string `json:"iss"`
	}
	if err != nil || oauth.DecodeObject(payload, &c) != nil {
		return "", true
	}
	return c.Issuer, true
}
