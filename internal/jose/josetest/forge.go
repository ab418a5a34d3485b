package josetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// Key is a key of any algorithm, with nothing of internal/jose in what it
// writes: a token that passes there was made by somebody else's hand.
type Key struct {
	KID, Alg string
	Private  crypto.Signer
}

// NewKey makes a key for ES256, ES384, ES512, RS256, PS256 or EdDSA.
func NewKey(alg, kid string) Key {
	switch alg {
	case "ES256":
		return Key{kid, alg, newEC(elliptic.P256())}
	case "ES384":
		return Key{kid, alg, newEC(elliptic.P384())}
	case "ES512":
		return Key{kid, alg, newEC(elliptic.P521())}
	case "RS256", "PS256":
		return NewRSA(alg, kid, 2048)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		return Key{kid, alg, private}
	}
	panic("no key for " + alg)
}

// NewRSA makes an RSA key of so many bits.
func NewRSA(alg, kid string, bits int) Key {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	must(err)
	return Key{kid, alg, private}
}

func newEC(curve elliptic.Curve) *ecdsa.PrivateKey {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(err)
	return private
}

// Public is the key as a verifier knows it.
func (k Key) Public() jose.PublicKey {
	return jose.PublicKey{KID: k.KID, Alg: k.Alg, Key: k.Private.Public()}
}

// Key makes a Key a jose.KeySet of one key.
func (k Key) Key(_ context.Context, kid, alg string) (jose.PublicKey, error) {
	if kid != k.KID || alg != k.Alg {
		return jose.PublicKey{}, jose.ErrNoKey
	}
	return k.Public(), nil
}

// Sign makes a good token; header members are added to alg and kid or replace
// them (nil removes one). The signature is that of k.Alg whatever alg says.
func (k Key) Sign(header, payload map[string]any) string {
	all := map[string]any{"alg": k.Alg, "kid": k.KID}
	for name, value := range header {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return k.SignInput(Segments(all, payload))
}

// Raw signs a header and a payload as they are written.
func (k Key) Raw(header, payload string) string {
	return k.SignInput(encode([]byte(header)) + "." + encode([]byte(payload)))
}

// SignInput appends the signature over a text that may be anything.
func (k Key) SignInput(input string) string {
	return input + "." + encode(k.signature(input))
}

func (k Key) signature(input string) []byte {
	hash := map[string]crypto.Hash{"ES384": crypto.SHA384, "ES512": crypto.SHA512}[k.Alg]
	if hash == 0 {
		hash = crypto.SHA256
	}
	h := hash.New()
	h.Write([]byte(input))
	switch private := k.Private.(type) {
	case *ecdsa.PrivateKey:
		return ecSignature(private, h.Sum(nil))
	case *rsa.PrivateKey:
		return rsaSignature(private, h.Sum(nil), k.Alg == "PS256")
	case ed25519.PrivateKey:
		return ed25519.Sign(private, []byte(input))
	}
	panic(fmt.Sprintf("cannot sign with %T", k.Private))
}

// ecSignature is r and s of equal length (RFC 7518 §3.4).
func ecSignature(private *ecdsa.PrivateKey, sum []byte) []byte {
	r, s, err := ecdsa.Sign(rand.Reader, private, sum)
	must(err)
	size := (private.Curve.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature
}

func rsaSignature(private *rsa.PrivateKey, sum []byte, pss bool) []byte {
	var opts crypto.SignerOpts = crypto.SHA256
	if pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := private.Sign(rand.Reader, sum, opts)
	must(err)
	return signature
}

// JWK is the public key in a JWK Set, with members added, replaced or (nil)
// removed.
func (k Key) JWK(more map[string]any) map[string]any {
	all := map[string]any{"kid": k.KID, "alg": k.Alg, "use": "sig"}
	switch public := k.Private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 04 and both coordinates
		must(err)
		size := (len(point) - 1) / 2
		maps.Copy(all, map[string]any{
			"kty": "EC", "crv": public.Curve.Params().Name,
			"x": encode(point[1 : 1+size]), "y": encode(point[1+size:]),
		})
	case *rsa.PublicKey:
		maps.Copy(all, map[string]any{
			"kty": "RSA", "n": encode(public.N.Bytes()), "e": encode(big.NewInt(int64(public.E)).Bytes()),
		})
	case ed25519.PublicKey:
		maps.Copy(all, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": encode(public)})
	}
	for name, value := range more {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// JWKS is a JWK Set document of such keys.
func JWKS(keys ...map[string]any) []byte {
	if keys == nil {
		keys = []map[string]any{}
	}
	data, err := json.Marshal(map[string]any{"keys": keys})
	must(err)
	return data
}

// Resegment replaces a segment (0 header, 1 payload, 2 signature) of a token.
func Resegment(token string, i int, edit func([]byte) []byte) string {
	parts := strings.Split(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(parts[i])
	must(err)
	parts[i] = encode(edit(data))
	return strings.Join(parts, ".")
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

var (
	_ jose.KeySet  = Key{}
	_ jose.KeySet  = Keypair{}
	_ jose.Storage = (*Storage)(nil)
)
