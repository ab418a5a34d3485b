package umaapp

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// nodeRow is a process in an answer of the admin API, as the one that was asked sees
// it.
type nodeRow struct {
	ID      string    `json:"id"`
	Asked   bool      `json:"asked,omitempty"` // this is the one that answers
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started"`
	Beat    time.Time `json:"beat"`
	// Keys is `same`, `other` or `unknown`, Policies `same`, `newer`, `older` or
	// `other`; the worst of all issuers that both serve.
	Keys     string          `json:"keys"`
	Policies string          `json:"policies"`
	Issuers  []nodeIssuerRow `json:"issuers"`
}

type nodeIssuerRow struct {
	Role     string    `json:"role"`
	Issuer   string    `json:"issuer"`
	Keys     string    `json:"keys"`
	Revision string    `json:"policy_revision,omitempty"`
	Loaded   time.Time `json:"loaded,omitzero"`
	Policies string    `json:"policies,omitempty"`
}

func nodeRoutes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/uma/show/nodes", Handler: caddy.AdminHandlerFunc(serveNodes)}}
}

// nodesTime bounds the answer.
const nodesTime = 10 * time.Second

func serveNodes(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return apiError(http.StatusMethodNotAllowed, "this path takes GET")
	}
	app, err := currentAppFor("uma_server")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), nodesTime)
	defer cancel()
	rows, err := app.nodeRows(ctx)
	if err != nil {
		app.log.Error("the nodes could not be listed", zap.Error(err))
		return apiError(http.StatusServiceUnavailable, "the store cannot be read")
	}
	oauth.WriteJSON(w, http.StatusOK, map[string]any{"nodes": rows, "expires": beatExpires.Seconds()})
	return nil
}

// nodeRows is this process and the others that live. It writes no heartbeat: who has
// not used the store yet stands in no other's list.
func (a *App) nodeRows(ctx context.Context) ([]nodeRow, error) {
	me := a.record(ctx)
	rows := []nodeRow{me.seenBy(me)}
	rows[0].Asked = true
	if !a.shared() {
		return rows, nil
	}
	all, err := a.live(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range others(me, all) {
		rows = append(rows, n.seenBy(me))
	}
	return rows, nil
}

func (r nodeRecord) seenBy(me nodeRecord) nodeRow {
	mine := map[tenantName]nodeIssuer{}
	for _, i := range me.Issuers {
		mine[i.name()] = i
	}
	row := nodeRow{ID: r.id, Host: r.Host, Version: r.Version, Started: r.Started.UTC(), Beat: r.Beat.UTC(), Keys: "same", Policies: "same", Issuers: []nodeIssuerRow{}}
	for _, i := range r.Issuers {
		out := nodeIssuerRow{Role: i.Role, Issuer: i.Issuer, Keys: "unknown", Revision: i.Revision, Loaded: i.Loaded.UTC()}
		if own, both := mine[i.name()]; both {
			out.Keys, out.Policies = sameKeys(i, own), samePolicies(i, own)
			row.Keys = worst([]string{"same", "unknown", "other"}, row.Keys, out.Keys)
			row.Policies = worst([]string{"", "same", "other", "older", "newer"}, row.Policies, out.Policies)
		}
		row.Issuers = append(row.Issuers, out)
	}
	return row
}

func sameKeys(theirs, own nodeIssuer) string {
	switch {
	case theirs.Keys == "" || own.Keys == "":
		return "unknown"
	case theirs.Keys == own.Keys:
		return "same"
	}
	return "other"
}

func samePolicies(theirs, own nodeIssuer) string {
	switch {
	case theirs.Revision == "" && own.Revision == "":
		return ""
	case theirs.Revision == own.Revision:
		return "same"
	case newer(theirs, own):
		return "newer"
	case newer(own, theirs):
		return "older"
	}
	return "other"
}

// worst is the one of two words that stands later in the order.
func worst(order []string, a, b string) string {
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}
