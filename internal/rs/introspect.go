package rs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
)

const (
	// askTime bounds one question.
	askTime = 10 * time.Second
	// maxInactive is how many tokens are remembered that the authorization server
	// called inactive.
	maxInactive = 10_000
	// inactiveTime bounds how long that is remembered, whatever Revocation is: a grant
	// may be new at one node of the authorization server and unknown at another.
	inactiveTime = 10 * time.Second
)

// asker asks the authorization server about RPTs (UMA Fed §5.1, RFC 7662). Its answer
// describes the token and is used again for a short time; what that opens is decided
// for each request anew. An answer belongs to the token that the question held and is
// kept by that token's hash alone: nothing in an answer, signed or not, names the
// token (RFC 9701 §5), so only the HTTP exchange binds the two.
type asker struct {
	s        *Server
	v        *verifier
	inactive *lru.Cache[tokenHash, time.Time] // since when
	flights  singleflight.Group
	slots    slots
	pause    pause
	warned   pause
}

// question is a token with who presents it.
type question struct {
	token, source string
	hash          tokenHash
}

func newAsker(v *verifier) (*asker, error) {
	inactive, err := lru.New[tokenHash, time.Time](min(maxInactive, v.s.cfg.Cache))
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &asker{s: v.s, v: v, inactive: inactive, pause: pause{length: failurePause}, warned: pause{length: v.s.cfg.Revocation}}, nil
}

var errInactive = bad("is not active")

// verify gives what the authorization server says of a token, if that passes every
// check but that of its permissions.
func (a *asker) verify(ctx context.Context, st *state, q question) (*rptClaims, string, error) {
	if !isBearerToken(q.token) {
		return nil, sourceIntrospection, bad("not the form of a token")
	}
	if st.endpoints.introspection == "" {
		return nil, sourceIntrospection, a.cannot(q)
	}
	t, source := a.v.cache.get(q.hash), sourceCache
	switch now := a.s.cfg.Now(); {
	case t.fresh(now, a.s.cfg.Revocation):
	case !t.wasAsked() && a.knownInactive(q.hash, now):
		return nil, sourceCache, errInactive
	default:
		answer, err := a.ask(ctx, st, q)
		if err != nil && !a.goesOn(t, err) {
			return nil, sourceIntrospection, err
		}
		if err == nil {
			t, source = answer, sourceIntrospection
		}
	}
	return &t.claims, source, t.claims.check(&a.s.cfg, st.learned.audience)
}

// cannot is for an authorization server without introspection. What is no JWT is no
// RPT of its; whether a JWT was taken back, if we come to ask, nobody can tell.
func (a *asker) cannot(q question) error {
	if a.s.cfg.Introspect || isCompactJWS(q.token) {
		return errors.New("RPTs are to be asked about, and the authorization server's metadata lacks introspection_endpoint")
	}
	return bad("not an acceptable JWT")
}

// wasAsked: a JWT may be remembered that was verified here and not asked about.
func (t *verified) wasAsked() bool { return t != nil && t.asked != 0 }

// fresh: RFC 7662 §4 (CONFORMANCE OA-13): an answer is used again for a short time
// and never past exp, whatever the leeway.
func (t *verified) fresh(now time.Time, age time.Duration) bool {
	return t.wasAsked() && now.Before(t.claims.Expires.Time()) && !elapsed(time.Unix(0, t.asked), now, age)
}

// knownInactive: CONFORMANCE OA-13: for this very token, and no longer than other
// answers.
func (a *asker) knownInactive(hash tokenHash, now time.Time) bool {
	since, ok := a.inactive.Get(hash)
	return ok && !elapsed(since, now, min(a.s.cfg.Revocation, inactiveTime))
}

