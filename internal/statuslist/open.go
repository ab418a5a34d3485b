package statuslist

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// MaxToken bounds a status list token in bytes: a list that cannot be packed well.
const MaxToken = MaxSize/8*2 + 4096

// clockLeeway is for the clock of the issuer.
const clockLeeway = time.Minute

// open verifies a status list token (§8.3).
func (c *Cache) open(ctx context.Context, keys jose.KeySet, uri string, answer Answer, last mark, now time.Time) (*held, error) {
	token, err := jose.Parse(answer.Token, MaxToken)
	if err != nil {
		return nil, err
	}
	if token.Header.Typ != Type {
		return nil, errors.New("the status list has another typ")
	}
	var claims Claims
	if err := token.Verify(ctx, keys, jose.DefaultAlgs(), &claims); err != nil {
		return nil, err
	}
	if err := claims.check(c.cfg.Issuer, uri, now, last); err != nil {
		return nil, err
	}
	list, err := claims.List.Decode()
	if err != nil {
		return nil, err
	}
	if list.footprint() > c.cfg.Bytes {
		return nil, errors.New("the status list is too large")
	}
	key, err := keys.Key(ctx, token.Header.KID, token.Header.Alg)
	if err != nil {
		return nil, err
	}
	return &held{list: list, mark: claims.mark(), etag: answer.ETag, key: key, asked: now}, nil
}

func (c *Claims) check(issuer, uri string, now time.Time, last mark) error {
	switch {
	case c.Issuer != issuer:
		return errors.New("the status list is of another issuer")
	case c.Subject != uri: // or one list could be shown in the place of another
		return errors.New("the status list is another one")
	case c.IssuedAt <= 0 || time.Unix(c.IssuedAt, 0).After(now.Add(clockLeeway)):
		return errors.New("the status list has no iat or one of the future")
	case c.Expires != 0 && !now.Before(time.Unix(c.Expires, 0).Add(clockLeeway)):
		return errors.New("the status list has expired")
	case c.mark().before(last):
		// Somebody shows an old copy: what was revoked since would come back.
		return fmt.Errorf("the status list went back (sequence %d after %d)", c.Sequence, last.sequence)
	}
	return nil
}
