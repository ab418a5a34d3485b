package caddysts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/op"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// service is the engine together with the provider: one issuer.
type service struct {
	engine   *sts.Server
	provider *op.Provider
}

// Handles implements umaapp.Endpoints.
func (s *service) Handles(path string) bool {
	return s.engine.Handles(path) || s.provider.Handles(path)
}

// ServeHTTP implements http.Handler. The engine owns the token endpoint.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.engine.Handles(r.URL.Path) {
		s.engine.ServeHTTP(w, r)
		return
	}
	s.provider.ServeHTTP(w, r)
}

// build makes the service, or finds the one that an equal block made before
// (one snippet on two sites).
func (h *Handler) build(app *umaapp.App) (*service, error) {
	provider, err := h.buildProvider(app)
	if err != nil {
		return nil, err
	}
	engine, err := h.buildEngine(app, provider)
	if err != nil {
		return nil, err
	}
	fingerprint, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	first, err := app.RegisterSTS(h.Issuer, fingerprint, &service{engine: engine, provider: provider})
	if err != nil {
		return nil, err
	}
	shared, ok := first.(*service)
	if !ok {
		return nil, fmt.Errorf("issuer %s belongs to another kind of handler", h.Issuer)
	}
	return shared, nil
}

func (h *Handler) buildEngine(app *umaapp.App, provider *op.Provider) (*sts.Server, error) {
	cfg, err := h.settings(h.secret)
	if err != nil {
		return nil, err
	}
	// A claims token outlives its key by its lifetime and the verifier's leeway.
	ring, err := h.ring(app, "claims", sts.MaxClaimsLifetime)
	if err != nil {
		return nil, err
	}
	cfg.Claims, cfg.Resolve, cfg.Keys = ring, provider.Resolve, provider.Keys
	cfg.Other, cfg.Extend = provider, provider.Extend
	cfg.Exchanges = h.RateLimit.Exchange.Limiter(60, time.Minute)
	cfg.Observe, cfg.Now, cfg.Log = app.Observe(), time.Now, h.log
	return sts.New(cfg)
}

func (h *Handler) buildProvider(app *umaapp.App) (*op.Provider, error) {
	access, session := or(h.Lifetime.AccessToken, defaultAccess), or(h.Provider.SessionLifetime, defaultSession)
	// ID tokens live no longer than a session; sealed state of the provider
	// (codes, cookies) neither.
	tokens, err := h.ring(app, "id-token", max(access, session))
	if err != nil {
		return nil, err
	}
	secrets, err := h.ring(app, "op", max(access, session))
	if err != nil {
		return nil, err
	}
	users, err := h.users()
	if err != nil {
		return nil, err
	}
	clients, err := h.providerClients()
	if err != nil {
		return nil, err
	}
	return op.New(op.Config{
		Issuer: h.Issuer, Users: users, Clients: clients, Store: app.Store(),
		IDTokens: tokens, Secrets: secrets, Compare: compare,
		AccessLifetime: access, SessionLife: session,
		Logins: h.RateLimit.Login.Limiter(10, time.Minute), ClientIP: umaapp.ClientIP,
		Observe: app.Observe(), Now: time.Now, Log: h.log,
	})
}

func (h *Handler) ring(app *umaapp.App, purpose string, life time.Duration) (*jose.Ring, error) {
	return app.Ring("sts", h.Issuer, purpose, life+or(h.Leeway, defaultLeeway))
}

func (h *Handler) users() ([]op.User, error) {
	var users []op.User
	for _, u := range h.Provider.Users {
		hash, err := u.passwordHash()
		if err != nil {
			return nil, err
		}
		users = append(users, op.User{Email: u.Email, PasswordHash: hash, Claims: u.Claims})
	}
	return users, nil
}

func (h *Handler) providerClients() ([]op.Client, error) {
	var clients []op.Client
	for _, c := range h.clients() {
		hashes, err := c.hashes(h.secret)
		if err != nil {
			return nil, err
		}
		clients = append(clients, op.Client{
			ID: c.ClientID, Secrets: hashes, RedirectURIs: c.RedirectURIs,
			FirstParty: c.FirstParty, Disabled: c.Disabled,
		})
	}
	return clients, nil
}

// secret expands a secret of a field.
func (h *Handler) secret(field, text string) (string, error) {
	return umaapp.Secret(directive, field, text, h.Issuer)
}

// warn logs what is allowed and perhaps not meant.
func (h *Handler) warn() {
	for _, t := range h.Targets {
		for _, name := range t.Names {
			if name == "*" {
				h.log.Warn("every resource server may receive "+released(t.Releases, h.Releases)+
					"; restrict release or target", zap.String("iss", h.Issuer))
			}
		}
	}
}

// released lists the claims of a target for a message.
func released(own, standard []string) string {
	if own == nil {
		own = standard
	}
	if len(own) == 0 {
		return "the e-mail address"
	}
	return strings.Join(own, ", ")
}
