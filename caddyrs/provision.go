package caddyrs

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// Default bound on tickets per client IP.
const (
	defaultTickets = 60
	defaultWindow  = time.Minute
	limiterSources = 100_000
)

// Provision implements caddy.Provisioner. It calls nobody.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = umaapp.Logger(ctx)
	h.plain = umaapp.NewPlain(h.log, zap.String("client_id", h.ClientID), zap.String("iss", h.Issuer))
	if len(h.GuardRaw) > 0 {
		return h.provisionGuard(ctx)
	}
	if err := h.checkSettings(); err != nil {
		return fmt.Errorf("uma_protect: %w", err)
	}
	fingerprint, err := h.fingerprint()
	if err != nil {
		return err
	}
	if err := h.provisionResources(ctx); err != nil {
		return fmt.Errorf("uma_protect: %w", err)
	}
	h.headers = newHeaderRules(h.HeaderUp, h.Assertion, h.ForwardAuthorization)
	return h.provisionEngine(ctx, fingerprint)
}

// fingerprint tells handlers with the same settings; it holds no expanded
// secret. What the handler is for is no setting.
func (h *Handler) fingerprint() (string, error) {
	c := *h
	switch c.Metadata {
	case metadataOnly:
		c.Metadata = ""
	case metadataKeys:
		c.Metadata = metadataOff
	}
	text, err := json.Marshal(&c)
	return string(text), err
}

func (h *Handler) provisionGuard(ctx caddy.Context) error {
	if err := errors.Join(checkHeaderUp(h.HeaderUp), checkAssertion(h.Assertion, h.HeaderUp)); err != nil {
		return fmt.Errorf("uma_protect: %w", err)
	}
	// The Authorization of a public request is the backend's affair.
	h.headers = newHeaderRules(h.HeaderUp, h.Assertion, true)
	h.byCase, h.named = tellsCase(h.GuardRaw), names(h.GuardRaw)
	sets, err := ctx.LoadModule(h, "GuardRaw")
	if err != nil {
		return fmt.Errorf("uma_protect: %w", err)
	}
	return h.guard.FromInterface(sets)
}

func (h *Handler) provisionResources(ctx caddy.Context) error {
	for _, r := range h.Resources {
		if len(r.MatcherSetsRaw) == 0 {
			continue
		}
		h.byCase = h.byCase || tellsCase(r.MatcherSetsRaw) // LoadModule empties the field
		sets, err := ctx.LoadModule(r, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("resource '%s': %w", r.Name, err)
		}
		if err := r.matchers.FromInterface(sets); err != nil {
			return fmt.Errorf("resource '%s': %w", r.Name, err)
		}
		h.byPath = true
	}
	return h.provisionInstances()
}

func (h *Handler) provisionEngine(ctx caddy.Context, fingerprint string) error {
	app, err := umaapp.Get(ctx)
	if err != nil {
		return err
	}
	v, err := h.take(engineKey{app, fingerprint}, func() (caddy.Destructor, error) {
		return h.newEngine(ctx, app, fingerprint)
	})
	if err != nil {
		return err
	}
	h.engine = v.(*engine).server
	if h.Protects() {
		app.RegisterExamine(h.plain.Examine("uma_protect " + h.ClientID + " at " + h.Issuer))
	}
	return nil
}

func (h *Handler) newEngine(ctx caddy.Context, app *umaapp.App, fingerprint string) (*engine, error) {
	credentials, err := h.readCredentials()
	if err != nil {
		return nil, err
	}
	client, err := h.newClient(ctx, app, credentials.certificate)
	if err != nil {
		return nil, err
	}
	cfg := h.engineConfig()
	if cfg.Assertion, err = h.engineAssertion(app); err != nil {
		return nil, err
	}
	credentials.fill(&cfg)
	cfg.AS = (&transport{app: app, issuer: h.Issuer, clientID: h.ClientID, local: credentials.none(), client: client}).do
	_, cfg.KeyMaxAge, cfg.KeyPause = app.Cache()
	cfg.Now, cfg.Observe, cfg.Log = time.Now, app.Observe(), h.log
	if cfg.Limiter, cfg.Registering, err = h.sharedState(fingerprint); err != nil {
		return nil, err
	}
	if err := h.fillBinding(app, &cfg); err != nil {
		return nil, err
	}
	h.warnCertificates()
	if cfg.Asking, err = h.limiter(limiterKey{fingerprint, "asking"}); err != nil {
		return nil, err
	}
	siblings, err := h.group(app)
	if err != nil {
		return nil, err
	}
	cfg.Siblings = siblings.all
	server, err := rs.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("uma_protect: %w", err)
	}
	siblings.add(server)
	return &engine{server, client}, nil
}

