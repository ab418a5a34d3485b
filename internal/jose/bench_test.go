package jose_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

var benchClaims = map[string]any{
	"iss": "https://as.example", "sub": "u-aaaaaaaaaaaaaaaaaaaaaa", "aud": "https://rs.example", "exp": 1800000300,
	"permissions": []any{map[string]any{"resource_id": "AAAAAAAAAAAAAAAAAAAAAA", "resource_scopes": []string{"read", "write"}}},
}

// BenchmarkSign compares a ring's Sign with the bare signature.
func BenchmarkSign(b *testing.B) {
	r, err := jose.NewRing(ringConfig(josetest.NewStorage(), newHand().Now))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ring", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Sign(b.Context(), "at+jwt", benchClaims); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		sum := sha256.Sum256([]byte(strings.Repeat("a", 400)))
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, ecPair.Private, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerify compares the gate and Verify with the bare signature check.
func BenchmarkVerify(b *testing.B) {
	compact := ecKey.Sign(nil, benchClaims)
	b.Run("gate and verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			token, err := jose.Parse(compact, limit)
			if err != nil {
				b.Fatal(err)
			}
			var claims map[string]any
			if err := token.Verify(b.Context(), ecKey, jose.DefaultAlgs(), &claims); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		sum := sha256.Sum256([]byte(compact))
		signature, err := ecdsa.SignASN1(rand.Reader, ecPair.Private, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if sum := sha256.Sum256([]byte(compact)); !ecdsa.VerifyASN1(&ecPair.Private.PublicKey, sum[:], signature) {
				b.Fatal("does not verify")
			}
		}
	})
}
