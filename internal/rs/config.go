package rs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// Call says what a request to the authorization server is for, so that the
// transport can choose a way for it.
type Call int

// Calls.
const (
	CallMetadata Call = iota
	CallKeys
	CallPermission
	CallToken        // asks for a PAT
	CallRegistration // reads and writes resource descriptions
	CallIntrospection
	CallStatus // reads a status list
)

// Config describes a resource server.
type Config struct {
	// Issuer is the authorization server, ClientID our name there. Without
	// credentials the token request carries the name alone: only an
	// authorization server in the same process may accept that.
	Issuer, ClientID, ClientSecret string
	// Key signs assertions that authenticate us instead of a secret (private_key_jwt).
	Key *jose.Signer
	// Certificate says that AS shows a certificate that authenticates us
	// (tls_client_auth, RFC 8705 §2).
	Certificate bool
	// ResourceURI is our resource identifier; empty: what the authorization
	// server has for us. Written on both sides and different: nothing passes.
	ResourceURI string
	// Owner is the resource owner of all resources that name none; empty: the
	// one the authorization server has for us.
	Owner string
	// Resources; empty: one without a name, which is then called like the
	// resource URI.
	Resources []Resource
	// Scopes of resources that have none; default: get for GET and HEAD.
	Scopes []Scope
	// MaxInstances is how many instances each pattern may have at the authorization
	// server; 0: its default.
	MaxInstances int
	// Realm is shown in challenges if it is not empty.
	Realm string
	// Require is what RPTs for resources without a word of their own must be bound to.
	Require Binding
	// DPoPNonces demands a nonce of ours in DPoP proofs (RFC 9449 §9); NonceKeys seal
	// them.
	DPoPNonces bool
	NonceKeys  seal.Keys
	// Proofs remembers DPoP proofs. What is to outlive a reload of the configuration
	// is handed in; nil: it does not.
	Proofs *dpop.Replays
	// Written gives method and URL of a request as the client wrote them; nil: those
	// that it has now.
	Written func(*http.Request) (method string, u *url.URL)
	// MaxRPTLifetime is the longest exp-iat of an RPT that is accepted (1h).
	MaxRPTLifetime time.Duration
	// Introspect: every RPT is asked about at the authorization server. Default: JWTs
	// are checked here by its keys, and only opaque tokens are asked about.
	Introspect bool
	// Asking bounds the questions about tokens of a source that turn out to be none;
	// nil: no bound.
	Asking *limit.Limiter
	// Revocation is how old what we know of the revocation of RPTs may be (10s). While
	// the authorization server cannot be asked, it may be three times as old; then
	// RPTs cannot be checked, or with FailOpen count until they expire.
	Revocation time.Duration
	FailOpen   bool
	// Leeway for clocks (60s; negative: none).
	Leeway time.Duration
	// Cache is how many verified RPTs are kept (100000).
	Cache int
	// NoMetadata: no RFC 9728 document and no resource_metadata.
	NoMetadata bool
	// Assertion is for the backend; nil: none.
	Assertion *Assertion
	// Limiter bounds the tickets of a source; nil: no bound.
	Limiter *limit.Limiter
	// DeleteUndeclared deletes resources that are registered for the client and
	// declared neither here nor by one of the Siblings.
	DeleteUndeclared bool
	// Siblings gives the resource servers that share the client; nil: none.
	Siblings func() []*Server
	// Registering, if set, is held while resources are registered. Resource
	// servers that share a client id share it, or two that start at once
	// would both register a resource of the same name.
	Registering sync.Locker
	// AS sends a request to the authorization server. It follows no redirect.
	AS func(Call, *http.Request) (*http.Response, error)
	// KeyMaxAge and KeyPause are for the key set of the authorization server (15m, 60s).
	KeyMaxAge, KeyPause time.Duration
	Now                 func() time.Time
	Observe             event.Observe
	Log                 *zap.Logger
}

// Resource is something that is registered at the authorization server.
type Resource struct {
	Name, Type, Description, IconURI, Owner string
	// Captures, if there are any, are the names of the Captures of a Target: the
	// resource is a pattern, and each request for an instance of it.
	Captures []string
	// OwnerTemplate, if it is not empty, says that the Owner of a Target owns what
	// a request is for. Resources with the same text have the same owner then.
	OwnerTemplate string
	// Scopes; empty: those of the Config.
	Scopes []Scope
	// Also are permissions on further resources that a request needs.
	Also []Also
	// Require, if not empty, replaces that of the Config.
	Require Binding
}

