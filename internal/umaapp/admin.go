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
// change at, the servers of the running configuration. Looking and changing have a
// path of their own each, so that the permissions of Caddy's remote administration can
// tell them apart:
//
//	/uma/show/as/…      domains, domains/DOMAIN, blocks, clients, client, resource-servers,
//	                    resource-server, resources, resources/ID, grants, grants/ID,
//	                    grants/search, decisions, decisions/ID, decisions/search, explain
//	/uma/change/as/…    domains/accept, domains/forget, block, unblock, clients/revoke,
//	                    resources/revoke, grants/revoke
//	/uma/show/sts/…     sessions, sessions/ID, sessions/search
//	/uma/change/sts/…   sessions/revoke
//	/uma/show/rs/…      resources/diff: what resource servers declare, and what is registered
//	/uma/show/nodes     the processes that share the store
//	/uma/show/doctor    what is wrong with the running configuration, and the cure
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
	routes := slices.Concat(keyRoutes(), resourceRoutes(), nodeRoutes(), doctorRoutes())
	for role, find := range map[string]func(issuer string) (http.Handler, error){"as/": adminOfAS, "sts/": adminOfSTS} {
		for _, what := range []string{"/show/", "/change/"} {
			prefix := "/uma" + what + role
			routes = append(routes, caddy.AdminRoute{
				Pattern: prefix,
				Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					return handOver(w, r, what+strings.TrimPrefix(r.URL.Path, prefix), find)
				}),
			})
		}
	}
	return routes
}

func handOver(w http.ResponseWriter, r *http.Request, to string, find func(issuer string) (http.Handler, error)) error {
	if path.Clean(to) != to { // %2e%2e: who may look could change
		return apiError(http.StatusNotFound, "there is no such path")
	}
	engine, err := find(r.URL.Query().Get("issuer"))
	if err != nil {
		return err
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = to, ""
	engine.ServeHTTP(w, r)
	return nil
}

func adminOfAS(issuer string) (http.Handler, error) {
	as, err := currentAS(issuer)
	if err != nil {
		return nil, err
	}
	return as.Admin(), nil
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
	issuer, err = chosenIssuer("uma_server", issuer, app.issuers())
	if err != nil {
		return nil, err
	}
	as, _ := app.AS(issuer)
	return as, nil
}

// chosenIssuer is the one that is named, or the only one there is.
func chosenIssuer(directive, issuer string, issuers []string) (string, error) {
	switch {
	case len(issuers) == 0:
		return "", noServer(directive)
	case issuer == "" && len(issuers) > 1:
		return "", apiError(http.StatusBadRequest, "several "+directive+" run here: say which with issuer=, one of "+strings.Join(issuers, ", "))
	case issuer == "":
		return issuers[0], nil
	case !slices.Contains(issuers, issuer):
		return "", apiError(http.StatusNotFound, "no "+directive+" has this issuer; there is "+strings.Join(issuers, ", "))
	}
	return issuer, nil
}

func noServer(directive string) error {
	return apiError(http.StatusNotFound, "the running configuration has no "+directive)
}

func apiError(status int, text string) error {
	return caddy.APIError{HTTPStatus: status, Err: errors.New(text), Message: text}
}

// Interface guards.
var _ caddy.AdminRouter = adminAPI{}
