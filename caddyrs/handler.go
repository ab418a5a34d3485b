package caddyrs

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	_ "github.com/caddy-uma/caddy-uma/internal/umaapp/cli" // the command `caddy uma`
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Values of Handler.Metadata.
const (
	metadataOff  = "off"
	metadataOnly = "only"
	metadataKeys = "keys"
)

// Handler protects what comes after it: a request passes with a valid
// requesting party token (RPT) of the authorization server, and is answered
// with a permission ticket otherwise.
type Handler struct {
	// Issuer of the authorization server. Required, https, no query, no fragment.
	Issuer string `json:"issuer,omitempty"`
	// ClientID is the name under which the authorization server knows this
	// resource server. Required.
	ClientID string `json:"client_id,omitempty"`
	// ClientSecret is {env.NAME} or {file./abs/path}, expanded at load. Without
	// it and the next two the authorization server must run in this process and
	// have this resource server marked as local.
	ClientSecret string `json:"client_secret,omitempty"`
	// PrivateKeyJWT is a file with a private key, PEM or JWK, that authenticates us
	// instead of a secret. It is read at load. The authorization server has the public
	// key (its jwks_uri or jwks_file); the key id is that of the JWK, or its thumbprint.
	PrivateKeyJWT string `json:"private_key_jwt,omitempty"`
	// TLSClientAuth is a certificate that authenticates us instead of a secret. The
	// site of the authorization server must ask for certificates.
	TLSClientAuth *ClientCertificate `json:"tls_client_auth,omitempty"`
	// ResourceURI is the identifier of this resource server. Default: what the
	// authorization server has for this client.
	ResourceURI string `json:"resource_uri,omitempty"`
	// Owner of the resources. It may hold captures (:name) and placeholders
	// ({http.…}); then each request names the owner, and the authorization server
	// must let this client name owners. A request that leads to nobody is refused.
	// Default: the one the authorization server has for this client.
	Owner string `json:"owner,omitempty"`

	// Resources are tried in this order; the first that matches a request
	// decides. Default: one that is called like the resource URI and covers
	// everything.
	Resources []*Resource `json:"resources,omitempty"`
	// DeleteUndeclared deletes resources that are registered for this client and
	// that no uma_protect of this configuration declares for it (any more), at the
	// first need after a start or reload. No other configuration may then use the
	// client, but for nodes with the same one. Default: they stay, and are named in
	// the log.
	DeleteUndeclared bool `json:"delete_undeclared,omitempty"`
	// Scopes of resources that have none. Default: get for GET and HEAD.
	Scopes []Scope `json:"scopes,omitempty"`

	// Require is "dpop" or "mtls": what RPTs must be bound to, for resources that do
	// not say it themselves. Default: bound and unbound ones are accepted, and a bound
	// one only from whoever shows the key or certificate. For "mtls" the site must ask
	// for certificates: `tls { client_auth … }`.
	Require string `json:"require,omitempty"`
	// DPoPNonces demands that DPoP proofs contain a nonce of this resource server,
	// which clients get with a first refusal. Nodes that share their keys take each
	// other's. Default: proofs are good for a minute, and once at each node.
	DPoPNonces bool `json:"dpop_nonces,omitempty"`

	// Check is how RPTs are checked: "local" by the keys of the authorization server,
	// or "introspection" by asking it about each. Default: local; opaque RPTs are
	// asked about in any case.
	Check string `json:"check,omitempty"`
	// Revocation bounds how long an RPT that was taken back may pass. Default: 10s.
	Revocation *Revocation `json:"revocation,omitempty"`
	// MaxInstances is how many instances a resource with captures may have at the
	// authorization server. Default: 10000.
	MaxInstances int `json:"max_instances,omitempty"`
	// MaxRPTLifetime is the longest life of an RPT that is accepted. Default: 1h.
	MaxRPTLifetime caddy.Duration `json:"max_rpt_lifetime,omitempty"`
	// Cache is how many verified tokens are kept. Default: 100000.
	Cache int `json:"cache,omitempty"`
	// Leeway for clocks. Default: 60s; negative: none.
	Leeway caddy.Duration `json:"leeway,omitempty"`

	// HeaderUp are header fields for the backend: each field and its
	// look-alikes are removed from the request first and set then, unless the
	// value is empty.
	HeaderUp []HeaderField `json:"header_up,omitempty"`
	// Assertion is a signed statement for the backend. Default: none.
	Assertion *Assertion `json:"assertion,omitempty"`
	// ForwardAuthorization leaves the Authorization and DPoP header fields in
	// the request. Default: they are removed.
	ForwardAuthorization bool `json:"forward_authorization,omitempty"`

	// CORS are the origins whose pages may call this resource server, or "*",
	// or "pass" if the backend answers preflights. Default: none.
	CORS []string `json:"cors,omitempty"`
	// RateLimit bounds the tickets per client IP, and again the unknown tokens that
	// the authorization server is asked about. Default: 60 per minute.
	RateLimit *RateLimit `json:"rate_limit,omitempty"`
	// Errors is "pass" to hand refusals to the error routes of the site. Such
	// routes must never lead to the backend. Default: they are written here.
	Errors string `json:"errors,omitempty"`
	// Metadata is "off" to publish no RFC 9728 document; "only" makes a handler
	// that serves the document, and the keys of assertions, and protects nothing;
	// "keys" one that serves these keys alone.
	Metadata string `json:"metadata,omitempty"`
	// Realm is shown in challenges.
	Realm string `json:"realm,omitempty"`
	// TrustPoolRaw is the set of CAs for the connection to the authorization
	// server. Default: that of the app uma.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`

	// GuardRaw makes a handler that protects nothing and refuses requests which
	// these matchers do not match, but would if the path were read as another
	// program may read it. The directive puts it behind a protection that has
	// a matcher. Of the other fields only HeaderUp and Assertion count: public
	// requests must not bring these fields.
	GuardRaw caddyhttp.RawMatcherSets `json:"guard,omitempty" caddy:"namespace=http.matchers"`

	guard   caddyhttp.MatcherSets
	headers headerRules
	byPath  bool
	owners  [][]ownerPart // by resource; nil = each request has the same
	// byCase: a matcher may tell a from A. named: the guard's name what they match.
	byCase, named bool
	engine        *rs.Server
	plain         *umaapp.Plain
	taken         []any // keys of the pool
	log           *zap.Logger
}

