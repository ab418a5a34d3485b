package umaapp

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Endpoints is what an engine serves.
type Endpoints interface {
	http.Handler
	// Handles tells whether a path is one of its own.
	Handles(path string) bool
}

// Gate stands in front of the endpoints of an issuer: other paths go to the next
// handler, and requests that did not come by TLS are refused (UMA Fed §1.3,
// CONFORMANCE UF-01, SEC-24).
type Gate struct {
	endpoints Endpoints
	plain     *Plain
}

// NewGate makes a Gate.
func NewGate(endpoints Endpoints, issuer string, log *zap.Logger) *Gate {
	return &Gate{endpoints: endpoints, plain: NewPlain(log, zap.String("iss", issuer))}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !g.endpoints.Handles(r.URL.Path) {
		return next.ServeHTTP(w, r)
	}
	if g.Admit(w, r) {
		defer oauth.BoundBody(w, r, oauth.BodyTime)()
		g.endpoints.ServeHTTP(w, r)
	}
	return nil
}

// Admit tells whether a request came by TLS, and refuses it if not.
func (g *Gate) Admit(w http.ResponseWriter, r *http.Request) bool {
	if !g.plain.Refuses(r) {
		return true
	}
	oauth.WriteError(w, &oauth.Error{
		Code: oauth.CodeInvalidRequest, Status: http.StatusForbidden,
		Description: "this endpoint is served over https only; a proxy in front must be trusted and say X-Forwarded-Proto: https",
	})
	return false
}
