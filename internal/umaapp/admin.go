package umaapp

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// adminAPI is the module admin.api.uma: what administrators may ask of, and
// change at, the authorization servers of the running configuration. Looking and
// changing have a path of their own each, so that the permissions of Caddy's
// remote administration can tell them apart:
//
//	/uma/show/as/…      domains, domains/DOMAIN, decisions/ID, blocks, resources, explain
//	/uma/change/as/…    domains/accept, domains/forget, block, unblock
//	/uma/show/rs/…      resources/diff: what resource servers declare, and what is registered
//	/uma/show/nodes     the processes that share the store
//	/uma/show/keys      the keys of authorization servers and token services
//	/uma/change/keys/…  rotate, retire, import
//
// With several servers ?issuer= says which is meant.
type adminAPI struct{}

// CaddyModule implements caddy.Module.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.uma", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	routes := slices.Concat(keyRoutes(), resourceRoutes(), nodeRoutes())
	for _, what := range []string{"/show/", "/change/"} {
		prefix := "/uma" + what + "as/"
		routes = append(routes, caddy.AdminRoute{
			Pattern: prefix,
			Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
				return handOver(w, r, what+strings.TrimPrefix(r.URL.Path, prefix))
			}),
		})
	}
	return routes
}

func handOver(w http.ResponseWriter, r *http.Request, to string) error {
	if path.Clean(to) != to { // %2e%2e: who may look could change
		return apiError(http.StatusNotFound, "there is no such path")
	}
	as, err := currentAS(r.URL.Query().Get("issuer"))
	if err != nil {
		return err
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = to, ""
	as.Admin().ServeHTTP(w, r)
	return nil
}

// currentApp is the app of the configuration that runs now. The admin endpoint is
// made before the apps of its configuration are, and outlives those of one that
// could not be loaded, so nothing is kept of either.
func currentApp() (*App, error) { return currentAppFor("uma_server") }

// currentAppFor is currentApp for who asks for another directive.
func currentAppFor(directive string) (*App, error) {
	module, err := caddy.ActiveContext().AppIfConfigured("uma")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, noServer(directive)
	}
	if err != nil {
		return nil, err
	}
	app, ok := module.(*App)
	if !ok {
		return nil, fmt.Errorf("the app uma is a %T", module)
	}
	return app, nil
}

// currentAS finds the authorization server in the configuration that runs now.
func currentAS(issuer string) (LocalAS, error) {
	app, err := currentApp()
	if err != nil {
		return nil, err
	}
	issuers := app.issuers()
	switch {
	case len(issuers) == 0:
		return nil, noServer("uma_server")
	case issuer == "" && len(issuers) > 1:
		return nil, apiError(http.StatusBadRequest, "several uma_server run here: say which with issuer=, one of "+strings.Join(issuers, ", "))
	case issuer == "":
		issuer = issuers[0]
	}
	as, ok := app.AS(issuer)
	if !ok {
		return nil, apiError(http.StatusNotFound, "no uma_server has this issuer; there is "+strings.Join(issuers, ", "))
	}
	return as, nil
}

func noServer(directive string) error {
	return apiError(http.StatusNotFound, "the running configuration has no "+directive)
}

func apiError(status int, text string) error {
	return caddy.APIError{HTTPStatus: status, Err: errors.New(text), Message: text}
}

// Interface guards.
var _ caddy.AdminRouter = adminAPI{}