// Resource is something that is registered at the authorization server.
type Resource struct {
	// Name, unique within the handler. Required.
	Name string `json:"name"`
	// MatcherSetsRaw tell which requests belong to the resource. Default: all.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`
	// Patterns are paths with captures, such as /users/:user/photos/:id, instead of
	// matchers. Each has the same captures. The resource then stands for one
	// resource for each of their values, which the authorization server registers
	// when it is first granted.
	Patterns []string `json:"patterns,omitempty"`
	// Scopes. Default: those of the handler.
	Scopes []Scope `json:"scopes,omitempty"`
	// Type is a URI that policies can name instead of resources.
	Type string `json:"type,omitempty"`
	// Description is shown by the authorization server.
	Description string `json:"description,omitempty"`
	// IconURI is shown by the authorization server.
	IconURI string `json:"icon_uri,omitempty"`
	// Owner overrides the handler's and may hold the captures of the resource.
	Owner string `json:"owner,omitempty"`
	// Also are further permissions that a request for this resource needs.
	Also []Also `json:"also,omitempty"`
	// Require overrides the handler's.
	Require string `json:"require,omitempty"`

	matchers caddyhttp.MatcherSets
	patterns []*pattern
}

// Scope is a scope and the methods it stands for.
type Scope struct {
	// Name of the scope, as policies write it.
	Name string `json:"name"`
	// Methods; "*" is every method that no other scope has. Default: the name
	// in upper case, for get also HEAD.
	Methods []string `json:"methods,omitempty"`
}

// Also names a further resource.
type Also struct {
	// Resource is its name.
	Resource string `json:"resource"`
	// Scopes. Default: the scope of the request.
	Scopes []string `json:"scopes,omitempty"`
}

