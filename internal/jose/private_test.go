package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestParsePrivateKey(t *testing.T) {
	ec := func(c elliptic.Curve) crypto.Signer { k, _ := ecdsa.GenerateKey(c, rand.Reader); return k }
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	long, _ := rsa.GenerateKey(rand.Reader, 2048)
	for alg, key := range map[string]crypto.Signer{"ES256": ec(elliptic.P256()), "ES384": ec(elliptic.P384()), "EdDSA": ed, "RS256": long} {
		t.Run(alg, func(t *testing.T) {
			signer, err := jose.ParsePrivateKey(pkcs8(t, key))
			if err != nil || signer.Alg != alg || signer.KID == "" {
				t.Fatalf("ParsePrivateKey = %q %q, %v", signer.Alg, signer.KID, err)
			}
			compact, err := jose.Sign(signer, "JWT", map[string]any{"iss": "x"})
			if err != nil {
				t.Fatal(err)
			}
			token, err := jose.Parse(compact, 4096)
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			keys := jose.Set{signer.KID: {KID: signer.KID, Alg: alg, Key: key.Public()}}
			if err := token.Verify(t.Context(), keys, []string{alg}, &claims); err != nil || claims["iss"] != "x" {
				t.Errorf("Verify = %v, %v", claims, err)
			}
		})
	}
	const d = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"
	jwk := `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"` + d + `"`
	if signer, err := jose.ParsePrivateKey([]byte(jwk + `,"kid":"mine","alg":"ES256"}`)); err != nil || signer.KID != "mine" || signer.Alg != "ES256" {
		t.Errorf("a JWK: %q %q, %v", signer.KID, signer.Alg, err)
	}
	der, _ := x509.MarshalPKIXPublicKey(long.Public())
	for name, data := range map[string]string{
		"nothing":      "",
		"text":         "hello",
		"other alg":    jwk + `,"alg":"ES384"}`,
		"HMAC":         jwk + `,"alg":"HS256"}`,
		"public JWK":   strings.Replace(jwk, `,"d":"`+d+`"`, "", 1) + "}",
		"public PEM":   string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"symmetric":    `{"kty":"oct","k":"` + d + `"}`,
		"P-521":        string(pkcs8(t, ec(elliptic.P521()))),
		"a large file": strings.Repeat(" ", 64<<10) + jwk + "}",
	} {
		if _, err := jose.ParsePrivateKey([]byte(data)); err == nil || strings.Contains(err.Error(), d) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}
