package caddyuma

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// defaultClient is declared if no client is.
const defaultClient = "caddy-uma"

// ResourceServer is a resource server that may register resources here.
type ResourceServer struct {
	// Its client_id. Required.
	ClientID string `json:"client_id,omitempty"`
	// Its identifier, a canonical https URL. No other resource server's may lie
	// below it.
	ResourceURI string `json:"resource_uri,omitempty"`
	// Whether it is part of this process and needs no secret.
	Local bool `json:"local,omitempty"`
	umaapp.Credentials
	// The logical name that claims tokens and RPTs are made for instead of
	// `resource_uri`. Names are weaker than URIs: whoever lists the same name
	// elsewhere is taken for this one by a client that is told so.
	Audience string `json:"audience,omitempty"`
	// Who owns its resources; `*` lets it name the owner of each resource.
	// Default: its client_id.
	Owner string `json:"owner,omitempty"`
	// Whether a claims token must name this authorization server (`as_uri`).
	RequireASURI bool `json:"require_as_uri,omitempty"`
	// The claims of the requesting party that are put into the RPT. Default:
	// none.
	Releases []string `json:"releases,omitempty"`
	// What its RPTs are: `jwt`, which it can check itself, or `opaque`, which it
	// must ask about (introspection). Default: jwt.
	RPT string `json:"rpt,omitempty"`
	// `dpop` or `mtls`: its RPTs are always bound to a key or certificate of the
	// client. Default: only if the client shows one.
	Require string `json:"require,omitempty"`

	at position
}

// Client is a client of requesting parties.
type Client struct {
	// The client_id. Required.
	ClientID string `json:"client_id,omitempty"`
	// A public client has no secret.
	Public bool `json:"public,omitempty"`
	umaapp.Credentials
	// Scopes it may have besides those of a ticket (UMA Grant §3.3.1).
	Scopes []string `json:"scopes,omitempty"`
	// Whether its requests need a DPoP proof, so that it never gets a token that
	// anybody else could use (RFC 9449 §5.2).
	DPoPBound bool `json:"dpop_bound,omitempty"`
	// A disabled client is refused.
	Disabled bool `json:"disabled,omitempty"`

	at position
}

// Policy says what some people may do with some things.
type Policy struct {
	// Its name, for logs and for `explain`.
	Name string `json:"name,omitempty"`
	// The resource servers it speaks of, by client_id. Default: every one.
	// Required with `resources` or `types` when several are declared.
	ResourceServers []string `json:"resource_servers,omitempty"`
	// Names of resources. Default: every one.
	Resources []string `json:"resources,omitempty"`
	// Types of resources. Default: every one.
	Types []string `json:"types,omitempty"`
	// Scopes. Default: every one that is asked for.
	Scopes []string `json:"scopes,omitempty"`
	// Who is let in and whose word counts: addresses, domains, `*.domain` for
	// subdomains. One of `from`, `from_issuers` and `from_anyone` is required.
	From []string `json:"from,omitempty"`
	// Issuers whose people are let in.
	FromIssuers []string `json:"from_issuers,omitempty"`
	// Anyone with an e-mail address.
	FromAnyone bool `json:"from_anyone,omitempty"`
	// The clients it speaks of, by client_id. Default: every one.
	Clients []string `json:"clients,omitempty"`
	// A condition in CEL over `email.address`, `email.local`, `email.domain`,
	// `iss`, `sub`, `claims`, `resource.name`, `resource.type`,
	// `resource.owner`, `resource.server`, `resource.scopes`,
	// `resource.captures`, `scopes`, `client`, `request.method`, `request.ip` and
	// `now`.
	When string `json:"when,omitempty"`
	// A guest that decides, a module of the namespace `uma.policies`. It and the
	// condition must both hold.
	EvaluateRaw json.RawMessage `json:"evaluate,omitempty" caddy:"namespace=uma.policies inline_key=policy"`
	// Claims that must be there. If one is missing the client is told its name and
	// may come again, instead of being denied.
	RequiredClaims []string `json:"required_claims,omitempty"`
	// `dpop` or `mtls`: it lets in only who gets an RPT that is bound to a key or
	// certificate. Default: anybody.
	Require string `json:"require,omitempty"`
	// Whether a persisted claims token is enough. Default: a fresh claims token is
	// demanded.
	AcceptPCT bool `json:"accept_pct,omitempty"`
	// Whether it forbids. A policy that forbids wins over every other, and also
	// when its condition cannot be evaluated.
	Deny bool `json:"deny,omitempty"`
	// Whether it is only tried: evaluated and logged, without effect.
	Shadow bool `json:"shadow,omitempty"`

	at position
}

