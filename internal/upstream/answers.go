package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxAnswers and maxKept bound what is remembered: so many answers, and none that
// is larger.
const maxAnswers = 4096

// answers remembers what a provider said of tokens, by their hash, for seconds: a
// token that is revoked there can be exchanged so much longer. Refusals are
// remembered as well. Failures are so for failurePause, whatever the token, so
// that a provider that is down costs one call in that time.
type answers struct {
	age    time.Duration
	now    func() time.Time
	known  *lru.Cache[[sha256.Size]byte, remembered]
	flight singleflight.Group
}

type remembered struct {
	claims claims
	err    error // an oauth.ErrSubjectToken
	until  time.Time
}

func newAnswers(age time.Duration, now func() time.Time) *answers {
	known, _ := lru.New[[sha256.Size]byte, remembered](maxAnswers) // fails for sizes below 1 alone
	return &answers{age: age, now: now, known: known}
}

// of gives what is known of a token, or asks; of several who want to know the same
// at a time one asks.
func (a *answers) of(ctx context.Context, token string, ask func(context.Context, string) (claims, error)) (claims, error) {
	key := sha256.Sum256([]byte(token))
	if have, ok := a.known.Get(key); ok && a.now().Before(have.until) {
		return have.claims, have.err
	}
	ch := a.flight.DoChan(string(key[:]), func() (any, error) {
		c, err := ask(context.WithoutCancel(ctx), token)
		if err == nil || errors.Is(err, oauth.ErrSubjectToken) {
			a.known.Add(key, remembered{c, err, a.now().Add(a.age)})
		}
		return c, err
	})
	select {
	case result := <-ch:
		c, _ := result.Val.(claims)
		return c, result.Err
	case <-ctx.Done():
		return claims{}, ctx.Err()
	}
}
