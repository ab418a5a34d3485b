// Package fakeop is test support: an OpenID provider for made-up domains that
// can misbehave. It answers WebFinger, the openid-configuration and the key set
// over TLS on 127.0.0.1, signs claims tokens, and records what it was asked.
// Nothing but tests imports it.
package fakeop

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// Paths that the provider answers.
const (
	WebFinger     = "/.well-known/webfinger"
	Configuration = "/.well-known/openid-configuration"
	JWKS          = "/jwks"
)

// IssuerRel is the link relation of OpenID Connect Discovery §2.
const IssuerRel = "http://openid.net/specs/connect/1.0/issuer"

// Config describes a provider.
type Config struct {
	// Domain is the e-mail domain and the host; default bob.example.
	Domain string
	// Issuer defaults to https://DOMAIN. It may have a port or a path.
	Issuer string
	// OwnCA gives this provider a CA that no other one shares.
	OwnCA bool
}

// OP is a running provider. It answers every host name with a certificate for
// that name, so any number of domains can be connected to it.
type OP struct {
	Domain string
	Issuer string
	// Addr is host:port of the listener, the target for ConnectTo.
	Addr string
	// Roots has the CA of the provider's certificates.
	Roots *x509.CertPool

	sent atomic.Int64

	mu       sync.Mutex
	requests []Request
	conns    int
	behave   map[string]http.HandlerFunc
	links    func(resource string) (issuer string, ok bool)
	edit     func(doc map[string]any)
	keys     []signingKey
	ca       *authority
}

// Request is what one request looked like.
type Request struct {
	Method, Host, URI, Path string
	Header                  http.Header
	// ClientCerts is how many certificates the client showed.
	ClientCerts int
}

// New starts a provider and stops it when the test ends.
func New(t testing.TB, cfg Config) *OP {
	t.Helper()
	op := &OP{Domain: cfg.Domain, Issuer: cfg.Issuer, behave: map[string]http.HandlerFunc{}, ca: sharedCA()}
	if op.Domain == "" {
		op.Domain = "bob.example"
	}
	if op.Issuer == "" {
		op.Issuer = "https://" + op.Domain
	}
	if cfg.OwnCA {
		op.ca = newAuthority()
	}
	op.Roots = op.ca.pool()
	op.keys = []signingKey{newKey("key-1")}
	op.start(t)
	return op
}

func (op *OP) start(t testing.TB) {
	t.Helper()
	srv := httptest.NewUnstartedServer(op)
	srv.Listener = counted{srv.Listener, &op.sent}
	srv.TLS = op.ca.serverConfig()
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnState = op.countConn
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	op.Addr = srv.Listener.Addr().String()
}

// ConnectTo leads port 443 of the provider's domain, and of the given other
// domains, to the listener.
func (op *OP) ConnectTo(domains ...string) map[string]string {
	to := map[string]string{op.Domain + ":443": op.Addr}
	for _, d := range domains {
		to[d+":443"] = op.Addr
	}
	return to
}

// Misbehave replaces the answer at a path; at HOST/PATH (without a scheme) only
// for that host. A nil handler restores the good answer.
func (op *OP) Misbehave(path string, h http.HandlerFunc) {
	op.mu.Lock()
	defer op.mu.Unlock()
	if h == nil {
		delete(op.behave, path)
		return
	}
	op.behave[path] = h
}

// Link decides which issuer WebFinger names for a resource (acct:…); not ok is
// a JRD without an issuer link.
func (op *OP) Link(f func(resource string) (issuer string, ok bool)) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.links = f
}

// Edit changes the configuration document before it is sent.
func (op *OP) Edit(f func(doc map[string]any)) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.edit = f
}

// ServeHTTP implements http.Handler.
func (op *OP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op.handler(r)(w, r)
}

func (op *OP) handler(r *http.Request) http.HandlerFunc {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.requests = append(op.requests, record(r))
	if h, ok := op.behave[r.Host+r.URL.Path]; ok {
		return h
	}
	if h, ok := op.behave[r.URL.Path]; ok {
		return h
	}
	switch r.URL.Path {
	case WebFinger:
		return JSON("application/jrd+json", op.jrd(r.URL.Query().Get("resource")))
	case issuerPath(op.Issuer) + Configuration:
		return JSON("application/json", op.document())
	case JWKS:
		return JSON("application/json", json.RawMessage(marshalKeys(op.keys)))
	default:
		return http.NotFound
	}
}

func (op *OP) jrd(resource string) map[string]any {
	issuer, ok := op.Issuer, true
	if op.links != nil {
		issuer, ok = op.links(resource)
	}
	jrd := map[string]any{"subject": resource, "links": []any{}}
	if ok {
		jrd["links"] = []any{map[string]any{"rel": IssuerRel, "href": issuer}}
	}
	return jrd
}

// document is what an OpenID provider must publish (OpenID Connect Discovery
// §3) and no more.
func (op *OP) document() map[string]any {
	doc := map[string]any{
		"issuer":                                op.Issuer,
		"authorization_endpoint":                origin(op.Issuer) + "/authorize",
		"token_endpoint":                        origin(op.Issuer) + "/token",
		"jwks_uri":                              origin(op.Issuer) + JWKS,
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	}
	if op.edit != nil {
		doc = maps.Clone(doc)
		op.edit(doc)
	}
	return doc
}