// Also names a further resource. Without Scopes it is the scope of the request.
type Also struct {
	Resource string
	Scopes   []string
}

// Scope is a scope and the methods it stands for. No method: the name in upper
// case (get: HEAD, too). The method * is every method that no other scope has.
type Scope struct {
	Name    string
	Methods []string
}

// Server is a resource server. It is safe for concurrent use.
type Server struct {
	cfg       Config
	resources []resource

	endpoints  lazy[endpoints]
	pat        lazy[pat]
	registered lazy[registration]
	learned    learnedBox
	heard      heard
	unwell     unwell
	probe      lazy[struct{}]
	current    atomic.Pointer[state]
	troubled   pause
	verifier   *verifier
	proofs     *dpop.Verifier
	nonces     *dpop.SealedNonces // nil: none
	// created are the ids of resources that this engine has created, cleared tells
	// that it was done once with what is not declared; guarded by cfg.Registering.
	created map[string]bool
	cleared bool
}

// New checks the configuration and fills in the defaults. It starts nothing and
// calls nobody.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	resources, err := compile(cfg.Resources, cfg.Scopes)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, resources: resources, created: map[string]bool{}, troubled: pause{length: time.Second}}
	s.endpoints.keepStale, s.registered.keepStale = true, true
	if err := s.makeProofs(); err != nil {
		return nil, err
	}
	s.verifier, err = newVerifier(s)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Validate does the checks of New, for a configuration without a way to the
// authorization server.
func (c Config) Validate() error {
	c.AS = func(Call, *http.Request) (*http.Response, error) { return nil, errors.ErrUnsupported }
	c.Now = func() time.Time { return time.Time{} }
	if err := c.check(); err != nil {
		return err
	}
	c.setDefaults()
	_, err := compile(c.Resources, c.Scopes)
	return err
}

func (c *Config) check() error {
	if _, err := oauth.ParseIssuer(c.Issuer); err != nil {
		return fmt.Errorf("issuer '%s' %w", c.Issuer, err)
	}
	if c.ClientID == "" {
		return errors.New("client_id is required")
	}
	if err := errors.Join(c.checkCredentials(), c.Assertion.check()); err != nil {
		return err
	}
	if c.ResourceURI != "" {
		if _, err := oauth.ParseResource(c.ResourceURI); err != nil {
			return fmt.Errorf("resource_uri '%s' %w", c.ResourceURI, err)
		}
	}
	for _, r := range c.Resources {
		if err := r.Require.check(); err != nil {
			return fmt.Errorf("resource '%s': %w", r.Name, err)
		}
	}
	if err := c.Require.check(); err != nil {
		return err
	}
	if c.Revocation < 0 {
		return errors.New("revocation must be positive")
	}
	if c.AS == nil || c.Now == nil {
		return errors.New("no way to the authorization server or no clock")
	}
	return nil
}

func (c *Config) setDefaults() {
	if len(c.Resources) == 0 {
		c.Resources = []Resource{{}}
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []Scope{{Name: "get"}}
	}
	c.MaxRPTLifetime = or(c.MaxRPTLifetime, time.Hour)
	c.Revocation = or(c.Revocation, 10*time.Second)
	c.Leeway = max(0, or(c.Leeway, time.Minute))
	c.Cache = or(c.Cache, 100_000)
	c.KeyMaxAge = or(c.KeyMaxAge, 15*time.Minute)
	c.KeyPause = or(c.KeyPause, time.Minute)
	if c.Registering == nil {
		c.Registering = new(sync.Mutex)
	}
	if c.Siblings == nil {
		c.Siblings = func() []*Server { return nil }
	}
	if c.Observe == nil {
		c.Observe = event.None
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// learned is what the authorization server says about us with the PAT.
type learned struct {
	uri      *url.URL
	resource string // the resource URI
	audience string // what RPTs are made for
	owner    string
}

// Ready fetches what the first request would need; a check of the health may
// call it.
func (s *Server) Ready(ctx context.Context) error {
	_, err := s.ready(ctx)
	return err
}
