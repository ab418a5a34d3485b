package uma

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// accessRecord is an access token that is no PAT, kept by its hash: that of a
// client for itself, with scopes that are registered for it.
type accessRecord struct {
	version
	Client  string       `json:"client"`
	Scopes  []string     `json:"scopes"`
	Bound   confirmation `json:"cnf,omitzero"`
	Expires int64        `json:"exp"`
}

// grantAccess issues an access token to a client that has scopes (RFC 6749 §4.4);
// without scope in the request it has all of them (§3.3). It opens nothing here:
// the protection API demands uma_protection, and an RPT is something else.
func (s *Server) grantAccess(ctx context.Context, req *tokenRequest) (*oauth.TokenResponse, error) {
	// RFC 6749 §4.4: confidential clients alone.
	if len(req.client.Scopes) == 0 || req.client.Public {
		return nil, oauth.Errorf(oauth.CodeUnauthorizedClient, "this client is no resource server and has no scopes of its own")
	}
	scopes := req.client.Scopes
	asked, err := parseScope(req.form)
	if err != nil {
		return nil, err
	}
	if len(asked) > 0 {
		if !allOf(asked, scopes) {
			return nil, oauth.Errorf(oauth.CodeInvalidScope, "a scope is not registered for the client")
		}
		scopes = asked
	}
	token, err := s.issueAccess(ctx, req, slices.Clone(scopes))
	if err != nil {
		return nil, err
	}
	answer := &oauth.TokenResponse{
		AccessToken: token, TokenType: "Bearer", Scope: strings.Join(scopes, " "),
		ExpiresIn: int64(s.cfg.PATLifetime / time.Second),
	}
	if req.bound.JKT != "" {
		answer.TokenType = "DPoP" // RFC 9449 §5
	}
	return answer, nil
}

func (s *Server) issueAccess(ctx context.Context, req *tokenRequest, scopes []string) (string, error) {
	token := "at_" + randomText(32)
	expires := s.cfg.Now().Add(s.cfg.PATLifetime)
	doc, err := s.doc(kindAccess, hashID(token), req.client.ID, expires, accessRecord{
		version: version{currentVersion}, Client: req.client.ID, Scopes: scopes, Bound: req.bound, Expires: expires.Unix(),
	})
	if err != nil {
		return "", err
	}
	if err := s.commit(ctx, store.Create(doc)); err != nil {
		return "", s.unavailable("access token", err)
	}
	return token, nil
}

// liveAccess tells whether a token is one of these, of a client that is still
// there.
func (s *Server) liveAccess(ctx context.Context, token string) (bool, error) {
	rec, _, err := load[accessRecord](ctx, s, kindAccess, hashID(token))
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, s.unavailable("access token", err)
	}
	_, err = s.client(ctx, rec.Client)
	if isUnknownClient(err) {
		return false, nil
	}
	return err == nil, err
}
