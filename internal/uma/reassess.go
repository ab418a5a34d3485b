package uma

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// stillGranted tells whether the policies of now allow a grant that was made
// under older ones; if not, it ends (CONFORMANCE UG-60). What was granted is
// evaluated again as it was asked then: claims, client, time and all. Nothing is
// evaluated while the policies stay the same (UMA Grant §3.6). The error wraps
// store.ErrConflict if the grant was changed in the meantime.
func (s *Server) stillGranted(ctx context.Context, g *grant) (bool, error) {
	if blocked, err := s.endBlocked(ctx, g); err != nil || blocked {
		return false, err
	}
	if g.rec.Revision == s.cfg.PolicyRevision {
		return true, nil
	}
	// What is not registered now cannot be asked about. It goes for good, or it
	// would be back with its scope under policies that never allowed it.
	what, err := s.existing(ctx, g.rec, g.rec.Permissions)
	if err != nil {
		return false, err
	}
	g.rec.Permissions = what
	granted, err := s.reassess(ctx, g)
	if err != nil {
		return false, err
	}
	if !granted {
		return false, s.endGrant(ctx, g.id, "the policies changed", false)
	}
	g.rec.Revision = s.cfg.PolicyRevision
	if err := s.saveGrant(ctx, g); err != nil {
		return false, err
	}
	return true, nil
}

// reassess evaluates all permissions of a grant. A decision that is not there any
// more allows nothing.
func (s *Server) reassess(ctx context.Context, g *grant) (bool, error) {
	past, who, kept, err := s.pastDecision(ctx, g.rec.DecisionID)
	if unreadable(err) {
		return false, nil
	}
	if err != nil {
		return false, s.unavailable("decision", err)
	}
	if s.cfg.Finder.Rule(who.Email.Domain).Deny || s.unpinned(who) {
		return false, nil
	}
	q := question{
		rs: s.servers[g.rec.ResourceServer], party: who, client: past.Client, bound: past.Confirm,
		method: kept.Method, ip: kept.IP, now: past.at(), decisionID: g.rec.DecisionID,
	}
	for _, p := range g.rec.Permissions {
		allowed, err := s.allowedNow(ctx, q, g.rec, p, scopesOf(past.Asked, p.ResourceID))
		if err != nil || !allowed {
			return false, err
		}
	}
	return true, nil
}

// unreadable tells a decision that is gone, or whose keys are, from one that
// cannot be read at the moment.
func unreadable(err error) bool { return absent(err) || errors.Is(err, seal.ErrOpen) }

// allowedNow asks about one permission, for as much of it as is still registered.
// Conditions see the scopes that were asked for together with it.
func (s *Server) allowedNow(ctx context.Context, q question, rec grantRecord, p oauth.Permission, asked []string) (bool, error) {
	resource, found, err := s.ownResource(ctx, p.ResourceID, rec.ResourceServer, rec.Owner)
	if err != nil {
		return false, err
	}
	live := common(p.ResourceScopes, resource.Scopes)
	if !found || len(live) == 0 && len(p.ResourceScopes) > 0 {
		return true, nil // there is nothing that it could open
	}
	q.resource = requested{id: p.ResourceID, rec: resource, scopes: common(resource.Scopes, slices.Concat(live, asked))}
	for _, r := range s.rule(ctx, q) {
		if !r.allowed && (r.scope == "" || slices.Contains(live, r.scope)) {
			return false, nil
		}
	}
	return true, nil
}

func scopesOf(list []oauth.Permission, id string) []string {
	for _, p := range list {
		if p.ResourceID == id {
			return p.ResourceScopes
		}
	}
	return nil
}
