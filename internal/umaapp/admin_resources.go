package umaapp

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// LocalRS is the resource servers of one configuration that share a client at an
// authorization server.
type LocalRS interface {
	// ResourceDiff compares what they declare with what the authorization server
	// has. It changes nothing; the answer becomes JSON.
	ResourceDiff(ctx context.Context) (any, error)
}

type rsKey struct{ issuer, clientID string }

// RegisterRS remembers resource servers of this configuration, for administrators.
func (a *App) RegisterRS(issuer, clientID string, rs LocalRS) {
	r := &a.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rs == nil {
		r.rs = map[rsKey]LocalRS{}
	}
	r.rs[rsKey{issuer, clientID}] = rs
}

// rsDiff is an entry of an answer: a comparison, or why there is none.
type rsDiff struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Diff     any    `json:"diff,omitempty"`
	Error    string `json:"error,omitempty"`

	rs LocalRS
}

// resourceServers are those that fit; "" fits all.
func (a *App) resourceServers(issuer, clientID string) []rsDiff {
	a.registry.mu.RLock()
	defer a.registry.mu.RUnlock()
	var all []rsDiff
	for key, rs := range a.registry.rs {
		if (issuer == "" || issuer == key.issuer) && (clientID == "" || clientID == key.clientID) {
			all = append(all, rsDiff{Issuer: key.issuer, ClientID: key.clientID, rs: rs})
		}
	}
	slices.SortFunc(all, func(x, y rsDiff) int {
		return cmp.Or(cmp.Compare(x.Issuer, y.Issuer), cmp.Compare(x.ClientID, y.ClientID))
	})
	return all
}

// diffTime bounds the comparison for one client.
const diffTime = 20 * time.Second

func resourceRoutes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/uma/show/rs/resources/diff", Handler: caddy.AdminHandlerFunc(serveDiff)}}
}

func serveDiff(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return apiError(http.StatusMethodNotAllowed, "this path takes GET")
	}
	if err := onlyParams(r, "issuer", "client_id"); err != nil {
		return err
	}
	app, err := currentAppFor("uma_protect")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	all := app.resourceServers(q.Get("issuer"), q.Get("client_id"))
	if len(all) == 0 {
		return app.noResourceServer()
	}
	for i := range all {
		all[i].compare(r.Context(), app.log)
	}
	oauth.WriteJSON(w, http.StatusOK, map[string]any{"resource_servers": all})
	return nil
}

func (d *rsDiff) compare(ctx context.Context, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, diffTime)
	defer cancel()
	var err error
	if d.Diff, err = d.rs.ResourceDiff(ctx); err != nil {
		d.Diff, d.Error = nil, err.Error()
		log.Error("registered resources could not be compared", zap.String("client_id", d.ClientID), zap.String("iss", d.Issuer), zap.Error(err))
	}
}

// noResourceServer says which there are.
func (a *App) noResourceServer() error {
	all := a.resourceServers("", "")
	if len(all) == 0 {
		return noServer("uma_protect")
	}
	return apiError(http.StatusNotFound, fmt.Sprintf("no uma_protect has this issuer and client_id; there is '%s' at %s, among %d", all[0].ClientID, all[0].Issuer, len(all)))
}
