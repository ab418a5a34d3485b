// Package op is the embedded OpenID provider: users from the configuration,
// authorization code with enforced PKCE and a login page, the device flow, and the
// authorization challenge endpoint for first-party clients.
//
// Its pages work without scripts. Each form carries what it is about in a sealed
// box: that of the login page opens in one browser (login.go), those of the other
// pages in one session (form.go). So nobody can forge a form, and asking alone
// stores nothing but a device that waits, of which there is a bounded number.
//
// Access tokens are opaque: the security token service in the same process reads
// them (Resolve), others ask at userinfo or introspection. All that comes of one
// code is one grant in the store; while it stands there its tokens count, at every
// node. There is no dynamic registration.
package op

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Provider serves its endpoints below {issuer}/sts/ and, as the STS's `Other`,
// every grant but the exchange at {issuer}/sts/token. It is safe for concurrent
// use.
type Provider struct {
	cfg       Config
	issuerURL *url.URL
	tenant    string
	people    atomic.Pointer[directory]
	clients   map[string]*Client
	box       *seal.Box
	comparing chan struct{} // a place for each password comparison
	seed      maphash.Seed
	places    places
	strangers *limit.Limiter // per user, for places where he has not logged in before
	devices   *devices
	proofs    *dpop.Verifier
	routes    map[string]http.HandlerFunc
}

// New checks cfg and makes a Provider. It neither reads nor makes a key and
// does not touch the store.
func New(cfg Config) (*Provider, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	u, err := oauth.ParseIssuer(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("op: issuer %w", err)
	}
	p := &Provider{
		cfg: cfg, issuerURL: u, tenant: store.Tenant("sts", cfg.Issuer),
		box: seal.NewBox(cfg.Secrets), seed: maphash.MakeSeed(),
		comparing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	if p.proofs, err = dpop.New(dpop.Config{Replays: cfg.Proofs, Now: cfg.Now}); err != nil {
		return nil, err
	}
	if err := p.SetUsers(cfg.Users); err != nil {
		return nil, err
	}
	if err := p.setClients(cfg.Clients); err != nil {
		return nil, err
	}
	p.routes = map[string]http.HandlerFunc{
		p.path("authorize"): p.authorize,
		p.path("login"):     p.login,
		p.path("challenge"): p.challenge,
		p.path("style.css"): p.style,
		p.path("consent"):   p.consent,
		p.path("account"):   p.account,
		p.path("logout"):    p.logout,

		p.path("userinfo"):   p.userinfo,
		p.path("introspect"): p.introspect,
		p.path("revoke"):     p.revoke,
	}
	p.strangers = newStrangers(cfg.Now)
	if !cfg.NoDeviceFlow {
		p.devices = newDevices(cfg.Now)
		p.routes[p.path("device_authorization")] = p.deviceAuthorization
		p.routes[p.path("device")] = p.device
	}
	return p, nil
}

// Handles tells whether a path is one of the provider's own (token not included).
func (p *Provider) Handles(path string) bool {
	_, ok := p.routes[path]
	return ok
}

// ServeHTTP implements http.Handler; 404 for what is neither handled nor the
// token endpoint.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if serve, ok := p.routes[r.URL.Path]; ok {
		serve(w, r)
		return
	}
	if r.URL.Path == p.path("token") {
		p.token(w, r)
		return
	}
	http.NotFound(w, r)
}

// Keys are the ID token keys, for the JWKS of the STS.
func (p *Provider) Keys(ctx context.Context) ([]jose.PublicKey, error) {
	return p.cfg.IDTokens.Public(ctx)
}

// path is the path of an endpoint below {issuer}/sts/. The host comes from the
// configuration, never from a request.
func (p *Provider) path(endpoint string) string {
	return strings.TrimSuffix(p.issuerURL.Path, "/") + "/sts/" + endpoint
}

// url is the URL of an endpoint below {issuer}/sts/.
func (p *Provider) url(endpoint string) string {
	return strings.TrimSuffix(p.cfg.Issuer, "/") + "/sts/" + endpoint
}

// allow answers 405 for other methods than these (RFC 9110 §15.5.6).
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	oauth.WriteError(w, &oauth.Error{
		Code: oauth.CodeInvalidRequest, Status: http.StatusMethodNotAllowed,
		Description: "the method is not allowed here",
		Header:      http.Header{"Allow": {strings.Join(methods, ", ")}},
	})
	return false
}

// unavailable logs what could not be read or recorded and makes the 503
// (CONFORMANCE SEC-13).
func (p *Provider) unavailable(what string, err error) *oauth.Error {
	p.cfg.Log.Error("the provider could not do its part", zap.String("iss", p.cfg.Issuer),
		zap.String("what", what), zap.Error(err))
	return oauth.Unavailable(err)
}

var _ http.Handler = (*Provider)(nil)
