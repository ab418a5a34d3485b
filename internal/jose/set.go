package jose

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
)

// Holder is a KeySet that also tells whether it holds a key, whatever the kid:
// certificates name none (RFC 8705 §2.2). An error says that it could not be
// found out.
type Holder interface {
	KeySet
	Holds(ctx context.Context, key crypto.PublicKey) (bool, error)
}

// Set is a JWK Set that was read before.
type Set map[string]PublicKey

// ParseJWKS reads a stranger's JWK Set strictly, as Cache does. It may turn out
// to be empty, as keys that are of no use here are left out.
func ParseJWKS(data []byte) (Set, error) {
	keys, err := parseJWKS(data)
	if err != nil {
		return nil, err
	}
	return index(keys), nil
}

// index finds keys by kid and by the hash of the key itself.
func index(keys []PublicKey) Set {
	set := make(Set, 2*len(keys))
	for _, key := range keys {
		if key.KID != "" {
			set[key.KID] = key
		}
		set[hashName(key.Key)] = key
	}
	return set
}

// hashName is the name of a key by its hash. It begins with a zero byte, so no
// kid can be equal to it.
func hashName(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "\x00"
	}
	sum := sha256.Sum256(der)
	return "\x00" + string(sum[:])
}

// Key implements KeySet.
func (s Set) Key(_ context.Context, kid, alg string) (PublicKey, error) {
	key, found := s[kid]
	if !found || !isKID(kid) {
		return PublicKey{}, ErrNoKey
	}
	return key.forAlg(alg)
}

// Holds implements Holder.
func (s Set) Holds(_ context.Context, key crypto.PublicKey) (bool, error) {
	_, found := s[hashName(key)]
	return found, nil
}

// Named is how many of its keys have a kid: those that verify tokens.
func (s Set) Named() int {
	n := 0
	for name := range s {
		if isKID(name) {
			n++
		}
	}
	return n
}

// forAlg is the key for one algorithm, if it is meant for it.
func (k PublicKey) forAlg(alg string) (PublicKey, error) {
	if k.Alg != "" && k.Alg != alg || !fits(k.Key, alg) {
		return PublicKey{}, ErrNoKey
	}
	k.Alg = alg
	return k, nil
}

// Holds implements Holder. A key that is not there makes the set be read again,
// within the pause.
func (r remoteSet) Holds(ctx context.Context, key crypto.PublicKey) (bool, error) {
	_, err := r.lookup(ctx, hashName(key))
	if errors.Is(err, ErrNoKey) {
		return false, nil
	}
	return err == nil, err
}

var (
	_ Holder = Set(nil)
	_ Holder = remoteSet{}
)
