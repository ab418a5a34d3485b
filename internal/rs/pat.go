package rs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// pat is a protection API access token (UMA Federated Authorization §1.2).
type pat struct{ token string }

// defaultPATLife is assumed when the answer does not tell.
const defaultPATLife = 5 * time.Minute

// learnedBox holds what the authorization server said about us last.
type learnedBox struct{ atomic.Pointer[learned] }

func (s *Server) currentPAT(ctx context.Context) (pat, error) {
	return s.pat.get(ctx, s.cfg.Now, s.loadPAT)
}

// currentLearned gives what the authorization server has for us; it comes with
// the PAT.
func (s *Server) currentLearned(ctx context.Context) (*learned, error) {
	if l := s.learned.Load(); l != nil {
		return l, nil
	}
	if _, err := s.currentPAT(ctx); err != nil {
		return nil, err
	}
	if l := s.learned.Load(); l != nil {
		return l, nil
	}
	return nil, errors.New("the resource URI is not known")
}

// loadPAT asks for a PAT by client credentials (CONFORMANCE UF-05).
func (s *Server) loadPAT(ctx context.Context) (pat, time.Time, error) {
	e, err := s.currentEndpoints(ctx)
	if err != nil {
		return pat{}, time.Time{}, err
	}
	now := s.cfg.Now()
	a, err := s.askPAT(ctx, e)
	if err != nil {
		return pat{}, time.Time{}, err
	}
	if a.status != http.StatusOK {
		return pat{}, time.Time{}, a.failure("asking for a PAT")
	}
	return s.readPAT(a.body, now)
}

func (s *Server) askPAT(ctx context.Context, e endpoints) (*answer, error) {
	r, err := s.patRequest(e)
	if err != nil {
		return nil, err
	}
	a, err := s.send(ctx, r)
	if !r.once || !outbound.Lost(err) {
		return a, err
	}
	if r, err = s.patRequest(e); err != nil { // again, with a new assertion
		return nil, err
	}
	return s.send(ctx, r)
}

func (s *Server) patRequest(e endpoints) (request, error) {
	form := url.Values{
		"grant_type": {oauth.GrantClientCredentials},
		"scope":      {oauth.ScopeUMAProtection},
	}
	r := request{
		call: CallToken, method: http.MethodPost, url: e.token,
		content: "application/x-www-form-urlencoded",
	}
	err := s.authenticate(&r, form, e)
	r.body = []byte(form.Encode())
	return r, err
}

func (s *Server) readPAT(body []byte, now time.Time) (pat, time.Time, error) {
	t, err := parsePAT(body)
	if err != nil {
		return pat{}, time.Time{}, err
	}
	l, err := s.learn(t)
	s.learned.Store(l)
	if err != nil {
		return pat{}, time.Time{}, err
	}
	return pat{t.AccessToken}, now.Add(patLife(t.ExpiresIn)), nil
}

func parsePAT(body []byte) (*oauth.TokenResponse, error) {
	t := new(oauth.TokenResponse)
	if err := oauth.DecodeObject(body, t); err != nil {
		return nil, fmt.Errorf("reading the PAT: %w", err)
	}
	if !isBearerToken(t.AccessToken) || !strings.EqualFold(t.TokenType, "Bearer") {
		return nil, errors.New("the answer with the PAT holds no Bearer token")
	}
	if t.Scope != "" && !slices.Contains(strings.Fields(t.Scope), oauth.ScopeUMAProtection) {
		return nil, errors.New("the token endpoint did not grant the scope uma_protection")
	}
	return t, nil
}

// patLife ends a PAT early enough that it is renewed before the authorization
// server refuses it.
func patLife(seconds int64) time.Duration {
	if seconds <= 0 || seconds > int64(24*time.Hour/time.Second) {
		return defaultPATLife
	}
	life := time.Duration(seconds) * time.Second
	return life - min(time.Minute, life/5)
}

// learn reads the extension members of the answer that carries the PAT.
func (s *Server) learn(t *oauth.TokenResponse) (*learned, error) {
	mine, theirs := s.cfg.ResourceURI, t.ResourceURI
	if mine != "" && theirs != "" && mine != theirs {
		s.cfg.Log.Error("the resource URI differs from what the authorization server has for this client: nothing passes",
			zap.String("client_id", s.cfg.ClientID), zap.String("iss", s.cfg.Issuer),
			zap.String("resource_uri", mine), zap.String("resource_uri_at_as", theirs))
		return nil, &mismatchError{"the resource URIs of both sides differ", mine, theirs}
	}
	l := &learned{resource: or(mine, theirs), owner: or(s.cfg.Owner, t.Owner)}
	if l.resource == "" {
		return nil, errors.New("resource_uri is neither configured nor told by the authorization server")
	}
	uri, err := oauth.ParseResource(l.resource)
	if err != nil {
		return nil, fmt.Errorf("the authorization server has a resource URI for us that %w", err)
	}
	l.uri, l.audience = uri, or(t.Audience, l.resource)
	return l, nil
}

// isBearerToken tells the characters of RFC 6750 §2.1 (b64token).
func isBearerToken(s string) bool {
	if s == "" || len(s) > maxRPT {
		return false
	}
	body := strings.TrimRight(s, "=")
	for i := range len(body) {
		c := body[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}
