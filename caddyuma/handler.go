// Package caddyuma is the Caddy adapter of the UMA 2.0 authorization server:
// the directive uma_server and the module http.handlers.uma_server. It turns
// JSON or a Caddyfile into the settings of internal/uma and hands requests to
// it.
package caddyuma

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

const directive = "uma_server"

func init() {
	caddy.RegisterModule(Handler{})
	syntax.RegisterEndpoints(directive, func() *Handler { return new(Handler) })
}

// Handler is a UMA 2.0 authorization server: resource servers register their
// resources at it and get permission tickets for requests without a token;
// clients of requesting parties exchange ticket and claims token for a
// requesting party token (RPT) if a policy of the owner allows it.
//
// It answers `/.well-known/uma2-configuration`,
// `/.well-known/oauth-authorization-server` and what lies below
// `{issuer}/uma/`; every other request goes to the next handler. Requests that
// did not come by TLS are refused.
type Handler struct {
	// The issuer identifier, an https URL without query or fragment. Required.
	// It is never taken from a request.
	Issuer string `json:"issuer,omitempty"`
	// The resource servers.
	ResourceServers []ResourceServer `json:"resource_servers,omitempty"`
	// The clients of requesting parties. Default: the public client `caddy-uma`.
	Clients []Client `json:"clients,omitempty"`
	// Accepts https URLs as client_ids and fetches the metadata of the client
	// there. Default: off.
	ClientMetadataDocuments *ClientMetadataDocuments `json:"client_metadata_documents,omitempty"`
	// Lets clients register themselves (RFC 7591, RFC 7592). Default: off.
	Registration *Registration `json:"registration,omitempty"`
	// Who may do what. Deny rules come first, then this order. Default: nobody
	// anything.
	Policies []Policy `json:"policies,omitempty"`
	// Where people of an e-mail domain come from. The most specific entry
	// counts. Default: every domain is discovered.
	EmailDomains []EmailDomain `json:"email_domains,omitempty"`
	// Whether `https://<domain>/.well-known/openid-configuration` is not asked
	// when a domain has no WebFinger.
	NoDomainDocument bool `json:"no_domain_document,omitempty"`
	// What follows when a known address comes with another subject, or a known
	// domain with another issuer: `deny`, `warn` or `off`. Default: deny for
	// policies that name the address, warn for all others.
	Continuity string `json:"continuity,omitempty"`
	// `any` looks up addresses that no policy names, too.
	Discover string `json:"discover,omitempty"`
	// The claim that holds the e-mail address. Default: email.
	EmailClaim string `json:"email_claim,omitempty"`
	// Whether `pushed_claims` is not taken as another name of `claim_token`.
	NoPushedClaims bool `json:"no_pushed_claims,omitempty"`
	// Whether an RPT is issued for what is granted if not everything is.
	// Default: request_denied.
	PartialGrant bool `json:"partial_grant,omitempty"`
	// How often a client is told what is missing before it is denied. Default: 5.
	NeedInfoRounds int `json:"need_info_rounds,omitempty"`
	// How long a refresh token, and all that come of it, may be used at most.
	// While it is, nobody asks the person's provider again. Default: none are
	// issued.
	RefreshTokens caddy.Duration `json:"refresh_tokens,omitempty"`
	// How long a persisted claims token (PCT) may be used. Default: none are issued.
	PCT caddy.Duration `json:"pct,omitempty"`
	// How long a client may repeat a ticket that is spent without consequences for
	// what came of it. Default: 10s.
	ReplayGrace caddy.Duration `json:"replay_grace,omitempty"`
	// Whether DPoP proofs must hold a nonce of this server (RFC 9449 §8).
	DPoPNonces bool `json:"dpop_nonces,omitempty"`
	// How long things live.
	Lifetime Lifetime `json:"lifetime,omitzero"`
	// How far clocks may differ. Default: 60s.
	Leeway caddy.Duration `json:"leeway,omitempty"`
	// How often somebody may ask.
	RateLimit RateLimits `json:"rate_limit,omitzero"`
	// Whether pages of other origins are kept from token endpoint, metadata and
	// keys. Default: allowed, without credentials of the browser.
	NoCORS bool `json:"no_cors,omitempty"`
	// The URL of the terms of service, for the metadata.
	Terms string `json:"terms,omitempty"`

	gate *umaapp.Gate
	log  *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.uma_server",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision checks the configuration and builds the server. Keys and store are
// opened at first use.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = umaapp.Logger(ctx)
	app, err := umaapp.Get(ctx)
	if err != nil {
		return named(err)
	}
	server, err := h.build(ctx, app)
	if err != nil {
		return named(err)
	}
	h.gate = umaapp.NewGate(server, h.Issuer, h.log)
	app.RegisterExamine(h.gate.Examine(umaapp.Directive("as", h.Issuer)))
	return nil
}

// named puts the directive in front of an error, once.
func named(err error) error {
	if strings.HasPrefix(err.Error(), directive+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", directive, err)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return h.gate.ServeHTTP(w, r, next)
}

var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
