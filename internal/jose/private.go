package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// maxPrivateKey is far more than a private key needs.
const maxPrivateKey = 64 << 10

// ParsePrivateKey reads a private key to sign with, as a JWK or in PEM. Its KID is
// that of the JWK, else its thumbprint; an alg of the JWK must fit. Errors never
// hold anything of the key.
func ParsePrivateKey(data []byte) (Signer, error) {
	if len(data) > maxPrivateKey {
		return Signer{}, errors.New("the file is too large for a private key")
	}
	key, err := jwk.ParseKey(data, jwk.WithPEM(!bytes.HasPrefix(bytes.TrimSpace(data), []byte("{"))))
	if err != nil {
		return Signer{}, errors.New("it is neither a JWK nor a private key in PEM")
	}
	var raw any
	if err := key.Raw(&raw); err != nil {
		return Signer{}, errors.New("the key cannot be used")
	}
	signer, ok := raw.(crypto.Signer)
	if !ok || !strong(signer.Public()) {
		return Signer{}, errors.New("it is no private key of RSA (2048 to 4096 bits), P-256, P-384 or Ed25519")
	}
	alg := key.Algorithm().String()
	if alg == "" {
		alg = usualAlg(signer.Public())
	}
	if !fits(signer.Public(), alg) {
		return Signer{}, errors.New("the key does not fit its alg")
	}
	kid := key.KeyID()
	if kid == "" {
		if kid, err = thumbprint(signer.Public()); err != nil {
			return Signer{}, errors.New("the key cannot be used")
		}
	}
	return Signer{KID: kid, Alg: alg, Key: signer}, nil
}

// usualAlg is the algorithm of a key that names none.
func usualAlg(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return "ES384"
		}
		return "ES256"
	case ed25519.PublicKey:
		return "EdDSA"
	case *rsa.PublicKey:
		return "RS256" // what every provider takes
	}
	return ""
}
