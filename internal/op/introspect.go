package op

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// introspect is the introspection endpoint (RFC 7662 §2). It is for servers, so
// there is no CORS.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	answer, err := p.introspection(r)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	if answer == nil { // RFC 7662 §2.2: and nothing else
		answer = map[string]any{"active": false}
	}
	oauth.WriteJSON(w, http.StatusOK, answer)
}

// introspection describes a token to a client that authenticates; anybody could
// ask in the name of a public one (RFC 7662 §2.1, §4).
func (p *Provider) introspection(r *http.Request) (map[string]any, error) {
	client, token, err := p.tokenOf(r)
	if err != nil {
		return nil, err
	}
	if client.Public {
		return nil, &oauth.Error{
			Code: oauth.CodeInvalidClient, Status: http.StatusUnauthorized, Description: "only clients that authenticate may ask",
		}
	}
	// A token_type_hint is not needed: each kind of token can be told by its form.
	if _, ok := grantOfRefresh(token); ok {
		return p.describeRefresh(r.Context(), client.ID, token)
	}
	return p.describeAccess(r.Context(), token)
}

// tokenOf reads a request with a token in it, of introspection or revocation.
func (p *Provider) tokenOf(r *http.Request) (client clientauth.Client, token string, err error) {
	form, err := oauth.ParseForm(r, oauth.MaxForm)
	if err != nil {
		return client, "", err
	}
	if client, err = p.cfg.Authenticate(r, form); err != nil {
		return client, "", err
	}
	if token = form.Get("token"); token == "" {
		return client, "", oauth.Errorf(oauth.CodeInvalidRequest, "token is missing")
	}
	return client, token, nil
}

// describeAccess gives the description of a live access token, nil for everything
// else.
func (p *Provider) describeAccess(ctx context.Context, text string) (map[string]any, error) {
	t, err := p.accessToken(ctx, text)
	if errors.Is(err, oauth.ErrSubjectToken) {
		return nil, nil
	}
	if err != nil {
		return nil, p.unavailable("access token", err)
	}
	answer := p.describe(t.user, t.grant, t.Scope, t.JKT)
	answer["token_type"], answer["iat"], answer["exp"] = tokenType(t.JKT), t.Issued, t.doc.Expires.Unix()
	return answer, nil
}

// describeRefresh speaks to the client of the token alone. To ask is no use: an
// old token ends nothing here.
func (p *Provider) describeRefresh(ctx context.Context, client, token string) (map[string]any, error) {
	id, _ := grantOfRefresh(token)
	g, _, err := p.loadGrant(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, p.unavailable("refresh token", err)
	case g.Client != client || !g.Refresh.is(token) || p.cfg.Now().Unix() >= g.Refresh.Ends:
		return nil, nil
	}
	u, err := p.holder(g.grant)
	if err != nil {
		return nil, nil //nolint:nilerr // it counts no longer
	}
	answer := p.describe(u, g.grant, g.Scope, g.Refresh.JKT)
	answer["iat"], answer["exp"] = g.Refresh.Issued, g.Refresh.Ends
	return answer, nil
}

// describe is what the answers have in common. It names nobody: the address is
// for userinfo and claims tokens.
func (p *Provider) describe(u *user, g grant, scope, jkt string) map[string]any {
	answer := map[string]any{
		"active": true, "iss": p.cfg.Issuer, "aud": p.cfg.Issuer, "sub": u.id, "client_id": g.Client, "auth_time": g.AuthTime,
	}
	if scope != "" {
		answer["scope"] = scope
	}
	if jkt != "" {
		answer["cnf"] = map[string]string{"jkt": jkt} // RFC 9449 §6.2
	}
	return answer
}
