// Package josetest is test support: a storage for key files in memory, and a
// forge that makes tokens which nobody should accept.
package josetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// Keypair is an ES256 key with a kid.
type Keypair struct {
	KID     string
	Private *ecdsa.PrivateKey
}

// NewKeypair makes a key.
func NewKeypair(kid string) Keypair {
	return Keypair{kid, newEC(elliptic.P256())}
}

// Public is the key as a verifier knows it.
func (k Keypair) Public() jose.PublicKey {
	return jose.PublicKey{KID: k.KID, Alg: "ES256", Key: &k.Private.PublicKey}
}

// Key makes a Keypair a jose.KeySet of one key.
func (k Keypair) Key(_ context.Context, kid, alg string) (jose.PublicKey, error) {
	if kid != k.KID || alg != "ES256" {
		return jose.PublicKey{}, jose.ErrNoKey
	}
	return k.Public(), nil
}

// Sign makes a good ES256 token; header members are added to alg and kid or
// replace them (nil removes one).
func (k Keypair) Sign(header, payload map[string]any) string {
	return Key{k.KID, "ES256", k.Private}.Sign(header, payload)
}

// HMAC makes an HS256 token whose secret is the public key: algorithm
// confusion.
func (k Keypair) HMAC(header, payload map[string]any) string {
	secret, err := x509.MarshalPKIXPublicKey(crypto.PublicKey(&k.Private.PublicKey))
	must(err)
	header = k.header(header)
	header["alg"] = "HS256"
	input := Segments(header, payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// None makes a token with alg none and an empty or any signature.
func (k Keypair) None(header, payload map[string]any, signature string) string {
	header = k.header(header)
	header["alg"] = "none"
	return Segments(header, payload) + "." + signature
}

func (k Keypair) header(more map[string]any) map[string]any {
	header := map[string]any{"alg": "ES256", "kid": k.KID}
	for name, value := range more {
		header[name] = value
		if value == nil {
			delete(header, name)
		}
	}
	return header
}

// Segments gives the first two segments of a token.
func Segments(header, payload map[string]any) string {
	return segment(header) + "." + segment(payload)
}

func segment(v any) string {
	data, err := json.Marshal(v)
	must(err)
	return encode(data)
}
