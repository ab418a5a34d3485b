package jose_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// benchRPT is an RPT as internal/uma makes it.
var benchRPT = map[string]any{
	"iss": "https://as.example.com", "sub": "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZg",
	"aud": "https://photos.example.com", "client_id": "https://client.example.net/",
	"iat": int64(1800000000), "exp": int64(1800000300), "jti": "Q0FGRUJBQkVDQUZFQkFCRQ.1",
	"decision_id": "d-01J9ZX8Q6T7M5R4K3W2V1N0P9B",
	"permissions": []oauth.Permission{{
		ResourceID: "Zm9vYmFyYmF6cXV4MTIzNA", ResourceScopes: []string{"read", "write"}, Expires: 1800000300,
	}},
	"status": map[string]any{"status_list": map[string]any{"idx": 123456, "uri": "https://as.example.com/status/2027-01-15T08"}},
	"email":  "bob@example.org",
}

// benchClaims is how a resource server reads it.
type benchClaims struct {
	Issuer      string             `json:"iss"`
	Subject     string             `json:"sub"`
	Audience    jose.Audience      `json:"aud"`
	Expires     jose.NumericDate   `json:"exp"`
	IssuedAt    jose.NumericDate   `json:"iat"`
	NotBefore   jose.NumericDate   `json:"nbf"`
	ID          string             `json:"jti"`
	ClientID    string             `json:"client_id"`
	DecisionID  string             `json:"decision_id"`
	Confirm     map[string]any     `json:"cnf"`
	Permissions []oauth.Permission `json:"permissions"`
}

// rawVerify is the least that must be done: the hash and the bare check.
func rawVerify(key josetest.Key, compact string) func() bool {
	input, signature := cut(compact)
	switch public := key.Private.Public().(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(input)
		der, err := ecdsa.SignASN1(rand.Reader, key.Private.(*ecdsa.PrivateKey), sum[:])
		must(err)
		return func() bool {
			sum := sha256.Sum256(input)
			return ecdsa.VerifyASN1(public, sum[:], der)
		}
	case ed25519.PublicKey:
		return func() bool { return ed25519.Verify(public, input, signature) }
	case *rsa.PublicKey:
		return func() bool {
			sum := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature) == nil
		}
	}
	panic("no such key")
}

func cut(compact string) (input, signature []byte) {
	i := strings.LastIndexByte(compact, '.')
	signature, err := base64.RawURLEncoding.DecodeString(compact[i+1:])
	must(err)
	return []byte(compact[:i]), signature
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// wholeVerify is what a resource server does: the gate, the look-up of the key in
// a cache, the signature and the claims.
func wholeVerify(ctx context.Context, key josetest.Key, compact string) func() bool {
	cache := jose.NewCache(jose.CacheConfig{
		Fetch: func(context.Context, string) ([]byte, error) { return josetest.JWKS(key.JWK(nil)), nil },
		Now:   func() time.Time { return time.Unix(1800000000, 0) },
	})
	const uri = "https://as.example.com/jwks"
	return func() bool {
		token, err := jose.Parse(compact, limit)
		if err != nil {
			return false
		}
		var claims benchClaims
		err = token.Verify(ctx, cache.Keys(uri), jose.DefaultAlgs(), &claims)
		return err == nil && claims.Issuer != ""
	}
}

// jwxVerify is what a user of the library does, without any gate.
func jwxVerify(key josetest.Key, compact string) func() bool {
	return func() bool {
		payload, err := jws.Verify([]byte(compact), jws.WithKey(jwa.SignatureAlgorithm(key.Alg), key.Private.Public()), jws.WithCompact())
		var claims benchClaims
		return err == nil && json.Unmarshal(payload, &claims) == nil && claims.Issuer != ""
	}
}

func benchmarkVerify(b *testing.B, alg string) {
	b.Helper()
	key := josetest.NewKey(alg, "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaQ")
	compact := key.Sign(map[string]any{"typ": "at+jwt"}, benchRPT)
	for _, way := range []struct {
		name string
		do   func() bool
	}{
		{"raw", rawVerify(key, compact)},
		{"thin", wholeVerify(b.Context(), key, compact)},
		{"jwx", jwxVerify(key, compact)},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !way.do() {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkVerifyES256(b *testing.B) { benchmarkVerify(b, "ES256") }
func BenchmarkVerifyEdDSA(b *testing.B) { benchmarkVerify(b, "EdDSA") }
func BenchmarkVerifyRS256(b *testing.B) { benchmarkVerify(b, "RS256") }

func BenchmarkSignES256(b *testing.B) { benchmarkSign(b, "ES256") }
func BenchmarkSignEdDSA(b *testing.B) { benchmarkSign(b, "EdDSA") }

// benchmarkSign compares a ring's Sign with the bare signature over as much.
func benchmarkSign(b *testing.B, alg string) {
	b.Helper()
	cfg := ringConfig(josetest.NewStorage(), newHand().Now)
	cfg.Alg = alg
	ring, err := jose.NewRing(cfg)
	must(err)
	compact, err := ring.Sign(b.Context(), "at+jwt", benchRPT)
	must(err)
	signer, err := ring.Signer(b.Context())
	must(err)
	input, _ := cut(compact)
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"raw", func() error { return rawSign(signer.Key, input) }},
		{"thin", func() error {
			_, err := ring.Sign(b.Context(), "at+jwt", benchRPT)
			return err
		}},
		{"jwx", func() error {
			_, err := jwxSign(signer, benchRPT)
			return err
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(way.do())
			}
		})
	}
}

func rawSign(key crypto.Signer, input []byte) error {
	if private, ok := key.(ed25519.PrivateKey); ok {
		ed25519.Sign(private, input)
		return nil
	}
	sum := sha256.Sum256(input)
	_, err := ecdsa.SignASN1(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
	return err
}

// jwxSign is what a user of the library does.
func jwxSign(key jose.Signer, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	must(err)
	headers := jws.NewHeaders()
	must(headers.Set(jws.TypeKey, "at+jwt"))
	must(headers.Set(jws.KeyIDKey, key.KID))
	compact, err := jws.Sign(payload, jws.WithKey(jwa.SignatureAlgorithm(key.Alg), key.Key, jws.WithProtectedHeaders(headers)))
	return string(compact), err
}
