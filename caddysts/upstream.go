package caddysts

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

// Upstream is somebody else's OpenID provider, whose access tokens can be
// exchanged. It is asked at the first use and not when the configuration is loaded.
type Upstream struct {
	// Its issuer identifier, an https URL. Required, but for `wrap` with
	// `merge_jwks`.
	Issuer string `json:"issuer,omitempty"`
	// What is known of the vendor's tokens: `keycloak`, `entra`, `google` or
	// `generic`. Default: generic (RFC 9068).
	Preset string `json:"preset,omitempty"`
	// How an access token is read: `jwt` by the provider's keys, `introspection`
	// (RFC 7662), or `userinfo`. Default: jwt; google has a way of its own.
	Check string `json:"check,omitempty"`
	// Who asks at the introspection endpoint.
	ClientID string `json:"client_id,omitempty"`
	// Its secret: a placeholder `{env.X}` or `{file./path}`, or literal text.
	ClientSecret string `json:"client_secret,omitempty"`
	// Instead of a secret: a file with its private key, as JWK or PEM.
	PrivateKeyJWT string `json:"private_key_jwt,omitempty"`
	// What stands for this server in the audience of access tokens, besides the
	// issuer.
	Audiences []string `json:"audiences,omitempty"`
	// The accepted values of the header member `typ`; `none` is its absence.
	// Default: `at+jwt`.
	Types []string `json:"typs,omitempty"`
	// Whether tokens are taken of which nobody can tell for whom they were made
	// (`check userinfo`). Only clients that authenticate may exchange them.
	AcceptUnboundTokens bool `json:"accept_unbound_tokens,omitempty"`
	// The e-mail domains whose addresses the provider may speak of. Default: all of
	// the server.
	EmailDomains []string `json:"email_domains,omitempty"`
	// Claims by our name with the name that the provider gives them, such as
	// `email` with `upn`.
	Claims map[string]string `json:"claims,omitempty"`
	// Whether its addresses count as verified though it does not say so.
	AssumeEmailVerified bool `json:"assume_email_verified,omitempty"`
	// The exact set of CAs for it. Default: that of the global option.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`
	// How long an answer about a token is used, at most 1m. Default: 10s.
	Cache caddy.Duration `json:"cache,omitempty"`

	roots *x509.CertPool
}

// parseUpstream reads
//
//	upstream <op_issuer> [keycloak|entra|google|generic] {
//		check                 jwt|introspection|userinfo
//		client_id             <id>
//		client_secret         <secret>
//		private_key_jwt       <key_file>
//		audience              <values...>
//		typ                   <typ...>
//		accept_unbound_tokens
//		email_domain          <domains...>
//		claim                 <name> <upstream_claim>
//		assume_email_verified
//		trust_pool            <module> ...
//		cache                 <max_age>
//	}
func (h *Handler) parseUpstream(d *caddyfile.Dispenser) error {
	first := *d
	u := new(Upstream)
	if err := u.parse(d); err != nil {
		return err
	}
	if u.Issuer == "" {
		return first.Errf("uma_sts: write: upstream <op_issuer> [keycloak|entra|google|generic]")
	}
	h.Upstreams = append(h.Upstreams, u)
	return nil
}

// parse reads arguments and block; the issuer may be missing.
func (u *Upstream) parse(d *caddyfile.Dispenser) error {
	line := d.Val()
	for _, arg := range d.RemainingArgs() {
		to := &u.Preset
		if strings.Contains(arg, "://") {
			to = &u.Issuer
		}
		if *to != "" {
			return d.Errf("uma_sts: write: %s <op_issuer> [keycloak|entra|google|generic]", line)
		}
		*to = arg
	}
	return u.words().Read(d)
}

func (u *Upstream) words() syntax.Words {
	return syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"check":                 syntax.Text(directive, &u.Check),
			"client_id":             syntax.Text(directive, &u.ClientID),
			"client_secret":         syntax.Text(directive, &u.ClientSecret),
			"private_key_jwt":       syntax.Text(directive, &u.PrivateKeyJWT),
			"audience":              syntax.List(&u.Audiences),
			"typ":                   syntax.List(&u.Types),
			"accept_unbound_tokens": syntax.Flag(&u.AcceptUnboundTokens),
			"email_domain":          syntax.List(&u.EmailDomains),
			"claim":                 u.parseClaim,
			"assume_email_verified": syntax.Flag(&u.AssumeEmailVerified),
			"trust_pool":            u.parseTrustPool,
			"cache":                 syntax.Duration(directive, &u.Cache),
		},
		Order: []string{
			"check", "client_id", "client_secret", "private_key_jwt", "audience", "typ", "accept_unbound_tokens",
			"email_domain", "claim", "assume_email_verified", "trust_pool", "cache",
		},
	}
}

func (u *Upstream) parseClaim(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("uma_sts: write: claim <name> <upstream_claim>, such as: claim email upn")
	}
	if _, twice := u.Claims[args[0]]; twice {
		return d.Errf("uma_sts: claim '%s' is written twice", args[0])
	}
	if u.Claims == nil {
		u.Claims = make(map[string]string)
	}
	u.Claims[args[0]] = args[1]
	return nil
}

