package wrap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// How long the metadata of the provider counts as fresh, how long nobody asks
// after a failure, and how long an answer may take. What is known stays in use
// until there is something newer: a token endpoint seldom moves, and must not be
// left open because its provider is slow.
const (
	freshFor   = 5 * time.Minute
	pauseFor   = 5 * time.Second
	askTimeout = 10 * time.Second
)

// provider is what we must know of the provider. Paths are "" when the endpoint
// is on another host: what goes there does not pass us.
type provider struct {
	tokenURL           string
	token, sloppyToken string
	keys               string
	// signs are the algorithms of its ID tokens.
	signs []string
}

// described are the members of the provider's metadata that we read.
type described struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	JWKSURI       string   `json:"jwks_uri"`
	Signs         []string `json:"id_token_signing_alg_values_supported"`
}

// learner knows the provider, or asks it.
type learner struct {
	issuer    string
	issuerURL *url.URL
	prepare   func(of, ours *http.Request, w http.ResponseWriter) *http.Request
	now       func() time.Time
	log       *zap.Logger

	group singleflight.Group

	mu     sync.Mutex
	known  *provider
	asked  time.Time // of known
	failed time.Time
	err    error
}

// state gives what is known, and whether it is time to ask.
func (l *learner) state() (known *provider, ask bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	stale := l.known == nil || now.Sub(l.asked) >= freshFor
	return l.known, stale && (l.err == nil || now.Sub(l.failed) >= pauseFor)
}

// look gives what is known. When there is nothing or it is old, the provider is
// asked behind the request's back.
func (l *learner) look(of *http.Request, next Next) *provider {
	known, ask := l.state()
	if ask {
		l.start(of, next)
	}
	return known
}

// wait gives what is known, or the answer of the provider.
func (l *learner) wait(of *http.Request, next Next) (*provider, error) {
	known, ask := l.state()
	if known == nil && ask {
		select {
		case <-l.start(of, next):
		case <-of.Context().Done():
			return nil, of.Context().Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		return nil, l.err
	}
	return l.known, nil
}

// start asks the provider, once for all who want to know.
func (l *learner) start(of *http.Request, next Next) <-chan singleflight.Result {
	of = of.WithContext(of.Context())               // handlers change their requests in place
	return l.group.DoChan("", func() (any, error) { //nolint:contextcheck // the end of one request is not the end of the question
		// The question before may have ended since nothing was known.
		if _, ask := l.state(); ask {
			l.learned(l.ask(of, next))
		}
		return nil, nil
	})
}

// learned remembers an answer.
func (l *learner) learned(p *provider, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.known, l.asked, l.err = p, l.now(), nil
		return
	}
	if l.err == nil || l.err.Error() != err.Error() {
		l.log.Error("the metadata of the OpenID provider behind uma_sts could not be read; token exchanges at its token endpoint are refused until it is known",
			zap.String("op", l.issuer), zap.Error(err))
	}
	l.failed, l.err = l.now(), err
}

// ask reads the first metadata document that is there.
func (l *learner) ask(of *http.Request, next Next) (*provider, error) {
	appended, _ := oauth.WellKnownPaths(l.issuerURL, oauth.WellKnownOpenID)
	_, inserted := oauth.WellKnownPaths(l.issuerURL, oauth.WellKnownOAuth)
	var errs []error
	for _, path := range []string{appended, inserted} {
		p, err := l.read(path, of, next)
		if err == nil {
			return p, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return nil, errors.Join(errs...)
}

// read asks for one document. The request is not the one that made us ask:
// neither its header nor the host it named comes along, and its end does not end
// ours.
func (l *learner) read(path string, of *http.Request, next Next) (*provider, error) {
	ctx, stop := context.WithTimeout(context.Background(), askTimeout)
	defer stop()
	to := newRecorder(nil, stop)
	ours := l.request(path, of.RemoteAddr).WithContext(ctx)
	if l.prepare != nil {
		ours = l.prepare(of, ours, to)
	}
	if err := to.run(next, ours); err != nil {
		return nil, err
	}
	body, err := to.document()
	if err != nil {
		return nil, err
	}
	return l.understand(body)
}

// request is one as a server gets it. The issuer is an https URL, whatever stands
// between it and us.
func (l *learner) request(path, remote string) *http.Request {
	return &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: path}, RequestURI: path, Host: l.issuerURL.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"application/json"}}, Body: http.NoBody, RemoteAddr: remote,
		TLS: &tls.ConnectionState{HandshakeComplete: true, ServerName: l.issuerURL.Hostname()},
	}
}

// understand reads the provider's metadata. OpenID Connect Discovery §4.3,
// RFC 8414 §3.3: the issuer must be the one that was asked for.
func (l *learner) understand(body []byte) (*provider, error) {
	var d described
	if err := oauth.DecodeObject(body, &d); err != nil {
		return nil, err
	}
	if d.Issuer != l.issuer {
		return nil, fmt.Errorf("the provider says that its issuer is '%.100s', not '%s'", d.Issuer, l.issuer)
	}
	p := &provider{signs: d.Signs}
	if len(d.Signs) == 0 {
		p.signs = []string{"RS256"} // OpenID Connect Discovery §3: it must be supported
	}
	var err error
	if p.token, err = l.path(d.TokenEndpoint); err != nil {
		return nil, fmt.Errorf("token_endpoint: %w", err)
	}
	if p.keys, err = l.path(d.JWKSURI); err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	p.sloppyToken = sloppy(p.token)
	p.tokenURL, _, _ = strings.Cut(d.TokenEndpoint, "?") // RFC 9449 §4.3: htu is without it
	return p, nil
}

// path is the path of an endpoint if it is on the host of the issuer, or "".
func (l *learner) path(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", err
	case endpoint == "" || u.Host == "":
		return "", errors.New("there is none")
	case !oauth.SameOrigin(u, l.issuerURL):
		return "", nil
	}
	return u.Path, nil
}
