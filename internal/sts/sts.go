// Package sts is the security token service: it exchanges an access token of a
// user for a claims token that is bound to one permission ticket and made for
// one resource server (steps 4 and 5 of the protocol, RFC 8693).
//
// It owns {issuer}/sts/token: it parses the form once, answers the token
// exchange itself and hands every other grant to Config.Other (the embedded
// OpenID provider, or nothing). It also publishes the metadata, the keys and
// the WebFinger answers of its e-mail domains.
//
// Who a subject token speaks of is decided by Config.Resolve; what may be said
// about the user, and to whom, is decided here: default deny. The order of an
// exchange: the client (client.go), the form (request.go), the proof of a key
// (proof.go), the user (subject.go), the target (target.go, rule.go), what is
// released (release.go), the user's consent (consent.go), the claims token
// (claims.go). The server keeps no state beyond its rate limits and the proofs
// that it has seen.
//
// caddysts builds it and calls it; nothing here knows of Caddy.
package sts

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Server is a security token service with one issuer. It is safe for
// concurrent use.
type Server struct {
	issuer    string
	issuerURL *url.URL
	endpoint  string // the URL of the token endpoint
	domains   map[string]bool
	clients   clientauth.Clients
	narrowed  map[string][]pattern // by client_id; absent = not narrowed
	mayAct    map[string]bool      // by client_id
	rules     []rule
	denied    []pattern
	lifetime  time.Duration

	authenticate func(*http.Request, oauth.Form) (clientauth.Client, error)

	resolve   func(ctx context.Context, token string) (oauth.Subject, error)
	consent   func(ctx context.Context, asked oauth.Consent) (agreed bool, uri string, err error)
	claims    ClaimKeys
	keys      func(ctx context.Context) ([]jose.PublicKey, error)
	other     http.Handler
	exchanges *limit.Limiter
	sources   *limit.Limiter
	proofs    *dpop.Verifier
	clientIP  func(*http.Request) string
	cors      bool
	observe   event.Observe
	now       func() time.Time
	log       *zap.Logger

	document json.RawMessage
	routes   map[string]http.HandlerFunc
}

// New checks cfg and makes a Server. It neither reads nor makes a key.
func New(cfg Config) (*Server, error) {
	s := &Server{
		issuer: cfg.Issuer, authenticate: cfg.Authenticate, resolve: cfg.Resolve, consent: cfg.Consent,
		claims: cfg.Claims, keys: cfg.Keys, other: cfg.Other,
		exchanges: cfg.Exchanges, sources: cfg.Sources, clientIP: cfg.ClientIP, cors: !cfg.NoCORS,
		observe: cfg.Observe, now: cfg.Now, log: cfg.Log,
	}
	if err := cmp.Or(s.connect(), s.configure(cfg)); err != nil {
		return nil, err
	}
	if err := cmp.Or(s.verifyProofs(cfg.Proofs), s.checkConsent()); err != nil {
		return nil, err
	}
	s.endpoint = s.url("token")
	if err := s.describe(cfg.Extend); err != nil {
		return nil, err
	}
	s.routes = s.table()
	return s, nil
}

// table holds the endpoints by exact path.
func (s *Server) table() map[string]http.HandlerFunc {
	routes := map[string]http.HandlerFunc{
		s.path("token"): s.token,
		s.path("jwks"):  s.jwks,

		"/.well-known/" + oauth.WellKnownFinger: s.webfinger,
	}
	for _, name := range []string{oauth.WellKnownOpenID, oauth.WellKnownOAuth} {
		appended, inserted := oauth.WellKnownPaths(s.issuerURL, name)
		routes[appended], routes[inserted] = s.metadata, s.metadata
	}
	return routes
}

// Handles tells whether a path is one of the server's own.
func (s *Server) Handles(path string) bool {
	_, ok := s.routes[path]
	return ok
}

// ServeHTTP implements http.Handler; 404 for what Handles denies.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if serve, ok := s.routes[r.URL.Path]; ok {
		serve(w, r)
		return
	}
	http.NotFound(w, r)
}

// path is the path of an endpoint below {issuer}/sts/.
func (s *Server) path(endpoint string) string {
	return trimSlash(s.issuerURL.Path) + "/sts/" + endpoint
}

// url is the URL of an endpoint below {issuer}/sts/.
func (s *Server) url(endpoint string) string {
	return trimSlash(s.issuer) + "/sts/" + endpoint
}

var _ http.Handler = (*Server)(nil)
