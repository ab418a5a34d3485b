// Package caddysts is the Caddy adapter of the security token service: the
// directive uma_sts and the module http.handlers.uma_sts. It turns JSON or a
// Caddyfile into the settings of internal/sts (the service) and internal/op
// (the embedded OpenID provider) and hands requests to them.
package caddysts

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	_ "github.com/caddy-uma/caddy-uma/internal/umaapp/cli" // the command `caddy uma`
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

func init() {
	caddy.RegisterModule(Handler{})
	syntax.RegisterEndpoints(directive, func() *Handler { return new(Handler) })
}

// Handler is a security token service: it exchanges access tokens of its users
// for claims tokens that are bound to one UMA permission ticket and made for
// one resource server.
//
// It answers `/.well-known/openid-configuration`,
// `/.well-known/oauth-authorization-server`, `/.well-known/webfinger` and what
// lies below `{issuer}/sts/`; every other request goes to the next handler.
// Requests that did not come by TLS are refused. With `wrap` the next handler leads
// to an OpenID provider, whose token endpoint answers our token exchange, too.
type Handler struct {
	// The issuer identifier, an https URL without query or fragment. Required.
	// It is never taken from a request.
	Issuer string `json:"issuer,omitempty"`
	// The e-mail domains whose addresses this server vouches for, and for which
	// it answers WebFinger. Default: the host of the issuer.
	EmailDomains []string `json:"email_domains,omitempty"`
	// Other people's OpenID providers whose access tokens can be exchanged. One of
	// `upstreams`, `wrap` and `provider` is required.
	Upstreams []*Upstream `json:"upstreams,omitempty"`
	// The embedded OpenID provider.
	Provider *Provider `json:"provider,omitempty"`
	// The OpenID provider that the next handler, usually `reverse_proxy`, leads to.
	// Its issuer is on the host of ours, and another one unless `merge_jwks` is
	// set. Everything that is not ours passes to it untouched; its token endpoint
	// answers our token exchange as well, and never gets to see one.
	Wrap *Upstream `json:"wrap,omitempty"`
	// Whether this server and the provider of `wrap` are one issuer: its metadata
	// and keys are published together with ours. Every relying party of the
	// provider then trusts the key of claims tokens, so their algorithm (global
	// option `algorithm`) must be one that the provider does not sign ID tokens
	// with.
	MergeJWKS bool `json:"merge_jwks,omitempty"`
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

	placed  place // what a Caddyfile says first of where users come from
	gate    *umaapp.Gate
	service *service
	hangUp  []func() // closes idle connections to a provider
	log     *zap.Logger
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
	h.log = umaapp.Logger(ctx)
	if err := h.check(); err != nil {
		return named(err)
	}
	app, err := umaapp.Get(ctx)
	if err != nil {
		return named(err)
	}
	if h.service, err = h.build(ctx, app); err != nil {
		return named(err)
	}
	h.gate = umaapp.NewGate(h.service, h.Issuer, h.log)
	app.RegisterExamine(h.gate.Examine(umaapp.Directive("sts", h.Issuer)))
	h.warn()
	return nil
}

// Cleanup implements caddy.CleanerUpper: idle connections to providers end with the
// configuration that named them.
func (h *Handler) Cleanup() error {
	for _, hangUp := range h.hangUp {
		hangUp()
	}
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
	return h.gate.ServeHTTP(w, r, h.service.behind(next))
}

var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
