// Package jose holds everything about signed tokens: the strict gate that reads
// them, signing and verification with the standard library, key files in Caddy's
// storage, JWKS and the cache of other people's key sets. Keys are read and written
// by jwx, no type of which leaves the package.
package jose

import (
	"context"
	"crypto"
	"errors"
)

// What can be wrong with a token or key set; causes are wrapped.
var (
	// ErrToken: the gate refused it.
	ErrToken = errors.New("not an acceptable JWS")
	// ErrSignature: the signature does not verify.
	ErrSignature = errors.New("the signature does not verify")
	// ErrNoKey: the key set has no such key.
	ErrNoKey = errors.New("no key with this kid and algorithm")
	// ErrKeySource: the key set could not be read; it may be temporary.
	ErrKeySource = errors.New("the key set could not be read")
)

// PublicKey is a key that verifies, for one algorithm.
type PublicKey struct {
	KID, Alg string
	Key      crypto.PublicKey
}

// Same tells whether two are one key under one name.
func (k PublicKey) Same(other PublicKey) bool {
	key, ok := k.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.KID == other.KID && key.Equal(other.Key)
}

// Signer is a key that signs.
type Signer struct {
	KID, Alg string
	Key      crypto.Signer
}

// KeySet finds the key for a kid and algorithm. ErrNoKey: there is none; any
// other error: it could not be found out. Implementations may be called
// concurrently.
type KeySet interface {
	Key(ctx context.Context, kid, alg string) (PublicKey, error)
}

// DefaultAlgs are the algorithms that are accepted of others: asymmetric ones
// alone (RFC 8725 §3.1).
func DefaultAlgs() []string { return []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} }
