package caddysts

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
	"github.com/caddy-uma/caddy-uma/internal/wrap"
)

// parseWrap reads
//
//	wrap [<op_issuer>] [keycloak|entra|google|generic] {
//		… as upstream
//	}
func (h *Handler) parseWrap(d *caddyfile.Dispenser) error {
	if h.Wrap != nil {
		return d.Errf("uma_sts: wrap is written twice")
	}
	h.Wrap = new(Upstream)
	return h.Wrap.parse(d)
}

// place is where users come from, as a Caddyfile says it first.
type place struct {
	word string
	line int
}

// placement reads one of the words of which there may be but one kind.
func (h *Handler) placement(word string, parse read) read {
	return func(d *caddyfile.Dispenser) error {
		if first := h.placed; first.word != "" && first.word != word {
			return d.Errf("uma_sts: choose one of upstream, wrap, provider (line %d and line %d)", first.line, d.Line())
		}
		h.placed = place{word, d.Line()}
		return parse(d)
	}
}

// wrapped is the provider that the next handler leads to, with its issuer: the
// written one, or ours with merge_jwks.
func (h *Handler) wrapped() Upstream {
	u := *h.Wrap
	if u.Issuer == "" && h.MergeJWKS {
		u.Issuer = h.Issuer
	}
	return u
}

// checkWrap checks how the issuer of the provider fits ours (CONFORMANCE A28).
func (h *Handler) checkWrap(domains []string) error {
	u := h.wrapped()
	theirs := u.Issuer
	switch {
	case theirs == "":
		return fmt.Errorf("wrap needs the issuer of the OpenID provider: wrap %s/dex (or add merge_jwks if both are one issuer)", origin(h.Issuer))
	case h.MergeJWKS && theirs != h.Issuer:
		return fmt.Errorf("with merge_jwks both are one issuer: write 'uma_sts %s' and 'wrap' without an issuer", theirs)
	case !h.MergeJWKS && theirs == h.Issuer:
		return fmt.Errorf("wrap %s is the issuer of this server: give it one of its own, e.g. %s/claims, or write merge_jwks if both are to be one (every relying party of the provider then trusts the key of claims tokens)", theirs, origin(h.Issuer))
	}
	if err := h.checkPlaces(theirs); err != nil {
		return err
	}
	if err := h.checkMergedTargets(); err != nil {
		return err
	}
	return h.checkUpstreams([]*Upstream{&u}, domains)
}

// checkMergedTargets: with merge_jwks a claims token has the issuer and a key of the
// provider's ID tokens. A relying party that does not look at typ takes one whose
// audience is its client_id for an ID token, so nobody may ask for just any
// audience; a client_id can be a URI, too (CONFORMANCE A28). Clients of ours are
// never targets; one of the provider that is named here is none either.
func (h *Handler) checkMergedTargets() error {
	if !h.MergeJWKS {
		return nil
	}
	for _, t := range h.Targets {
		for _, name := range t.Names {
			switch {
			case name == "*":
				return errors.New("target * cannot be used with merge_jwks: a relying party of the provider whose client_id is a URI could take a claims token for an ID token; write the resource servers one by one")
			case name == h.Wrap.ClientID:
				return fmt.Errorf("target '%s' is the client_id of 'wrap': with merge_jwks a claims token for it could be taken for an ID token", name)
			}
		}
	}
	return nil
}

// checkPlaces wants the provider on the same host, and off our own paths: what
// does not go through this site cannot be answered here.
func (h *Handler) checkPlaces(theirs string) error {
	op, err := oauth.ParseIssuer(theirs)
	if err != nil {
		return fmt.Errorf("wrap: issuer '%s' %w", theirs, err)
	}
	ours, err := oauth.ParseIssuer(h.Issuer)
	if err != nil {
		return fmt.Errorf("issuer '%s' %w", h.Issuer, err)
	}
	if !oauth.SameOrigin(op, ours) {
		return fmt.Errorf("wrap: the OpenID provider %s is on another host than %s: only one behind the same site can be wrapped; write 'upstream %s' for this one", theirs, h.Issuer, theirs)
	}
	own := *ours
	own.Path = strings.TrimSuffix(ours.Path, "/") + "/sts"
	if oauth.Covers(&own, op) {
		return fmt.Errorf("wrap: the paths of %s are those of this server's own endpoints", theirs)
	}
	return nil
}

// origin is an issuer without its path.
func origin(issuer string) string {
	u, err := oauth.ParseIssuer(issuer)
	if err != nil {
		return issuer
	}
	return u.Scheme + "://" + u.Host
}

var errMergeAlone = errors.New("merge_jwks says that this server and the provider of 'wrap' are one issuer; there is no 'wrap'")

// front stands before the provider of `wrap`; nil without it.
func (h *Handler) front(app *umaapp.App, engine *sts.Server) (*wrap.Front, error) {
	if h.Wrap == nil {
		return nil, nil
	}
	cfg := wrap.Config{
		Provider: h.wrapped().Issuer, Exchange: h.exchangeAt(engine), Prepare: prepare, Now: time.Now, Log: h.log,
	}
	if h.MergeJWKS {
		ring, err := h.claimsRing(app)
		if err != nil {
			return nil, err
		}
		cfg.Merge = &wrap.Merge{Keys: ring.Public, Algorithm: app.Algorithm, Metadata: engine.Document()}
	}
	return wrap.New(cfg)
}

// exchangeAt is our token endpoint at the provider's. Like all our endpoints it
// needs TLS, while what passes to the provider is the provider's affair.
func (h *Handler) exchangeAt(engine *sts.Server) func(string) http.Handler {
	gate := umaapp.NewGate(engine, h.Issuer, h.log)
	return func(endpoint string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gate.Admit(w, r) {
				engine.TokenAt(endpoint).ServeHTTP(w, r)
			}
		})
	}
}

// prepare gives a request of our own what Caddy's handlers look for in it: its own
// variables and placeholders, not those of the request that made us ask.
func prepare(of, ours *http.Request, w http.ResponseWriter) *http.Request {
	server, _ := of.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return caddyhttp.PrepareRequest(ours, caddy.NewReplacer(), w, server)
}

// behind is what answers where the service does not.
func (s *service) behind(next caddyhttp.Handler) caddyhttp.Handler {
	if s.front == nil {
		return next
	}
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return s.front.ServeHTTP(w, r, next)
	})
}
