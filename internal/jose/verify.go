package jose

import (
	"context"
	"crypto"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
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
	payload, err := jws.Verify([]byte(t.compact), jws.WithKey(jwa.SignatureAlgorithm(t.Header.Alg), key), jws.WithCompact())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err := oauth.DecodeObject(payload, v); err != nil {
		return fmt.Errorf("%w: payload: %w", ErrToken, err)
	}
	return nil
}
