package jose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Sign makes a compact JWS with typ and kid over claims as JSON.
func (r *Ring) Sign(ctx context.Context, typ string, claims any) (string, error) {
	k, err := r.current(ctx)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	for name, value := range map[string]string{jws.TypeKey: typ, jws.KeyIDKey: k.kid} {
		if err := headers.Set(name, value); err != nil {
			return "", err
		}
	}
	compact, err := jws.Sign(payload, jws.WithKey(jwa.SignatureAlgorithm(k.alg), k.signer, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return string(compact), nil
}

// Alg is the algorithm that new keys of the ring sign with.
func (r *Ring) Alg() string { return r.cfg.Alg }

// Public lists the keys to publish, newest first; also those whose time to sign
// has not come.
func (r *Ring) Public(ctx context.Context) ([]PublicKey, error) {
	if _, err := r.current(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []PublicKey
	for _, k := range r.keys {
		if k.signer != nil && r.alive(k, r.cfg.Now()) {
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
	k, err := r.find(ctx, func(k *ringKey) bool { return k.kid == kid && k.alg == alg && k.signer != nil })
	if err != nil {
		return PublicKey{}, err
	}
	return k.public(), nil
}

// Signer gives the current private key, for a library that signs by itself.
func (r *Ring) Signer(ctx context.Context) (Signer, error) {
	k, err := r.current(ctx)
	if err != nil {
		return Signer{}, err
	}
	return Signer{KID: k.kid, Alg: k.alg, Key: k.signer}, nil
}

// Current gives the secret to seal with. The id is the first four bytes of its
// SHA-256.
func (r *Ring) Current(ctx context.Context) (id [4]byte, key [32]byte, err error) {
	k, err := r.current(ctx)
	if err != nil {
		return id, key, err
	}
	return k.id(), k.secret, nil
}

// Find gives the secret with an id. Absence is no error.
func (r *Ring) Find(ctx context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	k, err := r.find(ctx, func(k *ringKey) bool { return k.signer == nil && k.id() == id })
	switch {
	case err == nil:
		return k.secret, true, nil
	case errors.Is(err, ErrNoKey):
		return key, false, nil
	}
	return key, false, err
}

// find looks for a live key; for an unknown one it looks into storage again,
// but not at every request with an invented kid.
func (r *Ring) find(ctx context.Context, match func(*ringKey) bool) (*ringKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.match(match); k != nil {
		return k, nil
	}
	if !r.listed.IsZero() && r.cfg.Now().Sub(r.listed) < relistUnknown {
		return nil, ErrNoKey
	}
	if err := r.list(ctx); err != nil {
		return nil, err
	}
	if k := r.match(match); k != nil {
		return k, nil
	}
	return nil, ErrNoKey
}

func (r *Ring) match(match func(*ringKey) bool) *ringKey {
	for _, k := range r.keys {
		if match(k) && r.alive(k, r.cfg.Now()) {
			return k
		}
	}
	return nil
}
