package op

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// A refresh token is rt_ and base64url(id of the grant ‖ 256 random bits). The
// grant remembers the hash of the one that is good; whatever else names the grant
// is an old one. So nothing is stored for each token that was ever used, and its
// reuse is seen all the same, until the end of the family.
const (
	prefixRefresh = "rt_"
	refreshPart   = 32 // bytes of the id, and of the secret
)

func newRefreshToken(grant string) string {
	raw, _ := oauth.DecodeBase64(grant) // our own text
	var random [refreshPart]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand
	return prefixRefresh + base64.RawURLEncoding.EncodeToString(append(raw, random[:]...))
}

// grantOfRefresh tells which grant a refresh token names. It proves nothing.
func grantOfRefresh(token string) (id string, ok bool) {
	text, ok := strings.CutPrefix(token, prefixRefresh)
	if !ok || len(text) != base64.RawURLEncoding.EncodedLen(2*refreshPart) {
		return "", false
	}
	raw, err := oauth.DecodeBase64(text)
	if err != nil {
		return "", false
	}
	return base64.RawURLEncoding.EncodeToString(raw[:refreshPart]), true
}

// startRefresh gives a grant its first refresh token, if the user allowed that
// (OpenID Connect Core §11), and the end of the family.
func (p *Provider) startRefresh(record *grantRecord, req tokenRequest, id string) string {
	if !hasScope(record.Scope, scopeOffline) {
		return ""
	}
	record.Refresh = &refreshState{Ends: p.cfg.Now().Add(p.cfg.RefreshLifetime).Unix()}
	return p.rotate(record.Refresh, req, id)
}

// rotate replaces the refresh token. That of a public client is bound to the key
// that it shows, from the first time on (RFC 9449 §5); the others are bound to
// the client's credentials.
func (p *Provider) rotate(state *refreshState, req tokenRequest, id string) string {
	token := newRefreshToken(id)
	state.Current, state.Issued = hashID(token), p.cfg.Now().Unix()
	if req.public {
		state.JKT = req.jkt
	}
	return token
}

// refresh is the refresh_token grant (RFC 6749 §6). Each token is good for one
// use. The second use, be it at the same moment, ends the family: nobody can tell
// a client that races with itself from a thief (RFC 9700 §2.2.2, §4.14.2).
func (p *Provider) refresh(ctx context.Context, req tokenRequest) (*oauth.TokenResponse, error) {
	token := req.form.Get("refresh_token")
	if token == "" {
		return nil, oauth.Errorf(oauth.CodeInvalidRequest, "refresh_token is missing")
	}
	for range tries {
		answer, err := p.refreshOnce(ctx, req, token)
		if !errors.Is(err, store.ErrConflict) {
			return answer, err
		}
	}
	return nil, p.unavailable("refresh token", store.ErrConflict)
}

// refreshOnce gives store.ErrConflict if the grant has changed meanwhile.
func (p *Provider) refreshOnce(ctx context.Context, req tokenRequest, token string) (*oauth.TokenResponse, error) {
	id, record, old, err := p.refreshable(ctx, req, token)
	if err != nil {
		return nil, err
	}
	less := record.grant
	if less.Scope, err = narrow(record.Scope, req.form.Get("scope")); err != nil {
		return nil, err
	}
	answer, access, err := p.issue(ctx, req, id, less, "") // OpenID Connect Core §12.2: no nonce
	if err != nil {
		return nil, err
	}
	answer.RefreshToken = p.rotate(record.Refresh, req, id)
	doc, err := p.grantDoc(id, *record)
	if err != nil {
		return nil, err
	}
	doc.Rev = old.Rev
	err = p.commit(ctx, store.Swap(doc), access)
	switch {
	case errors.Is(err, store.ErrConflict):
		return nil, store.ErrConflict
	case err != nil:
		return nil, p.unavailable("refresh token", err)
	}
	return answer, nil
}

// refreshable gives the grant that a refresh token is good for. Only the client
// that it was issued to, with its key, gets so far as to end a family.
func (p *Provider) refreshable(ctx context.Context, req tokenRequest, token string) (string, *grantRecord, store.Doc, error) {
	id, ok := grantOfRefresh(token)
	if !ok {
		return "", nil, store.Doc{}, invalidRefresh()
	}
	record, doc, err := p.loadGrant(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil, doc, invalidRefresh()
	case err != nil:
		return "", nil, doc, p.unavailable("refresh token", err)
	case record.Client != req.client || !record.Refresh.usable(req, p.cfg.Now().Unix()):
		return "", nil, doc, invalidRefresh()
	case !record.Refresh.is(token):
		return "", nil, doc, p.reused(ctx, id)
	case !p.known(record.grant):
		// Not ended: another node may have newer settings than this one.
		return "", nil, doc, invalidRefresh()
	}
	return id, record, doc, nil
}

// is tells whether a text is the refresh token that is good, in constant time.
func (r *refreshState) is(token string) bool { return r != nil && equalHash(r.Current, hashID(token)) }

// usable tells whether there is a refresh token and the client has shown its key.
func (r *refreshState) usable(req tokenRequest, now int64) bool {
	return r != nil && now < r.Ends && (r.JKT == "" || r.JKT == req.jkt)
}

// reused ends a family before the refusal leaves.
func (p *Provider) reused(ctx context.Context, id string) error {
	if err := p.endGrant(ctx, id, "a refresh token was used again"); err != nil {
		return err
	}
	return invalidRefresh()
}

// narrow gives what is left of a scope: never more than was granted (RFC 6749
// §6). What was granted itself stays for the next time.
func narrow(granted, asked string) (string, error) {
	want := strings.Fields(asked)
	if len(want) == 0 {
		return granted, nil
	}
	for _, scope := range want {
		if !hasScope(granted, scope) {
			return "", oauth.Errorf(oauth.CodeInvalidScope, "a scope was not granted")
		}
	}
	left := slices.DeleteFunc(strings.Fields(granted), func(s string) bool { return !slices.Contains(want, s) })
	return strings.Join(left, " "), nil
}

func invalidRefresh() *oauth.Error {
	return oauth.Errorf(oauth.CodeInvalidGrant, "the refresh token is unknown, expired, revoked or was used before, or does not belong to this client or key")
}
