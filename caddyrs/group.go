package caddyrs

import (
	"context"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// groupKey is in the pool: a group belongs to one configuration.
type groupKey struct{ app, issuer, clientID any }

// group is the resource servers of one configuration that share a client at an
// authorization server: what one of them declares is registered for all.
type group struct {
	mu      sync.Mutex
	servers []*rs.Server
}

// Destruct implements caddy.Destructor.
func (*group) Destruct() error { return nil }

// group gives that of the handler, and makes it known to administrators.
func (h *Handler) group(app *umaapp.App) (*group, error) {
	v, err := h.take(groupKey{app, h.Issuer, h.ClientID}, func() (caddy.Destructor, error) {
		g := new(group)
		app.RegisterRS(h.Issuer, h.ClientID, g)
		g.registerChecks(app, h.Issuer, h.ClientID)
		app.RegisterExamine(g.examine(h.Issuer, h.ClientID))
		return g, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*group), nil
}

func (g *group) add(server *rs.Server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.servers = append(g.servers, server)
}

func (g *group) all() []*rs.Server {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.servers)
}

// ResourceDiff implements umaapp.LocalRS.
func (g *group) ResourceDiff(ctx context.Context) (any, error) {
	servers := g.all()
	diffs := make([]*rs.Diff, len(servers))
	for i, server := range servers {
		var err error
		if diffs[i], err = server.Diff(ctx); err != nil {
			return nil, err
		}
	}
	return rs.JoinDiffs(diffs...), nil
}

var _ umaapp.LocalRS = (*group)(nil)
