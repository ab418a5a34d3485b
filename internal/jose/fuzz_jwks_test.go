package jose_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// FuzzParseJWKS: whatever a stranger's key set is, it is an error or a bounded
// set of public keys that are strong, never a panic.
func FuzzParseJWKS(f *testing.F) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		f.Add(josetest.JWKS(josetest.NewKey(alg, "k").JWK(nil)))
	}
	for _, text := range []string{
		`{"keys":[]}`, `{"keys":null}`, `[]`, `{"keys":{"a":1}}`, `{"keys":[{"kty":"oct","k":"AA"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"},{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := jose.ParseJWKS(data)
		if err != nil {
			return
		}
		if len(set) > 2*64 {
			t.Errorf("%d names", len(set))
		}
		for _, key := range set {
			switch k := key.Key.(type) {
			case *ecdsa.PublicKey, ed25519.PublicKey:
			case *rsa.PublicKey:
				if n := k.N.BitLen(); n < 2048 || n > 4096 || k.E != 65537 {
					t.Errorf("RSA of %d bits, e %d", n, k.E)
				}
			default:
				t.Errorf("%T", k)
			}
		}
	})
}
