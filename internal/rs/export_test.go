package rs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// ReadFast reads claims in the one pass of every day, as text for a comparison.
func (s *Server) ReadFast(payload []byte) (string, error) {
	var c rptClaims
	named, err := s.verifier.read(payload, &c)
	return show(&c, named), err
}

// ReadSlowly reads them by decoding everything, and everything twice.
func (s *Server) ReadSlowly(payload []byte) (string, error) {
	var (
		c   rptClaims
		all map[string]any
		jti struct {
			Text string `json:"jti"`
		}
	)
	for _, to := range []any{&c, &all, &jti} {
		if err := oauth.DecodeObject(payload, to); err != nil {
			return "", err
		}
	}
	for name, value := range all {
		text, ok := value.(string)
		if ok && !slices.Contains(reserved, name) && isClaimName(name) && Safe(text) {
			c.released = append(c.released, Claim{name, text})
		}
	}
	slices.SortFunc(c.released, func(a, b Claim) int { return strings.Compare(a.Name, b.Name) })
	c.pack(s.cfg.Issuer)
	return show(&c, jti.Text != ""), nil
}

func show(c *rptClaims, named bool) string {
	text, err := json.Marshal(c)
	confirm := "none"
	if c.Confirm != nil {
		confirm = fmt.Sprintf("%+v", *c.Confirm)
	}
	return fmt.Sprintf("%s %v %s %v %v %v", text, err, confirm, c.released, c.safe, named)
}

// Remember puts a token into the cache of verified ones, as if its signature had been
// checked.
func (s *Server) Remember(token string, payload []byte) error {
	t := &verified{key: &signingKey{}}
	if err := s.verifier.readJWT(payload, &t.claims); err != nil {
		return err
	}
	s.verifier.cache.add(hashToken(token), t)
	return nil
}

// Remembered is how many tokens are in the cache.
func (s *Server) Remembered() int { return s.verifier.cache.tokens.Len() }
