package jose

import (
	"context"
	"crypto"
	"fmt"
	"slices"
)

// Verify checks the signature with a key of keys and one of algs, and decodes
// the verified payload strictly into v. The errors wrap ErrToken, ErrSignature,
// ErrNoKey or ErrKeySource.
func (t *Token) Verify(ctx context.Context, keys KeySet, algs []string, v any) error {
	if !slices.Contains(algs, t.Header.Alg) {
		return refuse("the algorithm is not accepted")
	}
	key, err := keys.Key(ctx, t.Header.KID, t.Header.Alg)
	if err != nil {
		return err
	}
	return t.verify(key.Key, v)
}

func (t *Token) verify(key crypto.PublicKey, v any) error {
	if !fits(key, t.Header.Alg) {
		return fmt.Errorf("%w: the key does not fit the algorithm", ErrSignature)
	}
	if !verifies(key, t.Header.Alg, []byte(t.input), t.signature) {
		return ErrSignature
	}
	return t.Unverified(v)
}
