package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
)

// secretKeys are the Keys of a secret that somebody else holds: what is sealed
// with them can be read only while that somebody shows the secret again.
type secretKeys struct {
	id  [4]byte
	key [32]byte
}

// FromSecret derives the key of one purpose from a secret (RFC 5869). The secret
// must be as long as a key, and random: there is no stretching.
func FromSecret(secret, purpose string) (Keys, error) {
	raw, err := hkdf.Key(sha256.New, []byte(secret), nil, "caddy-uma "+purpose, 32)
	if err != nil {
		return nil, err
	}
	k := secretKeys{key: [32]byte(raw)}
	sum := sha256.Sum256(raw)
	copy(k.id[:], sum[:])
	return k, nil
}

// Current implements Keys.
func (k secretKeys) Current(context.Context) (id [4]byte, key [32]byte, err error) {
	return k.id, k.key, nil
}

// Find implements Keys.
func (k secretKeys) Find(_ context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	return k.key, id == k.id, nil
}

var _ Keys = secretKeys{}