func (u *Upstream) parseTrustPool(d *caddyfile.Dispenser) (err error) {
	if u.TrustPoolRaw != nil {
		return d.Errf("uma_sts: trust_pool is written twice")
	}
	u.TrustPoolRaw, err = umaapp.ParseTrustPool(d)
	return err
}

// config is that of the package upstream, as far as a Caddyfile can state it.
func (u *Upstream) config(h *Handler, domains []string) upstream.Config {
	if len(u.EmailDomains) > 0 {
		domains = u.EmailDomains
	}
	cfg := upstream.Config{
		Issuer: u.Issuer, Self: h.Issuer, Preset: u.Preset, Check: upstream.Check(u.Check),
		ClientID: u.ClientID, Secret: u.ClientSecret, Audience: u.Audiences, Types: u.Types,
		AcceptUnbound: u.AcceptUnboundTokens, Domains: domains, Claims: u.Claims,
		AssumeVerified: u.AssumeEmailVerified, CacheAge: time.Duration(u.Cache), Leeway: or(h.Leeway, defaultLeeway),
	}
	if u.PrivateKeyJWT != "" {
		cfg.Key = new(jose.Signer) // the file is read in Provision
	}
	return cfg
}

// checkUpstreams checks what can be seen without looking at the environment.
func (h *Handler) checkUpstreams(all []*Upstream, domains []string) error {
	if len(h.EmailDomains) == 0 {
		return errors.New("email_domain is required: the domains whose addresses this server vouches for; an OpenID provider may tell any address")
	}
	configs := make([]upstream.Config, 0, len(all))
	for _, u := range all {
		configs = append(configs, u.config(h, domains))
		if err := u.within(domains); err != nil {
			return fmt.Errorf("upstream %s: %w", u.Issuer, err)
		}
	}
	return upstream.CheckAll(configs...)
}

// within refuses domains that the server does not speak for.
func (u *Upstream) within(domains []string) error {
	for _, domain := range u.EmailDomains {
		found := false
		for _, known := range domains {
			found = found || strings.EqualFold(known, domain)
		}
		if !found {
			return fmt.Errorf("email_domain '%s' is none of the server's (%s)", domain, strings.Join(domains, ", "))
		}
	}
	return nil
}

// upstreams makes the source of users for `upstream` and `wrap`.
func (h *Handler) upstreams(app *umaapp.App, all []*Upstream) (source, error) {
	domains, err := h.emailDomains()
	if err != nil {
		return source{}, err
	}
	made := make([]*upstream.Upstream, 0, len(all))
	for _, u := range all {
		one, err := u.make(h, app, domains)
		if err != nil {
			return source{}, fmt.Errorf("upstream %s: %w", u.Issuer, err)
		}
		made = append(made, one)
		examineUpstream(app, h.Issuer, one, or(h.Leeway, defaultLeeway))
	}
	set, err := upstream.NewSet(made...)
	if err != nil {
		return source{}, err
	}
	var issuers []string
	for _, u := range all {
		issuers = append(issuers, u.Issuer)
	}
	extend := func(m *oauth.Metadata) { m.SubjectTokenIssuers = issuers }
	return source{resolve: set.Resolve, extend: extend}, nil
}

func (u *Upstream) make(h *Handler, app *umaapp.App, domains []string) (*upstream.Upstream, error) {
	cfg := u.config(h, domains)
	out := app.Outbound()
	if u.roots != nil {
		out.Roots = u.roots
	}
	_, age, pause := app.Cache()
	cfg.HTTP, cfg.KeyAge, cfg.KeyPause = outbound.NewNamed(out), age, pause
	h.hangUp = append(h.hangUp, cfg.HTTP.CloseIdleConnections)
	cfg.Now, cfg.Log = time.Now, h.log
	if err := u.credentials(&cfg); err != nil {
		return nil, err
	}
	return upstream.New(cfg)
}

// credentials expands the secret and reads the key file.
func (u *Upstream) credentials(cfg *upstream.Config) (err error) {
	if u.ClientSecret != "" {
		// It is the provider's choice how long it is.
		if cfg.Secret, err = syntax.Expand(directive, "client_secret of "+u.Issuer, u.ClientSecret); err != nil {
			return err
		}
		if cfg.Secret == u.ClientSecret {
			syntax.WarnLiteral(directive, "client_secret of "+u.Issuer)
		}
	}
	if u.PrivateKeyJWT == "" {
		return nil
	}
	data, err := umaapp.ReadKeyFile(u.PrivateKeyJWT)
	if err != nil {
		return fmt.Errorf("private_key_jwt: %w", err)
	}
	key, err := jose.ParsePrivateKey(data)
	if err != nil {
		return fmt.Errorf("private_key_jwt: %s: %w", u.PrivateKeyJWT, err)
	}
	cfg.Key = &key
	return nil
}

// loadTrust loads the sets of CAs.
func (u *Upstream) loadTrust(ctx caddy.Context) error {
	if u.TrustPoolRaw == nil {
		return nil
	}
	mod, err := ctx.LoadModule(u, "TrustPoolRaw")
	if err != nil {
		return fmt.Errorf("upstream %s: trust_pool: %w", u.Issuer, err)
	}
	ca, ok := mod.(caddytls.CA)
	if !ok {
		return fmt.Errorf("upstream %s: trust_pool: %T is no source of CAs", u.Issuer, mod)
	}
	u.roots = ca.CertPool()
	return nil
}
