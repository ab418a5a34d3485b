package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// verify reads a JWT by the provider's keys (RFC 9068 §4).
func (u *Upstream) verify(ctx context.Context, token string) (claims, error) {
	parsed, err := jose.Parse(token, maxToken)
	if err != nil {
		return claims{}, refuse("it is no acceptable JWT: %w", err)
	}
	if !u.accepts(parsed.Header.Typ) {
		return claims{}, refuse("its typ is none of %s", strings.Join(u.cfg.Types, ", "))
	}
	meta, err := u.metadata(ctx)
	if err != nil {
		return claims{}, err
	}
	var payload json.RawMessage
	err = parsed.Verify(ctx, u.keys.Keys(meta.JWKSURI), jose.DefaultAlgs(), &payload)
	switch {
	case errors.Is(err, jose.ErrKeySource):
		return claims{}, err
	case err != nil:
		return claims{}, refuse("its signature is not the provider's: %w", err)
	}
	c, err := parseClaims(payload)
	if err != nil {
		return claims{}, refuse("its claims cannot be read: %w", err)
	}
	c.typ = parsed.Header.Typ
	return c, nil
}

// accepts compares a typ without regard to case (RFC 7515 §4.1.9); "none" stands
// for its absence.
func (u *Upstream) accepts(typ string) bool {
	return slices.ContainsFunc(u.cfg.Types, func(want string) bool {
		if want == "none" {
			return typ == ""
		}
		return accessType(typ) == accessType(want)
	})
}

func (u *Upstream) fetchKeys(ctx context.Context, uri string) ([]byte, error) {
	return u.get(ctx, uri, maxKeys)
}
