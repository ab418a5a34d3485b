package jose_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// keysOf is the cached key set of a document.
func keysOf(document []byte) jose.KeySet {
	return jose.NewCache(jose.CacheConfig{
		Fetch: func(context.Context, string) ([]byte, error) { return document, nil },
		Now:   func() time.Time { return time.Unix(1_800_000_000, 0) },
	}).Keys("https://op.example/jwks")
}

func b64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

type members = map[string]any

func TestOD_09_KeysChosen(t *testing.T) {
	for _, alg := range jose.DefaultAlgs() {
		t.Run("OD-09 "+alg, func(t *testing.T) {
			key := josetest.NewKey(alg, "k")
			for _, more := range []members{
				nil, {"alg": nil}, {"use": nil}, {"key_ops": []string{"verify"}}, {"x": key.JWK(nil)["x"], "x5t": "AAAA", "unknown": 1},
			} {
				if err := verify(t, key.Sign(nil, goodBody), keysOf(josetest.JWKS(key.JWK(more)))); err != nil {
					t.Errorf("with %v: %v", more, err)
				}
			}
			got, err := keysOf(josetest.JWKS(key.JWK(members{"alg": nil}))).Key(t.Context(), "k", alg)
			if err != nil || got.Alg != alg || got.KID != "k" {
				t.Errorf("Key = %+v, %v", got, err)
			}
		})
	}
}

// Such a key is not used, but does not spoil the others.
func TestOD_09_KeysSkipped(t *testing.T) {
	ec := ecKey.JWK
	p384 := josetest.NewKey("ES384", "ec-1")
	rsaKey := josetest.NewKey("RS256", "ec-1")
	for name, tc := range map[string]struct {
		jwk members
		alg string
	}{
		"OD-09 use=enc":                  {ec(members{"use": "enc"}), "ES256"},
		"OD-09 use unknown":              {ec(members{"use": "SIG"}), "ES256"},
		"OD-09 key_ops encrypt":          {ec(members{"key_ops": []string{"encrypt"}}), "ES256"},
		"OD-09 key_ops empty":            {ec(members{"key_ops": []string{}}), "ES256"},
		"OD-09 key_ops sign":             {ec(members{"key_ops": []string{"sign"}}), "ES256"},
		"OD-09 unknown kty":              {ec(members{"kty": "AKP"}), "ES256"},
		"OD-09 no kty":                   {ec(members{"kty": nil}), "ES256"},
		"OD-09 wrong kty":                {ec(members{"kty": "RSA"}), "RS256"},
		"OD-09 wrong kty OKP":            {ec(members{"kty": "OKP"}), "EdDSA"},
		"OD-09 no kid":                   {ec(members{"kid": nil}), "ES256"},
		"OD-09 empty kid":                {ec(members{"kid": ""}), "ES256"},
		"OD-09 control in kid":           {ec(members{"kid": "ec-1\n"}), "ES256"},
		"OD-09 long kid":                 {ec(members{"kid": strings.Repeat("a", 256)}), "ES256"},
		"OD-09 alg of RSA":               {ec(members{"alg": "RS256"}), "RS256"},
		"OD-09 alg of another curve":     {ec(members{"alg": "ES384"}), "ES384"},
		"OD-09 alg none":                 {ec(members{"alg": "none"}), "ES256"},
		"OD-09 alg HS256":                {ec(members{"alg": "HS256"}), "ES256"},
		"OD-09 alg of encryption":        {rsaKey.JWK(members{"alg": "RSA-OAEP"}), "RS256"},
		"OD-09 alg RS512":                {rsaKey.JWK(members{"alg": "RS512"}), "RS256"},
		"OD-09 P-384 for ES256":          {p384.JWK(members{"alg": nil}), "ES256"},
		"OD-09 PS256 key for RS256":      {rsaKey.JWK(members{"alg": "PS256"}), "RS256"},
		"OD-09 RSA key for ES256":        {rsaKey.JWK(members{"alg": nil}), "ES256"},
		"SEC-04 P-521":                   {josetest.NewKey("ES512", "ec-1").JWK(members{"alg": nil}), "ES256"},
		"SEC-04 off the curve":           {ec(members{"y": ec(nil)["x"]}), "ES256"},
		"SEC-04 point at zero":           {ec(members{"x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}), "ES256"},
		"SEC-04 no y":                    {ec(members{"y": nil}), "ES256"},
		"SEC-04 long x":                  {ec(members{"x": strings.Repeat("_", 4000)}), "ES256"},
		"SEC-04 unknown curve":           {ec(members{"crv": "secp256k1"}), "ES256"},
		"SEC-04 X25519":                  {josetest.NewKey("EdDSA", "ec-1").JWK(members{"crv": "X25519"}), "EdDSA"},
		"SEC-04 Ed25519 too short":       {josetest.NewKey("EdDSA", "ec-1").JWK(members{"x": "AAAA"}), "EdDSA"},
		"SEC-04 RSA 1024":                {josetest.NewRSA("RS256", "ec-1", 1024).JWK(nil), "RS256"},
		"SEC-04 RSA 2047":                {rsaKey.JWK(members{"n": b64(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1)))}), "RS256"},
		"SEC-04 RSA 16384":               {rsaKey.JWK(members{"n": b64(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 16384), big.NewInt(1)))}), "RS256"},
		"SEC-04 RSA 4097":                {rsaKey.JWK(members{"n": b64(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 4096), big.NewInt(1)))}), "RS256"},
		"SEC-04 e=3":                     {rsaKey.JWK(members{"e": "Aw"}), "RS256"},
		"SEC-04 e=1":                     {rsaKey.JWK(members{"e": "AQ"}), "RS256"},
		"SEC-04 e of 40 bytes":           {rsaKey.JWK(members{"e": strings.Repeat("_", 54)}), "RS256"},
		"SEC-04 e = 2^64 + 65537":        {rsaKey.JWK(members{"e": b64(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(65537)))}), "RS256"},
		"SEC-04 no n":                    {rsaKey.JWK(members{"n": nil}), "RS256"},
		"SEC-04 n is no base64":          {rsaKey.JWK(members{"n": "!"}), "RS256"},
		"SEC-04 x5c instead of a key":    {members{"kid": "ec-1", "kty": "EC", "x5c": []string{"AAAA"}}, "ES256"},
		"SEC-04 x5u instead of a key":    {members{"kid": "ec-1", "kty": "EC", "x5u": "https://evil.example/"}, "ES256"},
		"SEC-04 members of another type": {ec(members{"x": 1}), "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			good := josetest.NewKeypair("good")
			neighbour := josetest.Key{KID: good.KID, Alg: "ES256", Private: good.Private}
			keys := keysOf(josetest.JWKS(tc.jwk, neighbour.JWK(nil)))
			if key, err := keys.Key(t.Context(), "ec-1", tc.alg); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("Key = %+v, %v, want ErrNoKey", key, err)
			}
			if kid, _ := tc.jwk["kid"].(string); kid != "ec-1" {
				if _, err := keys.Key(t.Context(), kid, tc.alg); !errors.Is(err, jose.ErrNoKey) {
					t.Errorf("by its kid: %v, want ErrNoKey", err)
				}
			}
			if _, err := keys.Key(t.Context(), "good", "ES256"); err != nil {
				t.Errorf("the good key beside it: %v", err)
			}
		})
	}
}

