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

// Bounds of what is remembered: so many answers, and as many refusals, none that
// is larger in bytes, refusals for so long.
const (
	maxAnswers = 4096
	maxKept    = 8 << 10
	refusedAge = 5 * time.Second
)

// answers remembers what a provider said of tokens, by their hash, for seconds: a
// token that is revoked there can be exchanged so much longer. Refusals are
// kept apart, so that made-up tokens push out none that are good. Failures are
// remembered by host, see outage.
type answers struct {
	age     time.Duration
	now     func() time.Time
	known   *lru.Cache[[sha256.Size]byte, remembered]
	refused *lru.Cache[[sha256.Size]byte, remembered]
	flight  singleflight.Group
}

type remembered struct {
	claims claims
	err    error // an oauth.ErrSubjectToken
	until  time.Time
}

func newAnswers(age time.Duration, now func() time.Time) *answers {
	known, _ := lru.New[[sha256.Size]byte, remembered](maxAnswers) // fails for sizes below 1 alone
	refused, _ := lru.New[[sha256.Size]byte, remembered](maxAnswers)
	return &answers{age: age, now: now, known: known, refused: refused}
}

// of gives what is known of a token, or asks; of several who want to know the same
// at a time one asks.
func (a *answers) of(ctx context.Context, token string, ask func(context.Context, string) (claims, error)) (claims, error) {
	key := sha256.Sum256([]byte(token))
	if have, ok := a.have(key); ok {
		return have.claims, have.err
	}
	ch := a.flight.DoChan(string(key[:]), func() (any, error) {
		// The one before may have ended since nothing was known.
		if have, ok := a.have(key); ok {
			return have.claims, have.err
		}
		c, err := ask(context.WithoutCancel(ctx), token)
		a.keep(key, c, err)
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

func (a *answers) have(key [sha256.Size]byte) (remembered, bool) {
	for _, cache := range []*lru.Cache[[sha256.Size]byte, remembered]{a.known, a.refused} {
		if have, ok := cache.Get(key); ok && a.now().Before(have.until) {
			return have, true
		}
	}
	return remembered{}, false
}

func (a *answers) keep(key [sha256.Size]byte, c claims, err error) {
	switch {
	case err == nil && c.size <= maxKept:
		a.known.Add(key, remembered{c, nil, a.now().Add(a.age)})
	case errors.Is(err, oauth.ErrSubjectToken):
		a.known.Remove(key)
		a.refused.Add(key, remembered{claims{}, err, a.now().Add(min(a.age, refusedAge))})
	}
}
