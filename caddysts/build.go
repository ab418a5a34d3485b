package caddysts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
	"github.com/caddy-uma/caddy-uma/internal/wrap"
)

// source is where users come from: one of the placements (DESIGN §4).
type source struct {
	// resolve finds the user of an access token.
	resolve func(context.Context, string) (oauth.Subject, error)

	// The rest is nil where there is nothing of the kind: endpoints besides the
	// engine's, further grants at the token endpoint, keys to publish with those of
	// claims tokens, and members of the metadata.
	endpoints umaapp.Endpoints
	other     http.Handler
	keys      func(context.Context) ([]jose.PublicKey, error)
	extend    func(*oauth.Metadata)
	consent   func(context.Context, oauth.Consent) (agreed bool, uri string, err error)
	// refresh is called before each request: it looks whether users have changed.
	refresh func()
	// admin is for administrators.
	admin http.Handler
}

// source makes the one placement of the configuration.
func (h *Handler) source(app *umaapp.App, authenticate authenticate) (source, error) {
	if h.Wrap != nil {
		u := h.wrapped()
		return h.upstreams(app, []*Upstream{&u})
	}
	if len(h.Upstreams) > 0 {
		return h.upstreams(app, h.Upstreams)
	}
	return h.provider(app, authenticate)
}

// loadTrust loads the sets of CAs of upstreams.
func (h *Handler) loadTrust(ctx caddy.Context) error {
	if h.Wrap != nil {
		return h.Wrap.loadTrust(ctx)
	}
	for _, u := range h.Upstreams {
		if err := u.loadTrust(ctx); err != nil {
			return err
		}
	}
	return nil
}

// service is the engine together with the endpoints of the placement: one issuer.
type service struct {
	engine  *sts.Server
	more    umaapp.Endpoints // nil = none
	front   *wrap.Front      // nil = there is no provider behind
	refresh func()           // nil = nothing to do
	admin   http.Handler     // nil = users log in somewhere else
}

// Admin gives the handler for administrators, with the users of now; nil = there is
// nothing for them.
func (s *service) Admin() http.Handler {
	if s.refresh != nil {
		s.refresh()
	}
	return s.admin
}

// Handles implements umaapp.Endpoints. What is merged with a provider behind is at
// its places; WebFinger is ours alone.
func (s *service) Handles(path string) bool {
	if s.front != nil && s.front.Merges() {
		return path == "/.well-known/"+oauth.WellKnownFinger
	}
	return s.engine.Handles(path) || s.more != nil && s.more.Handles(path)
}

// ServeHTTP implements http.Handler. The engine owns the token endpoint.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.refresh != nil {
		s.refresh()
	}
	if s.more != nil && !s.engine.Handles(r.URL.Path) {
		s.more.ServeHTTP(w, r)
		return
	}
	s.engine.ServeHTTP(w, r)
}

// build makes the service, or finds the one that an equal block made before
// (one snippet on two sites).
func (h *Handler) build(ctx caddy.Context, app *umaapp.App) (*service, error) {
	fingerprint, err := json.Marshal(h) // before modules are loaded: Caddy forgets their settings then
	if err != nil {
		return nil, err
	}
	if err := h.loadTrust(ctx); err != nil {
		return nil, err
	}
	cfg, err := h.settings(h.lookup())
	if err != nil {
		return nil, err
	}
	if cfg.Authenticate, err = h.authenticator(app, cfg.Clients); err != nil {
		return nil, err
	}
	from, err := h.source(app, cfg.Authenticate)
	if err != nil {
		return nil, err
	}
	engine, err := h.engine(app, cfg, from)
	if err != nil {
		return nil, err
	}
	front, err := h.front(app, engine)
	if err != nil {
		return nil, err
	}
	made := &service{engine: engine, more: from.endpoints, front: front, refresh: from.refresh, admin: from.admin}
	first, err := app.RegisterSTS(h.Issuer, fingerprint, made)
	if err != nil {
		return nil, err
	}
	shared, ok := first.(*service)
	if !ok {
		return nil, fmt.Errorf("issuer %s belongs to another kind of handler", h.Issuer)
	}
	if shared == made {
		err = h.registerExamines(app)
	}
	return shared, err
}

