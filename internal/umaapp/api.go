// Package umaapp is the process-wide Caddy app `uma`: the store, keys, outbound
// clients, the registry by which a resource server finds an authorization
// server in the same process, and the observer that turns events into log lines.
package umaapp

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// App is the global option `uma` (GRAMMAR §1).
type App struct{}

// Get gives the app of this configuration, with defaults if the Caddyfile has no `uma` option.
func Get(ctx caddy.Context) (*App, error) { panic("later") }

// Store is opened at first use, never in Provision, shared over reloads by a UsagePool.
func (a *App) Store() store.Store { panic("later") }

// Ring gives keys in Caddy's storage for one purpose of one issuer; two calls with equal role, issuer
// and purpose in one config give the same Ring. retain: longest token life plus leeway.
func (a *App) Ring(role, issuer, purpose string, retain time.Duration) (*jose.Ring, error) {
	panic("later")
}

// Outbound gives the configuration of the clients (connect_to, roots); the caller may add Exceptions to its copy.
func (a *App) Outbound() outbound.Config { panic("later") }

// Cache gives the global options `cache` (issuers, max age) and `refetch_pause`.
func (a *App) Cache() (n int, maxAge, pause time.Duration) { panic("later") }

// Observe logs events as logger `uma` (and, with the person, `uma.audit`).
func (a *App) Observe() event.Observe { panic("later") }

// LocalAS is an authorization server in this process. Local gives a handler for the in-process
// hand-over (DESIGN §4): permission, JWKS and metadata for everybody and, for a resource server marked `local`,
// the token endpoint without a secret and resource registration.
type LocalAS interface {
	Local(clientID string) http.Handler
}

// RegisterAS remembers the AS of this config. fingerprint is the canonical JSON of its settings: the same issuer with
// another fingerprint is an error; with the same one `first` is returned so that both sites share an engine.
func (a *App) RegisterAS(issuer string, fingerprint []byte, as LocalAS) (first LocalAS, err error) {
	panic("later")
}

// AS finds the AS with exactly this issuer, at request time.
func (a *App) AS(issuer string) (LocalAS, bool) { panic("later") }

// RegisterSTS refuses an issuer that an AS of this config has (GRAMMAR §8), and the same issuer with other settings.
func (a *App) RegisterSTS(issuer string, fingerprint []byte, h http.Handler) (first http.Handler, err error) {
	panic("later")
}

// Secure tells whether the request came by TLS: req.TLS, or a trusted proxy that says https.
func Secure(r *http.Request) bool { panic("later") }

// ClientIP is Caddy's client IP (trusted proxies considered).
func ClientIP(r *http.Request) string { panic("later") }

// Secret expands {env.X} and {file./abs} in a secret. Errors as GRAMMAR §8 says (empty, not set, request placeholder);
// issuer decides whether demo secrets (`example-only`, shorter than 32) are allowed: only for localhost and *.localhost.
func Secret(directive, field, value, issuer string) (string, error) { panic("later") }

// Unknown is the error for an unknown subdirective: "uma_protect: unknown subdirective 'resorce', did you mean 'resource'?"
func Unknown(d *caddyfile.Dispenser, directive string, known ...string) error { panic("later") }

// Nearest gives the known word at distance ≤ 2, or "".
func Nearest(word string, known []string) string { panic("later") }
