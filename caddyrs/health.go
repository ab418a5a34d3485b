package caddyrs

import (
	"context"
	"errors"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/statuslist"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

// registerChecks makes the group known to uma_health.
func (g *group) registerChecks(app *umaapp.App, issuer, clientID string) {
	for name, do := range map[string]func(context.Context) error{
		health.CheckAS: g.reachable, health.CheckStatusList: g.statusLists,
	} {
		app.RegisterCheck(health.Check{Name: name, Role: "rs", Issuer: issuer, ClientID: clientID, Do: do})
	}
}

func (g *group) reachable(ctx context.Context) error {
	for _, server := range g.all() {
		err := server.Reachable(ctx)
		if errors.Is(err, rs.ErrRefused) {
			return &health.Error{Reason: rs.ErrRefused.Error(), Err: err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// statusLists: as long as the last list may still be used requests pass.
func (g *group) statusLists(context.Context) error {
	var stale error
	for _, server := range g.all() {
		switch err := server.StatusLists(); {
		case errors.Is(err, statuslist.ErrStale):
			stale = &health.Error{Mild: true, Err: err}
		case err != nil:
			return &health.Error{Reason: "the status list is too old to be used", Err: err}
		}
	}
	return stale
}