// goesOn tells whether the last answer still counts after asking again failed: for
// three times as long as usual, or with FailOpen until the token expires. Of a JWT
// that was only verified here there is no answer, or it was a bad one.
func (a *asker) goesOn(t *verified, err error) bool {
	var verdict *tokenError
	now := a.s.cfg.Now()
	switch {
	case !t.wasAsked() || errors.As(err, &verdict) || !now.Before(t.claims.Expires.Time()):
		return false
	case t.fresh(now, statuslist.StaleFactor*a.s.cfg.Revocation):
		return true
	case !a.s.cfg.FailOpen:
		return false
	}
	if a.warned.begin(now) {
		a.s.cfg.Log.Warn("the authorization server cannot be asked about RPTs; with fail_open they pass until they expire",
			zap.String("client_id", a.s.cfg.ClientID), zap.String("iss", a.s.cfg.Issuer), zap.Error(err))
	}
	return true
}

// ask asks about a token; who asks about the same one meanwhile waits for the same
// answer. The question outlives the request that began it.
func (a *asker) ask(ctx context.Context, st *state, q question) (*verified, error) {
	answer := a.flights.DoChan(string(q.hash[:]), func() (t any, err error) {
		defer func() {
			if p := recover(); p != nil { // in a goroutine of its own it would end the process
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return a.put(context.WithoutCancel(ctx), st, q)
	})
	select {
	case got := <-answer:
		t, _ := got.Val.(*verified)
		return t, got.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put puts one question to the authorization server, if the bounds allow, and keeps
// what becomes of it.
func (a *asker) put(ctx context.Context, st *state, q question) (*verified, error) {
	have, now := a.v.cache.get(q.hash), a.s.cfg.Now()
	if have.fresh(now, a.s.cfg.Revocation) { // the answer came just now
		return have, nil
	}
	if a.pause.holds(now) {
		return nil, errors.New("the authorization server could not be asked a moment ago")
	}
	leave, err := a.enter(q.source, have.wasAsked())
	if err != nil {
		return nil, err
	}
	defer leave()
	t, err := a.send(ctx, st, q.token)
	var verdict *tokenError
	switch {
	case errors.As(err, &verdict):
		a.v.cache.remove(q.hash, have)
		if errors.Is(err, errInactive) {
			a.inactive.Add(q.hash, now)
		}
	case err == nil && t.claims.check(&a.s.cfg, st.learned.audience) == nil:
		t.asked = now.UnixNano()
		a.v.cache.add(q.hash, t)
		if !have.wasAsked() {
			a.s.cfg.Asking.Return(q.source)
		}
	case err == nil:
		a.v.cache.remove(q.hash, have)
	}
	return t, err
}

// send does the call. CONFORMANCE UF-28, A36: the hint is access_token, and who asks
// is shown by the PAT.
func (a *asker) send(ctx context.Context, st *state, token string) (*verified, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	got, err := a.s.protected(ctx, request{
		call: CallIntrospection, method: http.MethodPost, url: st.endpoints.introspection,
		content: "application/x-www-form-urlencoded", accept: accepts(st), body: []byte(form.Encode()),
	})
	if err != nil || busy(got.status) {
		a.pause.begin(a.s.cfg.Now())
	}
	if err != nil {
		return nil, err
	}
	if got.status != http.StatusOK {
		return nil, got.failure("asking about a token")
	}
	t, err := a.read(ctx, st, got)
	if err != nil {
		return nil, err
	}
	t.claims.Confirm, err = confirmed(token, t.claims.Confirm)
	return t, err
}

// busy tells answers that others would get, too. A 500 may be for this token alone,
// and whoever finds such a token must not make us stop asking about others.
func busy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// accepts: OA-14: a signed answer is asked for. From an authorization server that says
// in its metadata that it signs nothing else is accepted, or whoever stands between
// could take the signature away; for others TLS must do.
func accepts(st *state) string {
	if st.endpoints.signs {
		return oauth.MediaTypeIntrospection
	}
	return oauth.MediaTypeIntrospection + ", application/json;q=0.9"
}