// Such a set is not used at all.
func TestSEC_04_SetsRefused(t *testing.T) {
	ec := ecKey.JWK
	many := func(n int) []byte {
		keys := make([]members, n)
		for i := range keys {
			keys[i] = ec(members{"kid": fmt.Sprint("ec-", i)})
		}
		return josetest.JWKS(keys...)
	}
	another := func(more members) []byte { return josetest.JWKS(ec(nil), ec(more)) }
	t.Run("SEC-04 64 keys", func(t *testing.T) {
		if _, err := keysOf(many(64)).Key(t.Context(), "ec-1", "ES256"); err != nil {
			t.Error(err)
		}
	})
	for name, document := range map[string][]byte{
		"65 keys":             many(65),
		"repeated kid":        another(nil),
		"private key":         another(members{"kid": "ec-2", "d": "AAAA"}),
		"private key, enc":    another(members{"kid": "ec-2", "d": "AAAA", "use": "enc"}),
		"private key, no kid": another(members{"kid": nil, "d": "AAAA"}),
		"private prime":       another(members{"kid": "ec-2", "kty": "RSA", "d": "AAAA", "p": "AAAA"}),
		"prime without d":     another(members{"kid": "ec-2", "kty": "RSA", "p": "AAAA"}),
		"CRT exponent alone":  another(members{"kid": "ec-2", "kty": "RSA", "dq": "AAAA"}),
		"other primes alone":  another(members{"kid": "ec-2", "kty": "RSA", "oth": []any{}}),
		"oct":                 josetest.JWKS(ec(nil), members{"kty": "oct", "kid": "o"}),
		"oct with k":          josetest.JWKS(ec(nil), members{"kty": "oct", "kid": "o", "k": "AAAA"}),
		"k in a public key":   another(members{"kid": "ec-2", "k": "AAAA"}),
		"repeated member":     []byte(`{"keys":[],"keys":[]}`),
		"repeated in a key":   []byte(`{"keys":[{"kty":"EC","kty":"EC"}]}`),
		"no keys":             []byte(`{}`),
		"keys null":           []byte(`{"keys":null}`),
		"keys an object":      []byte(`{"keys":{}}`),
		"Keys":                []byte(`{"Keys":[]}`),
		"a key is a string":   []byte(`{"keys":["a"]}`),
		"a key is null":       []byte(`{"keys":[null]}`),
		"a kid is a number":   another(members{"kid": 1}),
		"a list":              []byte(`[]`),
		"a bare key":          []byte(`{"kty":"EC"}`),
		"HTML":                []byte(`<!DOCTYPE html>`),
		"nothing":             nil,
		"and more":            append(josetest.JWKS(ec(nil)), 'x'),
	} {
		t.Run("SEC-04 "+name, func(t *testing.T) {
			if key, err := keysOf(document).Key(t.Context(), "ec-1", "ES256"); !errors.Is(err, jose.ErrKeySource) {
				t.Errorf("Key = %+v, %v, want ErrKeySource", key, err)
			}
		})
	}
	t.Run("SEC-04 an empty set has no key", func(t *testing.T) {
		if _, err := keysOf(josetest.JWKS()).Key(t.Context(), "ec-1", "ES256"); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("Key: %v, want ErrNoKey", err)
		}
	})
}
