// Package upstream finds out whom the access tokens of other people's OpenID
// providers speak of, for a security token service that stands beside or in front
// of one (CONFORMANCE A26, A28).
//
// A token is read in one of four ways (Check): a JWT by the provider's keys, any
// token by its introspection endpoint (RFC 7662), by its userinfo endpoint, or, at
// Google, by tokeninfo. Whatever the way, the same rules say whether it is a live
// access token of a user that was made for this service: rules.go. A Set has
// several providers; a token goes to the one that issued it and to no other.
//
// Nothing is asked at load. Errors of Resolve wrap oauth.ErrSubjectToken when the
// token is at fault; any other error means that it could not be found out.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Check is how tokens are read.
type Check string

// Ways to read a token.
const (
	CheckJWT           Check = "jwt"
	CheckIntrospection Check = "introspection"
	CheckUserinfo      Check = "userinfo"
	checkTokeninfo     Check = "tokeninfo" // of the preset google
)

// Config describes one provider.
type Config struct {
	// Issuer is its issuer identifier; Self that of the service, which the audience
	// of its tokens must contain (or one of Audience).
	Issuer, Self string
	// Preset is keycloak, entra, google or generic (default).
	Preset string
	// Check is how tokens are read; default CheckJWT.
	Check Check
	// ClientID, with Secret or Key (private_key_jwt), is who asks at the
	// introspection endpoint.
	ClientID, Secret string
	Key              *jose.Signer
	// Audience are further values that stand for the service in aud.
	Audience []string
	// Types are the accepted values of the JOSE header member typ; default at+jwt.
	Types []string
	// AcceptUnbound takes tokens of which nobody can tell for whom they were made.
	AcceptUnbound bool
	// Domains are the e-mail domains whose addresses the provider may speak of.
	Domains []string
	// Claims maps names of claims to the names that the provider gives them.
	Claims map[string]string
	// AssumeVerified: the provider holds no address that it has not verified.
	AssumeVerified bool

	// HTTP calls the provider, a host that the administrator named. Required.
	HTTP *http.Client
	// CacheAge is how long an answer about a token is used; default 10s.
	CacheAge time.Duration
	// KeyAge and KeyPause are those of the provider's keys: how long a set is used
	// (15m), and the least time between two fetches (60s).
	KeyAge, KeyPause time.Duration
	// Leeway is the tolerated difference between clocks.
	Leeway time.Duration
	// Tokeninfo replaces Google's endpoint in tests.
	Tokeninfo string
	Now       func() time.Time
	Log       *zap.Logger
}

// Upstream is one provider. It is safe for concurrent use.
type Upstream struct {
	cfg     Config
	preset  preset
	domains map[string]bool
	selves  []string
	keys    *jose.Cache
	meta    metadata
	answers *answers
	infos   *answers // of userinfo, for tokens that say no address
	down    outage
	places  chan struct{} // one for each call at a time
}

// New checks cfg and makes an Upstream. It calls nobody.
func New(cfg Config) (*Upstream, error) {
	if cfg.HTTP == nil || cfg.Now == nil {
		return nil, errors.New("upstream: HTTP and Now are required")
	}
	u := &Upstream{places: make(chan struct{}, maxCalls)}
	if err := u.configure(cfg); err != nil {
		return nil, err
	}
	u.keys = jose.NewCache(jose.CacheConfig{
		Fetch: u.fetchKeys, MaxAge: cfg.KeyAge, Pause: cfg.KeyPause, Size: 4, Now: cfg.Now,
		FailurePause: func(error) time.Duration { return failurePause },
	})
	u.answers, u.infos = newAnswers(u.cfg.CacheAge, cfg.Now), newAnswers(u.cfg.CacheAge, cfg.Now)
	return u, nil
}

// Resolve finds the user of an access token.
func (u *Upstream) Resolve(ctx context.Context, token string) (oauth.Subject, error) {
	if len(token) > maxToken || !isToken68(token) {
		return oauth.Subject{}, refuse("it does not have the form of an access token")
	}
	claims, err := u.read(ctx, token)
	if err != nil {
		return oauth.Subject{}, err
	}
	subject, err := u.subject(claims)
	if errors.Is(err, errNoEmail) && subject.JKT == "" && u.cfg.Check != CheckUserinfo && !u.preset.noUserinfo {
		return u.withUserinfo(ctx, token, claims)
	}
	if err != nil {
		return oauth.Subject{}, err
	}
	return subject, nil
}

// read gives what the provider says of a token.
func (u *Upstream) read(ctx context.Context, token string) (claims, error) {
	switch u.cfg.Check {
	case CheckIntrospection:
		return u.answers.of(ctx, token, u.introspect)
	case CheckUserinfo:
		return u.answers.of(ctx, token, u.userinfo)
	case checkTokeninfo:
		return u.answers.of(ctx, token, u.tokeninfo)
	default:
		return u.verify(ctx, token)
	}
}

// takesOpaque tells whether tokens that are no JWTs can be read.
func (u *Upstream) takesOpaque() bool { return u.cfg.Check != CheckJWT }

// refuse says what is wrong with a token.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", oauth.ErrSubjectToken, fmt.Errorf(format, args...))
}
