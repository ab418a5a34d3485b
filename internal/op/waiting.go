package op

import (
	"context"
	"errors"

	"github.com/caddy-uma/caddy-uma/internal/store"
)

// endAccess ends what a user has granted a client, or, with "", all clients: what
// waits to be redeemed first (a code, a device that was approved), then the grants.
// A redemption deletes the one and makes the other in one commit, so whatever it
// wins against the first step the second one finds.
func (p *Provider) endAccess(ctx context.Context, u *user, client, reason string) error {
	if err := p.endWaiting(ctx, u.name, client); err != nil {
		return err
	}
	return p.endGrants(ctx, u.name, client, reason)
}

// endWaiting ends what of a user's waits to be redeemed.
func (p *Provider) endWaiting(ctx context.Context, user, client string) error {
	for _, kind := range []string{kindCode, kindDevice} {
		if err := p.endWaitingOf(ctx, kind, user, client); err != nil {
			return p.unavailable("grant", err)
		}
	}
	return nil
}

// endWaitingOf deletes the documents of one kind. Their number is bounded by their
// short life and the limits on logins.
func (p *Provider) endWaitingOf(ctx context.Context, kind, user, client string) error {
	after := ""
	for {
		docs, err := p.cfg.Store.List(ctx, p.tenant, kind, user, after, store.MaxOps)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			var waiting struct {
				version
				grant
			}
			if err := p.decode(doc, &waiting); err != nil || client != "" && waiting.Client != client {
				continue // nobody can redeem what cannot be read
			}
			if err := p.commit(ctx, store.Delete(doc.Key, doc.Rev)); err != nil && !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
		if len(docs) < store.MaxOps {
			return nil
		}
		after = docs[len(docs)-1].ID
	}
}
