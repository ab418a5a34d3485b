package rs

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Sources of a verdict, for events.
const (
	sourceLocal = "local"
	sourceCache = "cache"
)

// keyFailurePause: our own authorization server may be there again in a moment
// (DESIGN §4).
const keyFailurePause = 5 * time.Second

// maxCached bounds a token that is remembered, so that the cache is bounded in
// bytes, too. Larger ones are verified each time.
const maxCached = 4 << 10

// verifier verifies RPTs and remembers the *tokens* it has verified (never the
// decision): a hit saves the signature check and nothing else.
type verifier struct {
	s     *Server
	keys  *jose.Cache
	cache *lru.Cache[[sha256.Size]byte, *verified]
}

type verified struct {
	key    jose.PublicKey
	claims *rptClaims
}

func newVerifier(s *Server) (*verifier, error) {
	cache, err := lru.New[[sha256.Size]byte, *verified](s.cfg.Cache)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	keys := jose.NewCache(jose.CacheConfig{
		Fetch: s.fetchKeys, MaxAge: s.cfg.KeyMaxAge, Pause: s.cfg.KeyPause, Size: 4, Now: s.cfg.Now,
		FailurePause: func(error) time.Duration { return min(keyFailurePause, s.cfg.KeyPause) },
	})
	return &verifier{s: s, keys: keys, cache: cache}, nil
}

// verify gives the claims of an RPT that passes every check but that of its
// permissions. Errors are a *tokenError, or anything else if it could not be found
// out.
func (v *verifier) verify(ctx context.Context, st *state, compact string) (*rptClaims, string, error) {
	keys := v.keys.Keys(st.endpoints.keys)
	hash := sha256.Sum256([]byte(compact))
	if have, ok := v.cache.Get(hash); ok {
		if err := v.recheck(ctx, keys, have, st.learned.audience); err != nil {
			v.cache.Remove(hash)
			return have.claims, sourceCache, err
		}
		return have.claims, sourceCache, nil
	}
	fresh, err := v.open(ctx, keys, compact)
	if err != nil {
		return nil, sourceLocal, err
	}
	if err := fresh.claims.check(&v.s.cfg, st.learned.audience); err != nil {
		return fresh.claims, sourceLocal, err
	}
	if len(compact) <= maxCached {
		v.cache.Add(hash, fresh)
	}
	return fresh.claims, sourceLocal, nil
}

// recheck does all but the signature. CONFORMANCE AT-05: a remembered token
// dies when its key leaves the key set, or becomes another one.
func (v *verifier) recheck(ctx context.Context, keys jose.KeySet, have *verified, audience string) error {
	now, err := keys.Key(ctx, have.key.KID, have.key.Alg)
	if err != nil {
		return keyError(err)
	}
	if !sameKey(now.Key, have.key.Key) {
		return bad("the key is another one now")
	}
	return have.claims.check(&v.s.cfg, audience)
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// open verifies the signature and reads the claims.
func (v *verifier) open(ctx context.Context, keys jose.KeySet, compact string) (*verified, error) {
	token, err := jose.Parse(compact, maxRPT)
	if err != nil {
		return nil, &tokenError{"not an acceptable JWT", err}
	}
	if !isAccessToken(token.Header.Typ) {
		return nil, bad("has another typ than at+jwt")
	}
	var payload json.RawMessage
	if err := token.Verify(ctx, keys, jose.DefaultAlgs(), &payload); err != nil {
		return nil, keyError(err)
	}
	claims, err := v.read(payload)
	if err != nil {
		return nil, err
	}
	key, err := keys.Key(ctx, token.Header.KID, token.Header.Alg)
	if err != nil {
		return nil, keyError(err)
	}
	return &verified{key: key, claims: claims}, nil
}

func (v *verifier) read(payload []byte) (*rptClaims, error) {
	claims, all := new(rptClaims), map[string]any{}
	if err := errors.Join(oauth.DecodeObject(payload, claims), oauth.DecodeObject(payload, &all)); err != nil {
		return nil, &tokenError{"has claims of another form", err}
	}
	var dropped []string
	claims.released, dropped = released(all)
	if len(dropped) > 0 { // names may be anybody's text, so only their number is told
		v.s.cfg.Log.Warn("released claims are left out because of their characters or length",
			zap.String("iss", v.s.cfg.Issuer), zap.Int("claims", len(dropped)))
	}
	return claims, nil
}

// keyError keeps what is temporary apart from what is wrong with the token.
func keyError(err error) error {
	if errors.Is(err, jose.ErrToken) || errors.Is(err, jose.ErrSignature) || errors.Is(err, jose.ErrNoKey) ||
		errors.Is(err, oauth.ErrNotJSON) {
		return &tokenError{"does not verify", err}
	}
	return err
}
