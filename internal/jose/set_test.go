package jose_test

import (
	"context"
	"crypto"
	"errors"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

func TestSet(t *testing.T) {
	key, noKID, other := josetest.NewKey("ES256", "k1"), josetest.NewKey("RS256", ""), josetest.NewKey("ES256", "k1")
	data := josetest.JWKS(key.JWK(nil), noKID.JWK(map[string]any{"kid": nil}), josetest.NewRSA("RS256", "weak", 1024).JWK(nil))
	set, err := jose.ParseJWKS(data)
	if err != nil {
		t.Fatal(err)
	}
	cache := jose.NewCache(jose.CacheConfig{
		Now:   func() time.Time { return time.Unix(1, 0) },
		Fetch: func(context.Context, string) ([]byte, error) { return data, nil },
	})
	if set.Named() != 1 {
		t.Errorf("%d keys have a kid", set.Named())
	}
	for name, keys := range map[string]jose.Holder{"set": set, "cache": cache.Keys("https://a.example/")} {
		if got, err := keys.Key(t.Context(), "k1", "ES256"); err != nil || got.Alg != "ES256" {
			t.Errorf("%s: %v", name, err)
		}
		for kid, alg := range map[string]string{"": "RS256", "k1": "ES384", "k2": "ES256", "weak": "RS256", "\x00": "ES256"} {
			if _, err := keys.Key(t.Context(), kid, alg); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("%s: %q %s: %v", name, kid, alg, err)
			}
		}
		for want, public := range map[bool][]crypto.PublicKey{
			true:  {key.Private.Public(), noKID.Private.Public()},
			false: {other.Private.Public(), "no key", nil},
		} {
			for _, p := range public {
				if got, err := keys.Holds(t.Context(), p); got != want || err != nil {
					t.Errorf("%s holds %T: %v, %v", name, p, got, err)
				}
			}
		}
	}
	// The name by which a key without kid is found is no kid.
	for name := range set {
		if _, err := set.Key(t.Context(), name, "RS256"); err == nil {
			t.Errorf("%q is a kid", name)
		}
	}
	for _, bad := range []string{"", "[]", `{"keys":null}`, `{"keys":[{"kty":"oct","k":"AA"}]}`} {
		if _, err := jose.ParseJWKS([]byte(bad)); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}
