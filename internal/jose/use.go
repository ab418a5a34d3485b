package jose

import (
	"context"
	"errors"
	"fmt"
)

// Sign makes a compact JWS with typ and kid over claims as JSON.
func (r *Ring) Sign(ctx context.Context, typ string, claims any) (string, error) {
	k, err := r.signing(ctx)
	if err != nil {
		return "", err
	}
	return Sign(Signer{KID: k.kid, Alg: k.alg, Key: k.signer}, typ, claims)
}

// Alg is the algorithm that new keys of the ring sign with.
func (r *Ring) Alg() string { return r.cfg.Alg }

// Public lists the keys to publish, newest first; also those whose time to sign
// has not come. Whoever asks may have met a key that another node just made, and will
// not ask again soon: what is known must not be older than relistUnknown.
func (r *Ring) Public(ctx context.Context) ([]PublicKey, error) {
	if _, err := r.signing(ctx); err != nil {
		return nil, err
	}
	r.lookAround(ctx)
	now := r.life()
	var keys []PublicKey
	for _, k := range now.keys {
		if now.alive(k) {
			keys = append(keys, k.public())
		}
	}
	return keys, nil
}

func (k *ringKey) public() PublicKey {
	return PublicKey{KID: k.kid, Alg: k.alg, Key: k.signer.Public()}
}

// Key makes a Ring the KeySet of its own tokens.
func (r *Ring) Key(ctx context.Context, kid, alg string) (PublicKey, error) {
	k, err := r.find(ctx, func(k *ringKey) bool { return k.kid == kid && k.alg == alg && !k.isSecret() })
	if err != nil {
		return PublicKey{}, err
	}
	return k.public(), nil
}

// signing is the current key of a ring of signing keys.
func (r *Ring) signing(ctx context.Context) (*ringKey, error) {
	if r.isSecret() {
		return nil, fmt.Errorf("keys '%s' are secrets and sign nothing", r.cfg.Purpose)
	}
	return r.current(ctx)
}

// Signer gives the current private key, for a library that signs by itself.
func (r *Ring) Signer(ctx context.Context) (Signer, error) {
	k, err := r.signing(ctx)
	if err != nil {
		return Signer{}, err
	}
	return Signer{KID: k.kid, Alg: k.alg, Key: k.signer}, nil
}

// Current gives the secret to seal with. The id is the first four bytes of its
// SHA-256.
func (r *Ring) Current(ctx context.Context) (id [4]byte, key [32]byte, err error) {
	if !r.isSecret() { // else everything would be sealed with a key of zeroes
		return id, key, fmt.Errorf("keys '%s' sign and seal nothing", r.cfg.Purpose)
	}
	k, err := r.current(ctx)
	if err != nil {
		return id, key, err
	}
	return k.id(), k.secret, nil
}

// Find gives the secret with an id. Absence is no error.
func (r *Ring) Find(ctx context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	k, err := r.find(ctx, func(k *ringKey) bool { return k.isSecret() && k.id() == id })
	switch {
	case err == nil:
		return k.secret, true, nil
	case errors.Is(err, ErrNoKey):
		return key, false, nil
	}
	return key, false, err
}
