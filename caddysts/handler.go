// Package caddysts is the Caddy adapter of the security token service: the
// directive uma_sts and the module http.handlers.uma_sts. It turns JSON or a
// Caddyfile into the settings of internal/sts (the service) and internal/op
// (the embedded OpenID provider) and hands requests to them.
package caddysts

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	_ "github.com/caddy-uma/caddy-uma/internal/umaapp/cli" // the command `caddy uma`
)

func init() {
	caddy.RegisterModule(Handler{})
	umaapp.RegisterEndpoints(directive, func() *Handler { return new(Handler) })
}

// Handler is a security token service: it exchanges access tokens of its users
// for claims tokens that are bound to one UMA permission ticket and made for
// one resource server.
//
// It answers `/.well-known/openid-configuration`,
// `/.well-known/oauth-authorization-server`, `/.well-known/webfinger` and what
// lies below `{issuer}/sts/`; every other request goes to the next handler.
// Requests that did not come by TLS are refused.
type Handler struct {
	// The issuer identifier, an https URL without query or fragment. Required.
	// It is never taken from a request.
	Issuer string `json:"issuer,omitempty"`
	// The e-mail domains whose addresses this server vouches for, and for which
	// it answers WebFinger. Default: the host of the issuer.
	EmailDomains []string `json:"email_domains,omitempty"`
	// The embedded OpenID provider. Required for the time being.
	Provider *Provider `json:"provider,omitempty"`
	// The clients that may exchange tokens. Default: the public client
	// `caddy-uma` with the redirect URI `http://127.0.0.1/callback`.
	Clients []Client `json:"clients,omitempty"`
	// Who may receive claims. Default: nobody. The most specific entry counts.
	Targets []Target `json:"targets,omitempty"`
	// Who may never receive claims, whatever `targets` says: URI prefixes and
	// logical names.
	DenyTargets []string `json:"deny_targets,omitempty"`
	// The claims released to targets without a list of their own, besides
	// `sub`, `email` and `email_verified`. Default: none.
	Releases []string `json:"releases,omitempty"`
	// How long tokens live.
	Lifetime Lifetime `json:"lifetime,omitzero"`
	// How often a user may exchange a token, and how often one may try to log in.
	RateLimit RateLimits `json:"rate_limit,omitzero"`
	// How far clocks may differ; keys are kept that much longer. Default: 60s.
	Leeway caddy.Duration `json:"leeway,omitempty"`
	// Whether pages of other origins are kept from token endpoint, metadata and
	// keys. Default: allowed, without credentials of the browser.
	NoCORS bool `json:"no_cors,omitempty"`

	service  *service
	log      *zap.Logger
	insecure *sync.Once
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.uma_sts",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the configuration and builds the service. Keys and store are
// opened at first use.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log, h.insecure = ctx.Logger(), new(sync.Once)
	if err := h.check(); err != nil {
		return named(err)
	}
	app, err := umaapp.Get(ctx)
	if err != nil {
		return named(err)
	}
	if h.service, err = h.build(app); err != nil {
		return named(err)
	}
	h.warn()
	return nil
}

// named puts the directive in front of an error, unless it is there already.
func named(err error) error {
	if strings.HasPrefix(err.Error(), directive) {
		return err
	}
	return fmt.Errorf("%s: %w", directive, err)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !h.service.handles(r.URL.Path) {
		return next.ServeHTTP(w, r)
	}
	if !umaapp.Secure(r) {
		h.refuse(w)
		return nil
	}
	h.service.ServeHTTP(w, r)
	return nil
}

// refuse answers a request in clear (CONFORMANCE SEC-24). One log line is
// enough: the cause is the configuration.
func (h *Handler) refuse(w http.ResponseWriter) {
	h.insecure.Do(func() {
		h.log.Error("refused a request that did not come by TLS; behind a load balancer set trusted_proxies and X-Forwarded-Proto",
			zap.String("iss", h.Issuer))
	})
	oauth.WriteError(w, &oauth.Error{
		Code: oauth.CodeInvalidRequest, Status: http.StatusForbidden,
		Description: "this endpoint is served over https only; a proxy in front must be trusted and say X-Forwarded-Proto: https",
	})
}

var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
