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
	errUser   = errors.New("its user is no longer in the configuration")
	errClient = errors.New("its client is disabled or no longer in the configuration")
)

// Resolve finds the user of an access token. oauth.ErrSubjectToken (wrapped) when
// there is none; any other error means that it could not be found out. The stored
// row alone decides: codes, ID tokens and texts of others are no access tokens
// (CONFORMANCE CA-02, CA-13).
func (p *Provider) Resolve(ctx context.Context, token string) (oauth.Subject, error) {
	if !isSecret(token) {
		return oauth.Subject{}, notSubject(errForm)
	}
	var record tokenRecord
	doc, err := p.load(ctx, kindAccessToken, token, &record)
	if errors.Is(err, store.ErrNotFound) {
		return oauth.Subject{}, notSubject(errGone)
	}
	if err != nil {
		return oauth.Subject{}, fmt.Errorf("op: reading an access token: %w", err)
	}
	u := p.user(record.User)
	if u == nil {
		return oauth.Subject{}, notSubject(errUser)
	}
	if _, ok := p.client(record.Client); !ok {
		return oauth.Subject{}, notSubject(errClient)
	}
	return oauth.Subject{
		Issuer: p.cfg.Issuer, ID: u.id, ClientID: record.Client, Email: u.Email, EmailVerified: true,
		Claims: maps.Clone(u.Claims), Audience: []string{p.cfg.Issuer}, Self: p.cfg.Issuer, Expires: doc.Expires,
	}, nil
}

func notSubject(cause error) error { return fmt.Errorf("%w: %w", oauth.ErrSubjectToken, cause) }
