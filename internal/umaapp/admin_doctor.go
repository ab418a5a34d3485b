package umaapp

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/finding"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func doctorRoutes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/uma/show/doctor", Handler: caddy.AdminHandlerFunc(serveDoctor)}}
}

// serveDoctor examines the configuration that runs now.
func serveDoctor(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return apiError(http.StatusMethodNotAllowed, "this path takes GET")
	}
	app, err := currentAppFor("uma_protect, uma_server or uma_sts")
	if err != nil {
		return err
	}
	all, ok := app.Examine(r.Context())
	if !ok {
		return apiError(http.StatusServiceUnavailable, "somebody else is examining this configuration at the moment")
	}
	if all == nil {
		all = []finding.Finding{}
	}
	oauth.WriteJSON(w, http.StatusOK, map[string]any{"verdict": finding.Worst(all), "findings": all})
	return nil
}
