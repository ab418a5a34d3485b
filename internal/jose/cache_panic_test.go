package jose_test

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// A panic while somebody's keys are read ends neither the process nor the
// waiting, and the next fetch is a new one.
func TestPanicOfAFetch(t *testing.T) {
	clock, bad := newHand(), true
	cache := jose.NewCache(jose.CacheConfig{Now: clock.Now, Fetch: func(context.Context, string) ([]byte, error) {
		if bad {
			panic("a bug")
		}
		return josetest.JWKS(ecKey.JWK(members{"kid": "a"})), nil
	}})
	keys := cache.Keys(uri)
	wantKey(t, keys, "a", jose.ErrKeySource)
	bad = false
	wantKey(t, keys, "a", jose.ErrKeySource) // within the pause
	clock.pass(time.Minute)
	wantKey(t, keys, "a", nil)
}
