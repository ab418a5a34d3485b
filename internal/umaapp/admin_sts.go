package umaapp

import (
	"maps"
	"net/http"
	"slices"
)

// administered is a security token service with something for administrators. Admin
// gives the handler, with paths below /show/ and /change/; nil = its users log in
// somewhere else.
type administered interface {
	Admin() http.Handler
}

// adminOfSTS finds the security token service in the configuration that runs now.
func adminOfSTS(issuer string) (http.Handler, error) {
	app, err := currentAppFor("uma_sts")
	if err != nil {
		return nil, err
	}
	if issuer, err = chosenIssuer("uma_sts", issuer, app.stsIssuers()); err != nil {
		return nil, err
	}
	app.registry.mu.RLock()
	sts := app.registry.sts[issuer].value
	app.registry.mu.RUnlock()
	if with, ok := sts.(administered); ok {
		if h := with.Admin(); h != nil {
			return h, nil
		}
	}
	return nil, apiError(http.StatusNotFound, "the users of "+issuer+" log in at another provider (upstream, wrap): their sessions are there")
}

// stsIssuers are those of the security token services, sorted.
func (a *App) stsIssuers() []string {
	a.registry.mu.RLock()
	defer a.registry.mu.RUnlock()
	return slices.Sorted(maps.Keys(a.registry.sts))
}
