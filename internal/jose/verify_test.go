package jose_test

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// keyFunc is a KeySet.
type keyFunc func(ctx context.Context, kid, alg string) (jose.PublicKey, error)

func (f keyFunc) Key(ctx context.Context, kid, alg string) (jose.PublicKey, error) {
	return f(ctx, kid, alg)
}

func verify(t *testing.T, compact string, keys jose.KeySet, algs ...string) error {
	t.Helper()
	token, err := jose.Parse(compact, limit)
	if err != nil {
		t.Fatal(err)
	}
	if algs == nil {
		algs = jose.DefaultAlgs()
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	err = token.Verify(t.Context(), keys, algs, &claims)
	if err == nil && claims.Sub != "bob" || err != nil && claims.Sub != "" {
		t.Errorf("sub = %q with error %v", claims.Sub, err)
	}
	return err
}

func TestSEC_01_Verify(t *testing.T) {
	good := ecKey.Sign(nil, goodBody)
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	sub := func([]byte) []byte { return []byte(`{"sub":"eve"}`) }
	header := func([]byte) []byte { return []byte(`{"alg":"ES256","kid":"ec-1","typ":"x"}`) }
	for name, tc := range map[string]struct {
		compact string
		algs    []string
		want    error
	}{
		"good":                   {good, nil, nil},
		"good, list of one":      {good, []string{"ES256"}, nil},
		"not in the list":        {good, []string{"RS256", "EdDSA"}, jose.ErrToken},
		"empty list":             {good, []string{}, jose.ErrToken},
		"signature":              {josetest.Resegment(good, 2, flip), nil, jose.ErrSignature},
		"short signature":        {josetest.Resegment(good, 2, func(b []byte) []byte { return b[:63] }), nil, jose.ErrSignature},
		"long signature":         {josetest.Resegment(good, 2, func(b []byte) []byte { return append(b, 0) }), nil, jose.ErrSignature},
		"zero signature":         {josetest.Resegment(good, 2, func([]byte) []byte { return make([]byte, 64) }), nil, jose.ErrSignature},
		"payload":                {josetest.Resegment(good, 1, sub), nil, jose.ErrSignature},
		"header":                 {josetest.Resegment(good, 0, header), nil, jose.ErrSignature},
		"another key's":          {josetest.NewKey("ES256", "ec-1").Sign(nil, goodBody), nil, jose.ErrSignature},
		"unknown kid":            {josetest.NewKey("ES256", "ec-2").Sign(nil, goodBody), nil, jose.ErrNoKey},
		"another algorithm":      {ecKey.Sign(map[string]any{"alg": "RS256"}, goodBody), nil, jose.ErrNoKey},
		"the payload's type":     {ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `{"sub":1}`), nil, jose.ErrToken},
		"signed, yet not listed": {ecKey.Sign(map[string]any{"alg": "ES384"}, goodBody), []string{"ES256"}, jose.ErrToken},
	} {
		t.Run("SEC-01 "+name, func(t *testing.T) {
			if tc.want == nil {
				if err := verify(t, tc.compact, ecKey, tc.algs...); err != nil {
					t.Error(err)
				}
				return
			}
			token, err := jose.Parse(tc.compact, limit)
			if err != nil {
				t.Fatal(err)
			}
			if tc.algs == nil {
				tc.algs = jose.DefaultAlgs()
			}
			var claims struct {
				Sub string `json:"sub"`
			}
			if err := token.Verify(t.Context(), ecKey, tc.algs, &claims); !errors.Is(err, tc.want) || claims.Sub != "" {
				t.Errorf("Verify: %v (sub %q), want %v", err, claims.Sub, tc.want)
			}
		})
	}
}

// A KeySet that pays no heed to the algorithm must not get its way.
func TestSEC_01_KindOfKey(t *testing.T) {
	keys := map[string]josetest.Key{}
	for _, alg := range jose.DefaultAlgs() {
		keys[alg] = josetest.NewKey(alg, "k")
	}
	for signed, by := range keys {
		for claimed := range keys {
			name := "SEC-01 key of " + signed + " for " + claimed
			t.Run(name, func(t *testing.T) {
				careless := keyFunc(func(context.Context, string, string) (jose.PublicKey, error) {
					return jose.PublicKey{KID: "k", Alg: claimed, Key: by.Private.Public()}, nil
				})
				err := verify(t, by.Sign(map[string]any{"alg": claimed}, goodBody), careless)
				if signed == claimed && err != nil || signed != claimed && !errors.Is(err, jose.ErrSignature) {
					t.Errorf("Verify: %v", err)
				}
			})
		}
	}
	t.Run("SEC-01 no key at all", func(t *testing.T) {
		none := keyFunc(func(context.Context, string, string) (jose.PublicKey, error) { return jose.PublicKey{}, nil })
		if err := verify(t, ecKey.Sign(nil, goodBody), none); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("Verify: %v, want ErrSignature", err)
		}
	})
	t.Run("SEC-01 a symmetric key", func(t *testing.T) {
		secret := keyFunc(func(context.Context, string, string) (jose.PublicKey, error) {
			return jose.PublicKey{KID: "ec-1", Alg: "ES256", Key: []byte("secret")}, nil
		})
		if err := verify(t, ecKey.Sign(nil, goodBody), secret); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("Verify: %v, want ErrSignature", err)
		}
	})
}

func TestErrorsOfTheKeySetArePassedOn(t *testing.T) {
	own := errors.New("own")
	for _, want := range []error{jose.ErrNoKey, jose.ErrKeySource, own} {
		failing := keyFunc(func(context.Context, string, string) (jose.PublicKey, error) { return ecKey.Public(), want })
		if err := verify(t, ecKey.Sign(nil, goodBody), failing); !errors.Is(err, want) {
			t.Errorf("Verify: %v, want %v", err, want)
		}
	}
}

func TestUnverified(t *testing.T) {
	token, err := jose.Parse(ecKey.Sign(nil, goodBody), limit)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	if err := token.Unverified(&claims); err != nil || claims.Sub != "bob" {
		t.Errorf("Unverified: %q, %v", claims.Sub, err)
	}
	var wrong struct {
		Sub int `json:"sub"`
	}
	if err := token.Unverified(&wrong); !errors.Is(err, jose.ErrToken) {
		t.Errorf("Unverified: %v, want ErrToken", err)
	}
}
