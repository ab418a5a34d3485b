package op

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// grants is what a user who has logged in allows a client.
func (u *user) grants(client, scope string, authTime int64) grant {
	return grant{Client: client, User: u.name, Scope: scope, AuthTime: authTime, Password: passwordMark(u)}
}

// holder gives the user of a grant that still counts: he is there and has the
// same password, and the client may be used.
func (p *Provider) holder(g grant) (*user, error) {
	u := p.user(g.User)
	if u == nil || g.Password != passwordMark(u) {
		return nil, errUser
	}
	if _, ok := p.client(g.Client); !ok {
		return nil, errClient
	}
	return u, nil
}

// known tells whether a grant still counts.
func (p *Provider) known(g grant) bool {
	_, err := p.holder(g)
	return err == nil
}

// mint makes a grant with its first tokens, and the ops that record them. origin
// is what they come of, as a hash: the id of the grant.
func (p *Provider) mint(ctx context.Context, req tokenRequest, g grant, nonce, origin string) (*oauth.TokenResponse, []store.Op, error) {
	record := grantRecord{version: version{currentVersion}, grant: g}
	answer, access, err := p.issue(ctx, req, origin, record.grant, nonce)
	if err != nil {
		return nil, nil, err
	}
	answer.RefreshToken = p.startRefresh(&record, req, origin)
	doc, err := p.grantDoc(origin, record)
	return answer, []store.Op{store.Create(doc), access}, err
}

// issue makes the access token and the ID token of a grant, and the op that
// records the former. The user may be gone meanwhile.
func (p *Provider) issue(ctx context.Context, req tokenRequest, id string, g grant, nonce string) (*oauth.TokenResponse, store.Op, error) {
	u, err := p.holder(g)
	if err != nil {
		return nil, store.Op{}, oauth.Errorf(oauth.CodeInvalidGrant, "the user who allowed this is no longer known").Because(err)
	}
	idToken, err := p.idToken(ctx, u, g, nonce)
	if err != nil {
		return nil, store.Op{}, p.unavailable("ID token", err)
	}
	access, now := secret(), p.cfg.Now()
	doc, err := p.doc(kindAccessToken, access, id, now.Add(p.cfg.AccessLifetime), tokenRecord{
		version: version{currentVersion}, Grant: id, Scope: g.Scope, JKT: req.jkt, Issued: now.Unix(),
	})
	return &oauth.TokenResponse{
		AccessToken: access, TokenType: tokenType(req.jkt), ExpiresIn: int64(p.cfg.AccessLifetime / time.Second),
		Scope: g.Scope, IDToken: idToken,
	}, store.Create(doc), err
}

// tokenType: RFC 9449 §5.
func tokenType(jkt string) string {
	if jkt != "" {
		return oauth.SchemeDPoP
	}
	return "Bearer"
}

func (p *Provider) grantKey(id string) store.Key {
	return store.Key{Tenant: p.tenant, Kind: kindGrant, ID: id}
}

// grantDoc makes the document of a grant, found by its user, that outlives its
// last token.
func (p *Provider) grantDoc(id string, record grantRecord) (store.Doc, error) {
	expires := p.cfg.Now().Add(p.cfg.AccessLifetime)
	if r := record.Refresh; r != nil && r.Ends > expires.Unix() {
		expires = time.Unix(r.Ends, 0)
	}
	return document(p.grantKey(id), record.User, expires, record)
}

// loadGrant reads a grant; store.ErrNotFound if it has ended.
func (p *Provider) loadGrant(ctx context.Context, id string) (*grantRecord, store.Doc, error) {
	record := new(grantRecord)
	doc, err := p.read(ctx, p.grantKey(id), record)
	return record, doc, err
}

// tries is how often a change is made again that somebody else came before.
const tries = 100

// endGrant ends a grant and with it all its tokens; it is no matter if there is
// none.
func (p *Provider) endGrant(ctx context.Context, id, reason string) error {
	for range tries {
		record, doc, err := p.loadGrant(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = p.commit(ctx, store.Delete(doc.Key, doc.Rev))
		}
		switch {
		case err == nil:
			p.cfg.Observe(ctx, event.Revocation{Issuer: p.cfg.Issuer, ClientID: record.Client, Reason: reason})
			return nil
		case !errors.Is(err, store.ErrConflict):
			return p.unavailable("grant", err)
		}
	}
	return p.unavailable("grant", store.ErrConflict)
}

// endGrants ends what a user (the address in lower case) has granted a client, or,
// with "", all clients: every access and refresh token, at every node, at once.
func (p *Provider) endGrants(ctx context.Context, user, client, reason string) error {
	return p.endThose(ctx, user, reason, func(g *grantRecord) bool { return client == "" || g.Client == client })
}

// endThose ends the grants of a user that fit.
func (p *Provider) endThose(ctx context.Context, user, reason string, fits func(*grantRecord) bool) error {
	after := ""
	for {
		docs, err := p.cfg.Store.List(ctx, p.tenant, kindGrant, user, after, store.MaxOps)
		if err != nil {
			return p.unavailable("grant", err)
		}
		for _, doc := range docs {
			if err := p.endIf(ctx, doc, reason, fits); err != nil {
				return err
			}
			after = doc.ID
		}
		if len(docs) < store.MaxOps {
			return nil
		}
	}
}

func (p *Provider) endIf(ctx context.Context, doc store.Doc, reason string, fits func(*grantRecord) bool) error {
	record := new(grantRecord)
	err := p.decode(doc, record)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return p.unavailable("grant", err)
	case !fits(record):
		return nil
	}
	return p.endGrant(ctx, doc.ID, reason)
}
