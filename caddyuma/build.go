package caddyuma

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/uma"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// build makes the server, or finds the one that an equal block made before (one
// snippet on two sites).
func (h *Handler) build(ctx caddy.Context, app *umaapp.App) (*uma.Server, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	fingerprint, err := json.Marshal(h) // before modules are loaded: Caddy forgets their settings then
	if err != nil {
		return nil, err
	}
	cfg, err := h.settings(umaapp.Lookup{Keys: umaapp.ReadKeyFile, Secret: func(field, text string) (string, error) {
		return syntax.Secret(directive, field, text, h.Issuer)
	}})
	if err != nil {
		return nil, err
	}
	if cfg.PolicyRevision, err = revision(h.Policies, h.EmailDomains); err != nil {
		return nil, err
	}
	if err := h.loadGuests(ctx, cfg.Policies); err != nil {
		return nil, err
	}
	if err := h.fillLimits(app, &cfg); err != nil {
		return nil, err
	}
	if err := h.fillParts(ctx, app, &cfg); err != nil {
		return nil, err
	}
	server, err := uma.New(cfg)
	if err != nil {
		return nil, err
	}
	h.warn()
	return h.share(app, fingerprint, server)
}

// fillLimits gives the engine its memories, which outlive a reload: what somebody
// has used up, and the proofs that were shown.
func (h *Handler) fillLimits(app *umaapp.App, cfg *uma.Config) (err error) {
	for _, l := range []struct {
		name   string
		set    *syntax.RateLimit
		n      int
		window time.Duration
		to     **limit.Limiter
	}{
		{"token", h.RateLimit.Token, 60, time.Minute, &cfg.TokenLimit},
		{"source", h.RateLimit.Token.Times(10), 600, time.Minute, &cfg.SourceLimit},
		{"ticket", h.RateLimit.Ticket, 600, time.Minute, &cfg.TicketLimit},
		{"registration", h.RateLimit.Registration, 5, time.Hour, &cfg.RegistrationLimit},
	} {
		key := fmt.Sprintf("as %q limit %s %+v", h.Issuer, l.name, l.set)
		*l.to, err = umaapp.Keep(app, key, func() *limit.Limiter { return l.set.Limiter(l.n, l.window) })
		if err != nil {
			return err
		}
	}
	cfg.Proofs, err = umaapp.Keep(app, fmt.Sprintf("as %q proofs", h.Issuer), func() *dpop.Replays {
		return dpop.NewReplays(0, time.Now)
	})
	if err != nil {
		return err
	}
	cfg.Assertions, err = umaapp.Keep(app, fmt.Sprintf("as %q assertions", h.Issuer), func() *clientauth.Window {
		return clientauth.NewWindow(0)
	})
	return err
}

// fillParts gives the engine what it shares with the rest of the process.
func (h *Handler) fillParts(ctx caddy.Context, app *umaapp.App, cfg *uma.Config) (err error) {
	cfg.Store, cfg.Observe, cfg.Now, cfg.Log = app.Store(), app.Observe(), time.Now, h.log
	cfg.ClientIP, cfg.Background = umaapp.ClientIP, ctx
	if err := h.fillKeys(app, cfg); err != nil {
		return err
	}
	if cfg.Finder, err = h.finder(ctx, app); err != nil {
		return err
	}
	out := app.Outbound()
	out.Log = h.log
	cfg.Outbound = outbound.NewStrict(out)
	return nil
}

func (h *Handler) share(app *umaapp.App, fingerprint []byte, server *uma.Server) (*uma.Server, error) {
	first, err := app.RegisterAS(h.Issuer, fingerprint, server)
	if err != nil {
		return nil, err
	}
	shared, ok := first.(*uma.Server)
	if !ok {
		return nil, fmt.Errorf("issuer %s belongs to another kind of handler", h.Issuer)
	}
	return shared, nil
}

