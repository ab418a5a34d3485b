package clientauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// decoy has a key for each algorithm, by which nothing was ever signed: the
// private halves are thrown away.
type decoy map[string]crypto.PublicKey

func newDecoy() (decoy, error) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	modulus := newModulus()
	return decoy{
		"ES256": &p256.PublicKey, "ES384": &p384.PublicKey, "EdDSA": edwards, "RS256": modulus, "PS256": modulus,
	}, nil
}

// newModulus is an odd number of 2048 bits. It need not be a product of two
// primes to be calculated with, and making one would take a tenth of a second.
func newModulus() *rsa.PublicKey {
	b := make([]byte, 256)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	b[0] |= 0x80
	b[len(b)-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(b), E: 65537}
}

// Key implements jose.KeySet: each kid has a key.
func (d decoy) Key(_ context.Context, kid, alg string) (jose.PublicKey, error) {
	return jose.PublicKey{KID: kid, Alg: alg, Key: d[alg]}, nil
}

var _ jose.KeySet = decoy(nil)
