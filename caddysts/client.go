package caddysts

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// Client is a client that may exchange tokens.
type Client struct {
	// The client_id. Required.
	ClientID string `json:"client_id,omitempty"`
	// A public client has no credentials.
	Public bool `json:"public,omitempty"`
	umaapp.Credentials
	// Where the login page may send the browser back to. A loopback URI without
	// a port matches every port.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// Where the browser may go after a logout that the client has begun. Compared
	// byte for byte.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// Whether the client may log users in at the authorization challenge
	// endpoint, that is, see their passwords.
	FirstParty bool `json:"first_party,omitempty"`
	// URI prefixes and logical names that narrow `targets` for this client.
	Targets []string `json:"targets,omitempty"`
	// Whether its exchanges need a DPoP proof, so that it never gets a claims token
	// that anybody else could use (RFC 9449 §5.2).
	DPoPBound bool `json:"dpop_bound,omitempty"`
	// Whether it may exchange access tokens that were issued to other clients and
	// name this one as `may_act` (RFC 8693 §4.4). The claims token then says so
	// (`act`). Not for public clients.
	MayAct bool `json:"may_act,omitempty"`
	// A disabled client is refused.
	Disabled bool `json:"disabled,omitempty"`
}

// clients are those of the configuration, or the default one.
func (h *Handler) clients() []Client {
	if len(h.Clients) > 0 {
		return h.Clients
	}
	return []Client{{ClientID: defaultClient, Public: true, RedirectURIs: []string{defaultRedirect}}}
}

// parseClient reads
//
//	client <client_id> [public|<client_secret>] {
//		client_secret   <secret...>
//		jwks_uri        <uri>
//		jwks_file       <file>
//		tls_client_auth <subject_dn>
//		self_signed_tls_client_auth
//		redirect_uri    <uris...>
//		post_logout_redirect_uri <uris...>
//		first_party
//		target          <uri_prefix|name...>
//		dpop_bound
//		may_act
//		disabled
//	}
func (h *Handler) parseClient(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("uma_sts: write: client <client_id> [public|<client_secret>]")
	}
	c := Client{ClientID: args[0]}
	for _, other := range h.Clients {
		if other.ClientID == c.ClientID {
			return d.Errf("uma_sts: client '%s' is declared twice", c.ClientID)
		}
	}
	switch {
	case len(args) == 2 && args[1] == "public":
		c.Public = true
	case len(args) == 2:
		c.ClientSecrets = []string{args[1]}
	}
	first := *d
	if err := c.words().Read(d); err != nil {
		return err
	}
	settings, err := c.settings(nothing())
	if err == nil {
		err = settings.Check()
	}
	if err != nil {
		return first.Errf("uma_sts: %w", err)
	}
	h.Clients = append(h.Clients, c)
	return nil
}

func (c *Client) words() syntax.Words {
	return c.Credentials.Words(syntax.Words{
		Directive: directive,
		Known: map[string]read{
			"redirect_uri": syntax.List(&c.RedirectURIs),
			"first_party":  syntax.Flag(&c.FirstParty),
			"target":       targets(&c.Targets, false),
			"dpop_bound":   syntax.Flag(&c.DPoPBound),
			"may_act":      syntax.Flag(&c.MayAct),
			"disabled":     syntax.Flag(&c.Disabled),

			"post_logout_redirect_uri": syntax.List(&c.PostLogoutRedirectURIs),
		},
		Order: []string{"redirect_uri", "post_logout_redirect_uri", "first_party", "target", "dpop_bound", "may_act", "disabled"},
	})
}

// settings are those of the engine.
func (c *Client) settings(from umaapp.Lookup) (sts.Client, error) {
	if c.Public && len(c.ClientSecrets) > 0 { // before what is wrong with the secret
		return sts.Client{}, fmt.Errorf("client '%s' is public and has a secret: remove one of them", c.ClientID)
	}
	credentials, err := c.Credentials.Settings("client", c.ClientID, from)
	return sts.Client{
		Client: clientauth.Client{
			ID: c.ClientID, Public: c.Public, Credentials: credentials, DPoPBound: c.DPoPBound, Disabled: c.Disabled,
		},
		Targets: c.Targets, MayAct: c.MayAct,
	}, err
}

// authenticate finds the client of a token request.
type authenticate = func(*http.Request, oauth.Form) (clientauth.Client, error)

// authenticator makes the table of clients, which service and provider share.
func (h *Handler) authenticator(app *umaapp.App, clients []sts.Client) (authenticate, error) {
	used, err := umaapp.Keep(app, fmt.Sprintf("sts %q assertions", h.Issuer), func() *clientauth.Window {
		return clientauth.NewWindow(0)
	})
	if err != nil {
		return nil, err
	}
	cfg := clientauth.Config{
		Issuer: h.Issuer, Keys: clientKeys(app), Leeway: or(h.Leeway, defaultLeeway), Used: used, Now: time.Now,
	}
	if h.Provider != nil { // without it the service has no use for a store, and needs none
		cfg.Store, cfg.Tenant = app.Store(), store.Tenant("sts", h.Issuer)
	}
	auth, err := clientauth.NewAuthenticator(cfg)
	if err != nil {
		return nil, err
	}
	known := make(clientauth.Clients, len(clients))
	for _, c := range clients {
		known[c.ID] = c.Client
	}
	return clientauth.NewTable(known, auth).Authenticate, nil
}

// maxKeySet is the largest key set in bytes (CONFORMANCE §1).
const maxKeySet = 256 << 10

// clientKeys keeps the key sets that clients name by jwks_uri. The configuration
// has named them, but behind a name anything may stand.
func clientKeys(app *umaapp.App) *jose.Cache {
	strict := outbound.NewStrict(app.Outbound())
	_, maxAge, pause := app.Cache()
	return jose.NewCache(jose.CacheConfig{
		Fetch: func(ctx context.Context, uri string) ([]byte, error) {
			res, err := strict.Get(ctx, outbound.Request{URL: uri, Accept: "application/jwk-set+json, application/json", MaxBody: maxKeySet})
			if err != nil {
				return nil, err
			}
			if res.Status != http.StatusOK {
				return nil, fmt.Errorf("%w: status %d", outbound.ErrTemporary, res.Status)
			}
			return res.Body, nil
		},
		MaxAge: maxAge, Pause: pause, Now: time.Now,
	})
}
