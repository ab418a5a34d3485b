package rs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Sources of a verdict, for events.
const (
	sourceLocal         = "local"
	sourceCache         = "cache"
	sourceIntrospection = "introspection"
)

// keyFailurePause: our own authorization server may be there again in a moment
// (DESIGN §4).
const keyFailurePause = 5 * time.Second

// verifier finds out what RPTs say and remembers the *tokens* (never the decision):
// a hit saves the signature check, or the question to the authorization server, and
// nothing else.
type verifier struct {
	s      *Server
	keys   *jose.Cache
	cache  *tokenCache
	shared signingKeys
	asker  *asker
	// revocations tells which JWTs were taken back.
	revocations *revocations
}

func newVerifier(s *Server) (*verifier, error) {
	cache, err := newTokenCache(s.cfg.Cache)
	if err != nil {
		return nil, err
	}
	v := &verifier{s: s, cache: cache}
	v.keys = jose.NewCache(jose.CacheConfig{
		Fetch: s.fetchKeys, MaxAge: s.cfg.KeyMaxAge, Pause: s.cfg.KeyPause, Size: 4, Now: s.cfg.Now,
		FailurePause: func(error) time.Duration { return min(keyFailurePause, s.cfg.KeyPause) },
	})
	if v.asker, err = newAsker(v); err != nil {
		return nil, err
	}
	v.revocations, err = newRevocations(s)
	return v, err
}

// verify gives the claims of an RPT that passes every check but that of its
// permissions. Errors are a *tokenError, a *limitError, or anything else if it could
// not be found out. CONFORMANCE UF-27: JWTs are checked here, or like opaque tokens
// by introspection; the checks of what they say are the same ones.
func (v *verifier) verify(ctx context.Context, st *state, p *presented) (*rptClaims, string, error) {
	q := question{token: p.token, source: p.to.Source, hash: hashToken(p.token)}
	if v.s.cfg.Introspect || !isCompactJWS(p.token) {
		return v.asker.verify(ctx, st, q)
	}
	return v.local(ctx, st, q)
}

// isCompactJWS tells what can only be a JWT (RFC 7515 §7.1). A token of the same form
// that is none does not verify.
func isCompactJWS(token string) bool { return strings.Count(token, ".") == 2 }

// local checks a JWT by the keys and the status lists of the authorization server.
// Of one that stands on no list only the authorization server knows whether it was
// taken back.
func (v *verifier) local(ctx context.Context, st *state, q question) (*rptClaims, string, error) {
	t, source, err := v.signed(ctx, st, q.token, q.hash)
	switch {
	case err != nil:
		return t.saying(), source, err
	case t.key == nil || t.claims.Status.List == nil:
		return v.asker.verify(ctx, st, q)
	}
	err = v.revocations.check(ctx, st.keys, t.claims.Status.List)
	if _, ok := errors.AsType[*tokenError](err); ok {
		v.cache.remove(q.hash, t)
	}
	return &t.claims, source, err
}

// saying gives the claims; nil for no token.
func (t *verified) saying() *rptClaims {
	if t == nil {
		return nil
	}
	return &t.claims
}

// signed gives a JWT that passes every check of what it says. One that was asked
// about is remembered without a key.
func (v *verifier) signed(ctx context.Context, st *state, compact string, hash tokenHash) (*verified, string, error) {
	if have := v.cache.get(hash); have != nil {
		if have.key == nil {
			return have, sourceCache, nil
		}
		if err := v.recheck(ctx, st, have); err != nil {
			v.cache.remove(hash, have)
			return have, sourceCache, err
		}
		return have, sourceCache, nil
	}
	fresh, err := v.open(ctx, st.keys, compact)
	if err != nil {
		return nil, sourceLocal, err
	}
	if err := fresh.claims.check(&v.s.cfg, st.learned.audience); err != nil {
		return fresh, sourceLocal, err
	}
	v.cache.add(hash, fresh)
	return fresh, sourceLocal, nil
}

// recheck does all but the signature. CONFORMANCE AT-05: a remembered token
// dies when its key leaves the key set, or becomes another one.
func (v *verifier) recheck(ctx context.Context, st *state, have *verified) error {
	now, err := st.keys.Key(ctx, have.key.kid, have.key.alg)
	if err != nil {
		return keyError(err)
	}
	if !have.key.is(now.Key) {
		return bad("the key is another one now")
	}
	return have.claims.check(&v.s.cfg, st.learned.audience)
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
	used := &usedKey{KeySet: keys}
	if err := token.Verify(ctx, used, jose.DefaultAlgs(), &payload); err != nil {
		return nil, keyError(err)
	}
	t := &verified{key: v.shared.shared(used.key)}
	return t, v.readJWT(payload, &t.claims)
}

// usedKey notes the key that a signature was checked with.
type usedKey struct {
	jose.KeySet
	key jose.PublicKey
}

// Key implements jose.KeySet.
func (u *usedKey) Key(ctx context.Context, kid, alg string) (key jose.PublicKey, err error) {
	u.key, err = u.KeySet.Key(ctx, kid, alg)
	return u.key, err
}

// readJWT demands besides what names the token (RFC 9068 §2.2: jti is REQUIRED).
func (v *verifier) readJWT(payload []byte, claims *rptClaims) error {
	named, err := v.read(payload, claims)
	if err == nil && !named {
		return bad("lacks jti")
	}
	return err
}

// keyError keeps what is temporary apart from what is wrong with the token.
func keyError(err error) error {
	if errors.Is(err, jose.ErrToken) || errors.Is(err, jose.ErrSignature) || errors.Is(err, jose.ErrNoKey) ||
		errors.Is(err, oauth.ErrNotJSON) {
		return &tokenError{"does not verify", err}
	}
	return err
}