// fillKeys: a key outlives the last token made with it by the leeway.
func (h *Handler) fillKeys(app *umaapp.App, cfg *uma.Config) error {
	for _, k := range []struct {
		purpose string
		life    time.Duration
		to      **jose.Ring
	}{
		{"ticket", cfg.TicketLifetime, &cfg.TicketKeys},
		{"rpt", cfg.RPTLifetime, &cfg.RPTKeys},
		{"subject", 0, &cfg.SubjectKeys},
		{"grant", cfg.DecisionRetention(), &cfg.GrantKeys},
		{"introspection", cfg.RPTLifetime, &cfg.IntrospectionKeys},
		{"nonce", uma.NonceLifetime, &cfg.NonceKeys},
		{"status", cfg.RPTLifetime, &cfg.StatusKeys},
	} {
		ring, err := app.Ring("as", h.Issuer, k.purpose, k.life+2*cfg.Leeway)
		if err != nil {
			return err
		}
		*k.to = ring
	}
	return nil
}

// finder makes the look-up of providers. Address and port rules are lifted for
// the host:port of the written base URLs, and for nothing else (CONFORMANCE
// A42, SEC-29).
func (h *Handler) finder(ctx caddy.Context, app *umaapp.App) (*discovery.Finder, error) {
	out := app.Outbound()
	out.Log, out.Exceptions = h.log, map[string]outbound.Exception{}
	var domains []discovery.Domain
	for i := range h.EmailDomains {
		e := &h.EmailDomains[i]
		if err := e.except(ctx, app, out.Exceptions); err != nil {
			return nil, err
		}
		for _, pattern := range e.Domains {
			domains = append(domains, discovery.Domain{
				Pattern: strings.ToLower(pattern), BaseURL: e.BaseURL, NoWebFinger: e.NoWebFinger, Deny: e.Deny,
				SameDomain: e.SameDomain, AssumeEmailVerified: e.AssumeEmailVerified, AcceptTyp: e.AcceptTyps,
			})
		}
	}
	size, maxAge, pause := app.Cache()
	client := outbound.NewStrict(out)
	h.registerExamines(app, h.providers(client, domains))
	return discovery.New(discovery.Config{
		Client: client, Domains: domains, NoDocument: h.NoDomainDocument,
		Size: size, MaxAge: maxAge, RefetchPause: pause, Ledger: uma.LedgerOf(app.Store(), h.Issuer),
		Now: time.Now, Observe: app.Observe(), Log: h.log,
	})
}

func (e *EmailDomain) except(ctx caddy.Context, app *umaapp.App, exceptions map[string]outbound.Exception) error {
	if e.BaseURL == "" {
		return nil
	}
	hostport, err := e.hostport()
	if err != nil {
		return err
	}
	app.WarnLocal("email_domain "+strings.Join(e.Domains, " "), hostport)
	var exception outbound.Exception
	if e.TrustPoolRaw != nil {
		mod, err := ctx.LoadModule(e, "TrustPoolRaw")
		if err != nil {
			return fmt.Errorf("trust_pool: %w", err)
		}
		ca, ok := mod.(caddytls.CA)
		if !ok {
			return fmt.Errorf("trust_pool: %T is no source of CAs", mod)
		}
		exception.Roots = ca.CertPool()
	}
	exceptions[hostport] = exception
	return nil
}

// warn logs what is allowed and perhaps not meant.
func (h *Handler) warn() {
	if len(h.ResourceServers) == 0 {
		h.log.Warn("there is no resource_server, so nobody can ask for a ticket", zap.String("iss", h.Issuer))
	}
	if len(h.Policies) == 0 {
		h.log.Warn("there is no policy, so nobody is let in", zap.String("iss", h.Issuer))
	}
	h.warnCertificates()
	for _, p := range h.Policies {
		for _, text := range p.From {
			if strings.HasPrefix(text, "*.") && !p.Deny {
				h.log.Warn("a policy lets in every subdomain; a dangling one is enough to pass it",
					zap.String("policy", p.Name), zap.String("from", text))
			}
		}
	}
}

// warnCertificates finds out whether certificates are of use.
func (h *Handler) warnCertificates() {
	wanted, checked := false, false
	for _, rs := range h.ResourceServers {
		wanted = wanted || rs.Require == string(uma.BindMTLS) || rs.SelfSignedTLSClientAuth
		checked = checked || rs.TLSClientAuth != ""
	}
	for _, c := range h.Clients {
		wanted = wanted || c.SelfSignedTLSClientAuth
		checked = checked || c.TLSClientAuth != ""
	}
	for _, p := range h.Policies {
		wanted = wanted || p.Require == string(uma.BindMTLS)
	}
	umaapp.WarnCertificates(h.log, h.Issuer, checked, wanted)
}
