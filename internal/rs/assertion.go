package rs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// AssertionLife is how long the backend may believe an assertion: it is made for
// one request.
const AssertionLife = time.Minute

// WellKnownKeys is where the backend finds the keys of assertions. No
// specification has a place for them; the RFC 9728 document names it as jwks_uri.
const WellKnownKeys = "/.well-known/uma-protect-jwks"

// AssertionKeys signs; a jose.Ring does.
type AssertionKeys interface {
	Sign(ctx context.Context, typ string, claims any) (string, error)
	Public(ctx context.Context) ([]jose.PublicKey, error)
}

// Assertion turns on a signed statement for the backend about who is asking.
type Assertion struct {
	// Audience is the backend.
	Audience string
	// Keys have the purpose assertion and sign nothing else.
	Keys AssertionKeys
}

func (a *Assertion) check() error {
	if a != nil && (a.Audience == "" || a.Keys == nil) {
		return errors.New("an assertion needs an audience and keys")
	}
	return nil
}

// Assert makes the assertion for a request that passes. Without one the request
// must not go on: the backend could take it for anybody's.
func (s *Server) Assert(ctx context.Context, g *Grant) (string, *Refusal) {
	claims, err := s.assertion(g)
	if err == nil {
		var token string
		if token, err = s.cfg.Assertion.Keys.Sign(ctx, oauth.TypAssertion, claims); err == nil {
			return token, nil
		}
	}
	s.cfg.Log.Error("an assertion for the backend cannot be made", zap.String("client_id", s.cfg.ClientID), zap.Error(err))
	f := refuse(http.StatusServiceUnavailable, "The request cannot be handed on at the moment. Try again later.")
	f.Header.Set("Retry-After", "5")
	f.DecisionID = g.DecisionID
	return "", f
}

// assertion holds what the placeholders hold, and nothing that must not become
// one. The names of released claims and ours are different ones (reserved).
func (s *Server) assertion(g *Grant) (map[string]any, error) {
	if g.Subject == "" {
		return nil, errors.New("the sub of the RPT has characters that are not handed on")
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("making a jti: %w", err)
	}
	now := s.cfg.Now()
	expires := now.Add(AssertionLife)
	if !g.expires.IsZero() && g.expires.Before(expires) { // it says nothing that has ceased to be true
		expires = g.expires
	}
	claims := make(map[string]any, len(g.Claims)+10)
	for _, claim := range g.Claims {
		claims[claim.Name] = claim.Value
	}
	maps.Copy(claims, map[string]any{
		"iss": g.server, "aud": s.cfg.Assertion.Audience, "sub": g.Subject, "client_id": g.ClientID,
		"iat": now.Unix(), "exp": expires.Unix(), "jti": base64.RawURLEncoding.EncodeToString(id),
		"resource": g.Resource, "scopes": g.Scopes,
	})
	if g.DecisionID != "" {
		claims["decision_id"] = g.DecisionID
	}
	g.of.describe(claims)
	return claims, nil
}

// describe says which instance of a pattern was opened. Else an assertion for one of
// them, taken out of its request, would be good for all.
func (i *instance) describe(claims map[string]any) {
	if i == nil {
		return
	}
	claims["captures"] = i.values()
	if i.owner != "" {
		claims["owner"] = i.owner
	}
}

// keysURL is empty if there are no assertions.
func (s *Server) keysURL(resource string) string {
	uri, err := oauth.ParseResource(resource)
	if s.cfg.Assertion == nil || err != nil {
		return ""
	}
	return uri.Scheme + "://" + uri.Host + keysPath(uri.Path)
}

func keysPath(path string) string { return WellKnownKeys + strings.TrimSuffix(path, "/") }

// IsKeysPath tells paths at which the keys of assertions could stand.
func IsKeysPath(path string) bool {
	return path == WellKnownKeys || strings.HasPrefix(path, WellKnownKeys+"/")
}

// ServeKeys serves the keys of assertions if the path is their place, and says
// whether it was. They are as public as the RFC 9728 document.
func (s *Server) ServeKeys(w http.ResponseWriter, r *http.Request) bool {
	if s.cfg.Assertion == nil || !IsKeysPath(r.URL.Path) {
		return false
	}
	return s.servePublic(w, r, keysPath, func(ctx context.Context, _ string) (any, error) {
		keys, err := s.cfg.Assertion.Keys.Public(ctx)
		if err != nil {
			return nil, err
		}
		return jose.MarshalJWKS(keys...)
	})
}
