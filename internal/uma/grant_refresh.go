package uma

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// grantRefresh answers a refresh token with a new RPT of the same grant and the
// next refresh token (RFC 6749 §6, UMA Grant §3.6). Nobody's claims are assessed
// again.
func (s *Server) grantRefresh(ctx context.Context, req *tokenRequest) (*oauth.TokenResponse, error) {
	token := req.form.Get("refresh_token")
	if token == "" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "refresh_token is missing")
	}
	if _, isServer := s.servers[req.client.ID]; isServer || !holdsSafely(req) {
		return nil, oauth.Errorf(oauth.CodeUnauthorizedClient, "this client has no refresh tokens")
	}
	var answer *oauth.TokenResponse
	err := s.again(func() (err error) {
		answer, err = s.refresh(ctx, req, token)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *Server) refresh(ctx context.Context, req *tokenRequest, token string) (*oauth.TokenResponse, error) {
	g, err := s.refreshable(ctx, req, token)
	if err != nil {
		return nil, err
	}
	asked, err := parseScope(req.form)
	if err != nil {
		return nil, err
	}
	what, scopes, err := s.refreshed(ctx, g, asked)
	if err != nil {
		return nil, err
	}
	claims, known, err := s.releasedAgain(ctx, g)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, invalidRefresh()
	}
	answer, ops, err := s.mint(ctx, g, what, scopes, claims)
	if err != nil {
		return nil, err
	}
	answer.RefreshToken = s.rotate(g)
	if err := s.saveGrant(ctx, g, ops...); err != nil {
		return nil, err
	}
	if g.evicted {
		s.observeRevocation(ctx, g.rec, "too many RPTs of one grant")
	}
	return answer, nil
}

// refreshable gives the grant that a refresh token is good for. Any other token of
// the grant than the current one is an old one: somebody has a copy, and the
// family ends (CONFORMANCE SEC-15). Only the client that it was issued to, with
// its key, gets that far.
func (s *Server) refreshable(ctx context.Context, req *tokenRequest, token string) (*grant, error) {
	id, ok := grantOfRefresh(token)
	if !ok {
		return nil, invalidRefresh()
	}
	g, found, err := s.loadGrant(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found || g.rec.Client != req.client.ID || g.rec.Confirm != req.bound {
		return nil, invalidRefresh()
	}
	r, now := g.rec.Refresh, s.cfg.Now()
	rs, served := s.servers[g.rec.ResourceServer]
	switch {
	case r.Current == "" || now.Unix() >= r.Ends || !served || !g.rec.Confirm.meets(rs.Require):
		return nil, invalidRefresh()
	case r.isCurrent(token):
		return s.checkGranted(ctx, g)
	case r.inGrace(token, now, s.cfg.ReplayGrace):
		return nil, invalidRefresh()
	}
	if err := s.revokeGrant(ctx, g.id, "a refresh token was used again"); err != nil {
		return nil, err
	}
	return nil, invalidRefresh()
}

// checkGranted refuses a grant that the policies of now do not allow.
func (s *Server) checkGranted(ctx context.Context, g *grant) (*grant, error) {
	granted, err := s.stillGranted(ctx, g)
	if err != nil {
		return nil, err
	}
	if !granted {
		return nil, invalidRefresh()
	}
	return g, nil
}

// refreshed gives what the new RPT is for. The parameter scope may leave less than
// was granted, never more; it does not touch what later RPTs are for (RFC 6749
// §6).
func (s *Server) refreshed(ctx context.Context, g *grant, scopes []string) ([]oauth.Permission, []string, error) {
	what, err := s.existing(ctx, g.rec, g.rec.Permissions)
	if err != nil {
		return nil, nil, err
	}
	if len(what) == 0 {
		return nil, nil, invalidRefresh()
	}
	if len(scopes) == 0 {
		return what, nil, nil
	}
	for _, scope := range scopes {
		if len(narrow(g.rec.Permissions, []string{scope})) == 0 {
			return nil, nil, oauth.Errorf(oauth.CodeInvalidScope, "a scope was not granted")
		}
	}
	if what = narrow(what, scopes); len(what) == 0 {
		return nil, nil, oauth.Errorf(oauth.CodeInvalidScope, "no resource has these scopes any more")
	}
	return what, scopes, nil
}

func invalidRefresh() *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidGrant, "the refresh token is unknown, expired, revoked or was used before; ask the resource server for a ticket")
}
