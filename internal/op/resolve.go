package op

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

var (
	errForm   = errors.New("it does not have the form of one of our access tokens")
	errGone   = errors.New("it is unknown, expired or revoked")
	errUser   = errors.New("its user is no longer in the configuration, or has another password")
	errClient = errors.New("its client is disabled or no longer in the configuration")
)

// liveToken is an access token that counts at this moment.
type liveToken struct {
	tokenRecord
	doc   store.Doc
	grant grant
	user  *user
}

// accessToken finds an access token: the one place where it is decided what is
// one. oauth.ErrSubjectToken (wrapped) when it is none; any other error means that
// it could not be found out. The stored rows alone decide: codes, ID tokens,
// refresh tokens and texts of others are no access tokens, be they sealed or
// signed with our own keys (CONFORMANCE CA-02, CA-13).
func (p *Provider) accessToken(ctx context.Context, text string) (*liveToken, error) {
	if !isSecret(text) {
		return nil, notSubject(errForm)
	}
	t := new(liveToken)
	var err error
	if t.doc, err = p.load(ctx, kindAccessToken, text, &t.tokenRecord); err != nil {
		return nil, gone(err)
	}
	record, _, err := p.loadGrant(ctx, t.Grant)
	if err != nil {
		return nil, gone(err)
	}
	t.grant = record.grant
	if t.user, err = p.holder(t.grant); err != nil {
		return nil, notSubject(err)
	}
	return t, nil
}

// Resolve finds the user of an access token. oauth.ErrSubjectToken (wrapped) when
// there is none; any other error means that it could not be found out.
func (p *Provider) Resolve(ctx context.Context, token string) (oauth.Subject, error) {
	t, err := p.accessToken(ctx, token)
	if err != nil {
		return oauth.Subject{}, err
	}
	return oauth.Subject{
		Issuer: p.cfg.Issuer, ID: t.user.id, ClientID: t.grant.Client, Email: t.user.Email, EmailVerified: true,
		Claims: maps.Clone(t.user.Claims), Audience: []string{p.cfg.Issuer}, Self: p.cfg.Issuer,
		JKT: t.JKT, Expires: t.doc.Expires,
	}, nil
}

func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notSubject(errGone)
	}
	return fmt.Errorf("op: reading an access token: %w", err)
}

func notSubject(cause error) error { return fmt.Errorf("%w: %w", oauth.ErrSubjectToken, cause) }