func (h *Handler) engine(app *umaapp.App, cfg sts.Config, from source) (*sts.Server, error) {
	ring, err := h.claimsRing(app)
	if err != nil {
		return nil, err
	}
	cfg.Claims, cfg.Resolve, cfg.Keys = ring, from.resolve, from.keys
	cfg.Other, cfg.Extend, cfg.Consent = from.other, from.extend, from.consent
	if err := h.fillMemories(app, &cfg); err != nil {
		return nil, err
	}
	cfg.ClientIP = umaapp.ClientIP
	cfg.Observe, cfg.Now, cfg.Log = app.Observe(), time.Now, h.log
	return sts.New(cfg)
}

// fillMemories gives the engine what outlives a reload: what somebody has used up,
// and the proofs that were shown.
func (h *Handler) fillMemories(app *umaapp.App, cfg *sts.Config) (err error) {
	for _, l := range []struct {
		name string
		set  *syntax.RateLimit
		n    int
		to   **limit.Limiter
	}{
		{"exchange", h.RateLimit.Exchange, 60, &cfg.Exchanges},
		{"source", h.RateLimit.Exchange.Times(10), 600, &cfg.Sources},
	} {
		key := fmt.Sprintf("sts %q limit %s %+v", h.Issuer, l.name, l.set)
		*l.to, err = umaapp.Keep(app, key, func() *limit.Limiter { return l.set.Limiter(l.n, time.Minute) })
		if err != nil {
			return err
		}
	}
	cfg.Proofs, err = h.proofs(app)
	return err
}

// proofs is the memory of the proofs that were shown: one for every grant of the
// token endpoint.
func (h *Handler) proofs(app *umaapp.App) (*dpop.Replays, error) {
	return umaapp.Keep(app, fmt.Sprintf("sts %q proofs", h.Issuer), func() *dpop.Replays {
		return dpop.NewReplays(0, time.Now)
	})
}

// claimsRing signs claims tokens. One outlives its key by its lifetime and the
// verifier's leeway.
func (h *Handler) claimsRing(app *umaapp.App) (*jose.Ring, error) {
	return h.ring(app, "claims", sts.MaxClaimsLifetime)
}

func (h *Handler) ring(app *umaapp.App, purpose string, life time.Duration) (*jose.Ring, error) {
	return app.Ring("sts", h.Issuer, purpose, life+or(h.Leeway, defaultLeeway))
}

// nothing is looked at while a Caddyfile is adapted.
func nothing() umaapp.Lookup {
	return umaapp.Lookup{Keys: umaapp.AnyJWKS, Secret: func(_, text string) (string, error) { return text, nil }}
}

// lookup finds what the configuration points at.
func (h *Handler) lookup() umaapp.Lookup {
	return umaapp.Lookup{Keys: umaapp.ReadKeyFile, Secret: func(field, text string) (string, error) {
		return syntax.Secret(directive, field, text, h.Issuer)
	}}
}

// warn logs what is allowed and perhaps not meant.
func (h *Handler) warn() {
	h.warnCertificates()
	if len(h.Targets) == 0 {
		h.log.Warn("there is no target, so nobody gets a claims token", zap.String("iss", h.Issuer))
	}
	for _, t := range h.Targets {
		for _, name := range t.Names {
			if name == "*" {
				h.log.Warn("every resource server may receive "+released(t.Releases, h.Releases)+
					"; restrict release or target", zap.String("iss", h.Issuer))
			}
		}
	}
}

// warnCertificates finds out whether certificates are of use.
func (h *Handler) warnCertificates() {
	checked, wanted := false, false
	for _, c := range h.Clients {
		checked, wanted = checked || c.TLSClientAuth != "", wanted || c.SelfSignedTLSClientAuth
	}
	umaapp.WarnCertificates(h.log, h.Issuer, checked, wanted)
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
