package op

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// revoke is the revocation endpoint (RFC 7009 §2). It answers alike for what is
// revoked, what was never issued and what is another client's (§2.2): nobody
// learns which tokens exist.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	if !p.allowAll(w, r, http.MethodPost) {
		return
	}
	client, token, err := p.tokenOf(r)
	if err == nil {
		err = p.revokeToken(r.Context(), client.ID, token)
	}
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revokeToken does not look at token_type_hint: each kind of token can be told by
// its form, so a wrong hint does no harm (RFC 7009 §2.1).
func (p *Provider) revokeToken(ctx context.Context, client, token string) error {
	if id, ok := grantOfRefresh(token); ok {
		return p.revokeRefresh(ctx, client, id)
	}
	if !isSecret(token) {
		return nil
	}
	return p.revokeAccess(ctx, client, token)
}

// revokeRefresh ends the whole grant (RFC 7009 §2.1). An old token will do: a
// client that lost an answer has no other, and whoever else has it is a thief.
func (p *Provider) revokeRefresh(ctx context.Context, client, id string) error {
	g, _, err := p.loadGrant(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return p.unavailable("refresh token", err)
	case g.Client != client || g.Refresh == nil:
		return nil
	}
	return p.endGrant(ctx, id, revokedByClient)
}

const revokedByClient = "revoked by the client"

// revokeAccess ends one access token; the refresh token of its grant goes on.
func (p *Provider) revokeAccess(ctx context.Context, client, token string) error {
	var t tokenRecord
	doc, err := p.load(ctx, kindAccessToken, token, &t)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return p.unavailable("access token", err)
	}
	g, _, err := p.loadGrant(ctx, t.Grant)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return p.unavailable("access token", err)
	case g.Client != client:
		return nil
	}
	err = p.commit(ctx, store.Delete(doc.Key, doc.Rev))
	switch {
	case errors.Is(err, store.ErrConflict): // somebody else did
		return nil
	case err != nil:
		return p.unavailable("access token", err)
	}
	p.cfg.Observe(ctx, event.Revocation{Issuer: p.cfg.Issuer, ClientID: client, Reason: revokedByClient})
	return nil
}