// HeaderField is a header field for the backend.
type HeaderField struct {
	// Field is its name, such as Remote-User.
	Field string `json:"field"`
	// Value may hold placeholders.
	Value string `json:"value"`
}

// RateLimit bounds events per window.
type RateLimit struct {
	// Tickets; negative: no bound.
	Tickets int `json:"tickets"`
	// Window is the time in which they count. Required with a bound.
	Window caddy.Duration `json:"window,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.uma_protect", New: func() caddy.Module { return new(Handler) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if len(h.guard) > 0 {
		return h.serveGuard(w, r, next)
	}
	if h.plain.Refuses(r) {
		return h.refusePlain(w, r, next)
	}
	if h.Metadata != metadataOff && h.engine.ServeMetadata(w, r) {
		return nil
	}
	if h.Assertion != nil && h.engine.ServeKeys(w, r) {
		return nil
	}
	if h.Metadata == metadataOnly || h.Metadata == metadataKeys {
		return next.ServeHTTP(w, r)
	}
	origin := h.allowedOrigin(r)
	if rs.Preflight(r) && len(h.CORS) > 0 {
		return h.preflight(w, r, origin, next)
	}
	grant, refusal := h.check(r)
	assertion := ""
	if refusal == nil {
		assertion, refusal = h.assert(r, grant)
	}
	if refusal != nil {
		exposeTo(w.Header(), origin)
		return h.refuse(w, r, refusal)
	}
	h.headers.clean(r)
	h.setPlaceholders(r, grant)
	h.headers.set(r)
	if assertion != "" {
		r.Header.Set(h.Assertion.Field, assertion)
	}
	h.headers.pass(r)
	return h.serveNext(w, r, origin, next)
}

// check finds the resource of the request and asks the engine.
func (h *Handler) check(r *http.Request) (*rs.Grant, *rs.Refusal) {
	if refusal := unclear(r); refusal != nil {
		return nil, refusal
	}
	at, err := h.placeOf(r)
	if refusal := unclearPath(err); refusal != nil {
		return nil, refusal
	}
	if err != nil { // a matcher failed: fail closed
		h.log.Error("finding the resource of a request failed", zap.Error(err))
		return nil, rs.Forbidden()
	}
	owner, ok := h.ownerOf(r, at)
	if !ok {
		return nil, rs.Forbidden()
	}
	return h.engine.Check(r, rs.Target{
		Index: at.index, Captures: at.captures, Owner: owner, Source: limit.Source(umaapp.ClientIP(r)),
	})
}

// unclearPath refuses a path that does not say what the request is for.
func unclearPath(err error) *rs.Refusal {
	switch {
	case errors.Is(err, errReadings):
		return rs.BadRequest("The path of the request can be read in more than one way.")
	case errors.Is(err, errLong):
		return rs.BadRequest("The path of the request is too long.")
	case errors.Is(err, errCapture):
		return rs.BadRequest("A part of the path of the request is too long.")
	}
	return nil
}

// refuse writes a refusal. Returning an error instead would let
// `handle_errors { reverse_proxy }` send the refused request to the backend.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, f *rs.Refusal) error {
	if h.Errors != "pass" {
		f.Write(w, r)
		return nil
	}
	h.headers.clean(r)
	f.Apply(w.Header())
	return caddyhttp.Error(f.Status, errors.New(f.Detail))
}

// setPlaceholders sets {http.auth.user.*}. The engine has left out what could
// be expanded again or end a header field (CONFORMANCE SEC-19).
func (h *Handler) setPlaceholders(r *http.Request, g *rs.Grant) {
	repl := replacer(r)
	for _, c := range g.Claims {
		repl.Set("http.auth.user."+c.Name, c.Value)
	}
	repl.Set("http.auth.user.id", g.Subject)
	repl.Set("http.auth.user.issuer", g.Issuer)
	repl.Set("http.auth.user.client_id", g.ClientID)
	repl.Set("http.auth.user.resource", g.Resource)
	repl.Set("http.auth.user.scopes", joined(g.Scopes))
	repl.Set("http.auth.user.decision_id", g.DecisionID)
}

func replacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