// newClient is for the authorization server, which the administrator named.
func (h *Handler) newClient(ctx caddy.Context, app *umaapp.App, certificates []tls.Certificate) (*http.Client, error) {
	cfg := app.Outbound()
	cfg.Certificates = certificates
	if h.TrustPoolRaw != nil {
		mod, err := ctx.LoadModule(h, "TrustPoolRaw")
		if err != nil {
			return nil, fmt.Errorf("uma_protect: trust_pool: %w", err)
		}
		ca, ok := mod.(caddytls.CA)
		if !ok {
			return nil, fmt.Errorf("uma_protect: trust_pool: %T is no source of CAs", mod)
		}
		cfg.Roots = ca.CertPool()
	}
	return outbound.NewNamed(cfg), nil
}

func (h *Handler) sharedState(fingerprint string) (*limit.Limiter, sync.Locker, error) {
	l, err := h.limiter(limiterKey{fingerprint, "tickets"})
	if err != nil {
		return nil, nil, err
	}
	m, err := h.take(lockKey{h.Issuer, h.ClientID}, func() (caddy.Destructor, error) { return new(lock), nil })
	if err != nil {
		return nil, nil, err
	}
	return l, m.(*lock), nil
}

func (h *Handler) limiter(key limiterKey) (*limit.Limiter, error) {
	n, window := defaultTickets, defaultWindow
	if h.RateLimit != nil {
		n, window = h.RateLimit.Tickets, time.Duration(h.RateLimit.Window)
	}
	l, err := h.take(key, func() (caddy.Destructor, error) {
		return limiter{limit.New(n, window, limiterSources, time.Now)}, nil
	})
	if err != nil {
		return nil, err
	}
	return l.(limiter).Limiter, nil
}

func (h *Handler) engineConfig() rs.Config {
	cfg := rs.Config{
		Issuer: h.Issuer, ClientID: h.ClientID, ResourceURI: h.ResourceURI, Owner: h.Owner, Realm: h.Realm,
		Scopes: engineScopes(h.Scopes), MaxRPTLifetime: time.Duration(h.MaxRPTLifetime), Cache: h.Cache,
		Leeway: time.Duration(h.Leeway), NoMetadata: h.Metadata == metadataOff || h.Metadata == metadataKeys,
		Require: rs.Binding(h.Require), DPoPNonces: h.DPoPNonces,
	}
	cfg.DeleteUndeclared = h.DeleteUndeclared
	cfg.Introspect = h.Check == checkIntrospection
	if h.Revocation != nil {
		cfg.Revocation, cfg.FailOpen = time.Duration(h.Revocation.MaxAge), h.Revocation.FailOpen
	}
	for _, r := range h.Resources {
		res := rs.Resource{
			Name: r.Name, Type: r.Type, Description: r.Description, IconURI: r.IconURI, Owner: r.Owner,
			Scopes: engineScopes(r.Scopes), Require: rs.Binding(r.Require),
		}
		for _, a := range r.Also {
			res.Also = append(res.Also, rs.Also(a))
		}
		cfg.Resources = append(cfg.Resources, res)
	}
	h.engineInstances(&cfg)
	return cfg
}

func engineScopes(scopes []Scope) []rs.Scope {
	var all []rs.Scope
	for _, s := range scopes {
		all = append(all, rs.Scope(s))
	}
	return all
}

// Validate implements caddy.Validator.
func (h *Handler) Validate() error {
	if len(h.guard) == 0 && h.engine == nil {
		return errors.New("uma_protect: not provisioned")
	}
	return nil
}