// EmailDomain says where people of some domains come from.
type EmailDomain struct {
	// Domains, `*.domain` for subdomains, `*` for all others.
	Domains []string `json:"domains,omitempty"`
	// What is asked instead of `https://<domain>`: WebFinger first, then the
	// configuration. Loopback and private addresses and its port are allowed for
	// its host:port only.
	BaseURL string `json:"base_url,omitempty"`
	// Nobody of these domains comes in.
	Deny bool `json:"deny,omitempty"`
	// The base URL is the issuer itself.
	NoWebFinger bool `json:"no_webfinger,omitempty"`
	// The CAs for the host:port of the base URL. Default: those of the global
	// option.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`
	// The issuer's host must be the domain.
	SameDomain bool `json:"same_domain,omitempty"`
	// The provider never holds an address that it did not verify, so
	// `email_verified` need not be there.
	AssumeEmailVerified bool `json:"assume_email_verified,omitempty"`
	// Values of `typ` accepted of claims tokens; with a base URL only. Default:
	// ca-claims+jwt.
	AcceptTyps []string `json:"accept_typs,omitempty"`

	at position
}

// Lifetime says how long things live.
type Lifetime struct {
	// Permission tickets. Default: 5m.
	Ticket caddy.Duration `json:"ticket,omitempty"`
	// RPTs. Default: 5m.
	RPT caddy.Duration `json:"rpt,omitempty"`
	// Protection API access tokens. Default: 1h.
	PAT caddy.Duration `json:"pat,omitempty"`
}

// RateLimits bound how often somebody may ask.
type RateLimits struct {
	// At the token endpoint, per client and IP address; an IP address may ask
	// ten times as often with different client_ids. Default: 60 in 1m.
	Token *syntax.RateLimit `json:"token,omitempty"`
	// For permission tickets, per resource server. Default: 600 in 1m.
	Ticket *syntax.RateLimit `json:"ticket,omitempty"`
	// For the registration of clients, per IP address. Default: 5 in 1h.
	Registration *syntax.RateLimit `json:"registration,omitempty"`
}

// ClientMetadataDocuments says whose documents are taken as clients.
type ClientMetadataDocuments struct {
	// Domains that client_ids may be of, `*.domain` for subdomains. Default: every
	// one.
	Domains []string `json:"domains,omitempty"`
}

// Registration says who may register clients.
type Registration struct {
	// Initial access tokens, several during a rotation: placeholders `{env.X}` or
	// `{file./path}`, or literal text; at least 32 characters each. At least one is
	// required: registration is never open to everybody.
	InitialAccessTokens []string `json:"initial_access_tokens,omitempty"`

	at position
}

// position is the line of a Caddyfile that a setting came from; the zero value
// is none (JSON).
type position struct{ line *caddyfile.Dispenser }

// here is the current position of d.
func here(d *caddyfile.Dispenser) position {
	line := *d
	return position{&line}
}

// wrap puts file and line behind an error.
func (p position) wrap(err error) error {
	if err == nil || p.line == nil {
		return err
	}
	return located{p.line.WrapErr(named(err))}
}

// located is an error that names its line.
type located struct{ error }

func (h *Handler) clients() []Client {
	if len(h.Clients) > 0 {
		return h.Clients
	}
	return []Client{{ClientID: defaultClient, Public: true}}
}
