package uma

import (
	"context"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// patRecord is a protection API access token, kept by its hash.
type patRecord struct {
	version
	ResourceServer string `json:"resource_server"`
	Owner          string `json:"owner"`
	IssuedAt       int64  `json:"iat,omitempty"`
	Expires        int64  `json:"exp"`
}

// grantClientCredentials issues a PAT to a resource server (UMA Fed §1.3; RFC
// 6749 §4.4), and something else to other clients. The answer tells the resource
// server what the authorization server has for it.
func (s *Server) grantClientCredentials(ctx context.Context, req *tokenRequest) (*oauth.TokenResponse, error) {
	rs, found := s.servers[req.client.ID]
	if !found {
		return s.grantAccess(ctx, req)
	}
	for scope := range strings.FieldsSeq(req.form.Get("scope")) {
		if scope != oauth.ScopeUMAProtection {
			return nil, oauth.Errorf(oauth.CodeInvalidScope, "the only scope of this grant is uma_protection")
		}
	}
	token, err := s.issuePAT(ctx, rs)
	if err != nil {
		return nil, err
	}
	return &oauth.TokenResponse{
		AccessToken: token, TokenType: "Bearer", Scope: oauth.ScopeUMAProtection,
		ExpiresIn:   int64(s.cfg.PATLifetime / time.Second),
		ResourceURI: rs.URI, Audience: rs.audience(), Owner: rs.owner(),
	}, nil
}

func (s *Server) issuePAT(ctx context.Context, rs ResourceServer) (string, error) {
	token := "pat_" + randomText(32)
	now := s.cfg.Now()
	expires := now.Add(s.cfg.PATLifetime)
	doc, err := s.doc(kindPAT, hashID(token), rs.ID, expires, patRecord{
		version: version{currentVersion}, ResourceServer: rs.ID, Owner: rs.owner(), IssuedAt: now.Unix(), Expires: expires.Unix(),
	})
	if err != nil {
		return "", err
	}
	if err := s.commit(ctx, store.Create(doc)); err != nil {
		return "", s.unavailable("PAT", err)
	}
	return token, nil
}
