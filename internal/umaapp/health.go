package umaapp

import (
	"context"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

// RegisterCheck adds a check of this configuration. It is for Provision.
func (a *App) RegisterCheck(c health.Check) { a.health.Add(c) }

// Health implements health.Source.
func (a *App) Health(ctx context.Context) ([]health.Result, error) {
	a.ownHealth.Do(a.ownChecks)
	return a.health.Report(ctx, a.now, a.log)
}

// ownChecks are those that the app knows of itself. Which there are hangs on what the
// directives of the configuration asked for, so they are made at the first question.
func (a *App) ownChecks() {
	tenants := a.tenants()
	for _, name := range tenants {
		a.RegisterCheck(health.Check{Name: health.CheckKeys, Role: name.role, Issuer: name.issuer, Do: func(ctx context.Context) error {
			return a.checkKeys(ctx, name)
		}})
	}
	if !a.nodes.storeWanted.Load() && (a.Keys != keysStore || len(tenants) == 0) {
		return // nothing is kept
	}
	a.RegisterCheck(health.Check{Name: health.CheckStore, Do: a.beat})
	if a.shared() {
		a.RegisterCheck(health.Check{Name: health.CheckNodes, Do: a.checkNodes})
		a.RegisterCheck(health.Check{Name: health.CheckPolicies, Do: a.checkPolicies})
	}
}

// checkKeys: each ring has a key to use. One that was not needed yet gets its first
// one: a node that has just been started must be found good before a balancer sends it
// anything.
func (a *App) checkKeys(ctx context.Context, name tenantName) error {
	for _, r := range a.ringsOf(ringKey{role: name.role, issuer: name.issuer}) {
		if err := r.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}
