package uma

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// serveRevoke is the revocation endpoint (RFC 7009 §2).
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request, from caller) {
	if err := s.revoke(r, from); err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revoke answers alike for what is revoked, what was never issued and what is
// another client's (RFC 7009 §2.2): nobody learns which tokens exist.
func (s *Server) revoke(r *http.Request, from caller) error {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return err
	}
	client, _, err := s.authenticate(r, form, from, false)
	if err != nil {
		return err
	}
	token := form.Get("token")
	if token == "" {
		return oauth.Errorf(oauth.CodeInvalidRequest, "token is missing")
	}
	return s.again(func() error { return s.revokeToken(r.Context(), client, token) })
}

// revokeToken revokes whatever a text is. token_type_hint is not looked at: each
// kind of token can be told by its form, so a wrong hint does no harm (RFC 7009
// §2.1), and UMA's value pct needs no other treatment (UMA Grant §3.7).
func (s *Server) revokeToken(ctx context.Context, client clientauth.Client, token string) error {
	kind, _, _ := strings.Cut(token, "_")
	switch kind {
	case "pat":
		return s.revokePAT(ctx, client, token)
	case "rt":
		return s.revokeRefresh(ctx, client, token)
	case "at":
		return s.revokeAccess(ctx, client, token)
	case "pct":
		return s.revokePCT(ctx, client, token)
	case "rat":
		return unsupportedToken()
	}
	isTicket, err := s.isTicket(ctx, token)
	switch {
	case err != nil:
		return err
	case isTicket:
		return unsupportedToken()
	}
	return s.revokeRPT(ctx, client, token)
}

// unsupportedToken: RFC 7009 §2.2.1.
func unsupportedToken() *oauth.Error {
	return oauth.Errorf(oauth.CodeUnsupportedTokenType, "tokens of this kind cannot be revoked here")
}

func (s *Server) isTicket(ctx context.Context, text string) (bool, error) {
	data, err := s.ticketData(ctx)
	if err != nil {
		return false, err
	}
	_, err = s.tickets.Open(ctx, text, data...)
	if err != nil && !errors.Is(err, seal.ErrOpen) {
		return false, s.unavailable("ticket keys", err)
	}
	return err == nil, nil
}

// revokePAT ends a resource server's PAT: the protection API looks each one up
// (UMA Fed §8).
func (s *Server) revokePAT(ctx context.Context, client clientauth.Client, token string) error {
	rec, doc, err := load[patRecord](ctx, s, kindPAT, hashID(token))
	if absent(err) {
		return nil
	}
	if err != nil {
		return s.unavailable("PAT", err)
	}
	if rec.ResourceServer != client.ID {
		return nil
	}
	if err := s.commit(ctx, store.Delete(doc.Key, doc.Rev)); err != nil {
		return s.unavailable("PAT", err)
	}
	return nil
}

// revokeRefresh ends the whole grant (RFC 7009 §2.1). The token that was replaced
// last counts, too: a client that lost an answer has no other.
func (s *Server) revokeRefresh(ctx context.Context, client clientauth.Client, token string) error {
	id, ok := grantOfRefresh(token)
	if !ok {
		return nil
	}
	g, found, err := s.loadGrant(ctx, id)
	if err != nil || !found || g.rec.Client != client.ID {
		return err
	}
	if !g.rec.Refresh.isCurrent(token) && !g.rec.Refresh.isBefore(token) {
		return nil
	}
	return s.endGrant(ctx, id, "revoked by the client", false)
}

// revokeAccess ends an access token that a client has for itself.
func (s *Server) revokeAccess(ctx context.Context, client clientauth.Client, token string) error {
	rec, doc, err := load[accessRecord](ctx, s, kindAccess, hashID(token))
	if absent(err) {
		return nil
	}
	if err != nil {
		return s.unavailable("access token", err)
	}
	if rec.Client != client.ID {
		return nil
	}
	if err := s.commit(ctx, store.Delete(doc.Key, doc.Rev)); err != nil {
		return s.unavailable("access token", err)
	}
	return nil
}

func (s *Server) revokePCT(ctx context.Context, client clientauth.Client, token string) error {
	rec, doc, err := load[pctRecord](ctx, s, kindPCT, hashID(token))
	if absent(err) {
		return nil
	}
	if err != nil {
		return s.unavailable("PCT", err)
	}
	if rec.Client != client.ID {
		return nil
	}
	if err := s.commit(ctx, store.Delete(doc.Key, doc.Rev)); err != nil {
		return s.unavailable("PCT", err)
	}
	return nil
}

func (s *Server) revokeRPT(ctx context.Context, client clientauth.Client, token string) error {
	f, found, err := s.findRPT(ctx, token)
	if err != nil || !found || f.rec.Client != client.ID {
		return err
	}
	return s.endRPT(ctx, f, "revoked by the client")
}
