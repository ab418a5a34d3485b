package clientauth

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// Config describes an Authenticator.
type Config struct {
	// Issuer is our own identifier: what assertions must be made for.
	Issuer string
	// Keys finds the key sets that clients name by jwks_uri.
	Keys *jose.Cache
	// Leeway is the tolerated difference between clocks.
	Leeway time.Duration
	// Used remembers assertions in this process; nil = a Window of its own.
	Used *Window
	// Store remembers them for all that share it, under Tenant; nil = nothing does.
	Store  store.Store
	Tenant string
	// Strangers says that these clients were registered by nobody here.
	Strangers bool
	// BindAll binds what a client gets to its certificate even if it neither asks
	// for that nor authenticates with it.
	BindAll bool
	Now     func() time.Time
}

// Authenticator authenticates clients by every method.
type Authenticator struct {
	cfg   Config
	used  *window
	decoy decoy
}

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(cfg Config) (*Authenticator, error) {
	if cfg.Issuer == "" || cfg.Keys == nil || cfg.Now == nil {
		return nil, errors.New("clientauth: issuer, keys and clock are required")
	}
	if cfg.Store != nil && cfg.Tenant == "" {
		return nil, errors.New("clientauth: a store needs a tenant")
	}
	if cfg.Used == nil {
		cfg.Used = NewWindow(0)
	}
	decoy, err := newDecoy()
	if err != nil {
		return nil, err
	}
	a := &Authenticator{cfg: cfg, used: cfg.Used.registered, decoy: decoy}
	if cfg.Strangers {
		a.used = cfg.Used.strangers
	}
	return a, nil
}

// Request is how a client presents itself.
type Request struct {
	oauth.Credentials
	// TLS is the state of the connection; nil = no TLS of our own. A certificate in
	// a header field is none (CONFORMANCE OA-19).
	TLS *tls.ConnectionState
}

// Authenticate finds out whether a request comes from client; the zero Client
// stands for one that is unknown. The work is the same for both. The result has
// Certificate set.
//
// 401 invalid_client: it does not. 503: keys could not be read, or an assertion
// could not be remembered, so that nothing is known; of a client whose keys are
// at a URI that fails this tells that it exists.
func (a *Authenticator) Authenticate(ctx context.Context, client Client, req Request) (Client, error) {
	if req.ClientID == "" && req.Method == oauth.AuthNone {
		return Client{}, missingID()
	}
	ok, byCertificate, err := a.verify(ctx, client, req)
	if err != nil {
		return Client{}, err
	}
	if !ok || client.ID == "" || client.ID != req.ClientID || client.Disabled {
		return Client{}, Invalid(req.Method)
	}
	client.Certificate = ""
	if cert := peer(req.TLS); cert != nil && (byCertificate || client.TLSBound || a.cfg.BindAll) {
		client.Certificate = Thumbprint(cert)
	}
	return client, nil
}

// verify looks at the one method that the request uses. A certificate counts as
// one only if nothing else was sent: with other credentials it may be there for
// binding alone.
func (a *Authenticator) verify(ctx context.Context, client Client, req Request) (ok, byCertificate bool, err error) {
	switch {
	case req.Method == oauth.AuthPrivateKeyJWT:
		ok, err = a.verifyAssertion(ctx, client, req.Credentials)
		return ok, false, err
	case req.Method == oauth.AuthNone && !client.Public && req.TLS != nil:
		ok, err = a.verifyCertificate(ctx, client, req.TLS)
		return ok, ok, err
	default:
		return accepts(client, req.Credentials), false, nil
	}
}

// keys are those of a client; nil = it has none.
func (a *Authenticator) keys(client Client) jose.Holder {
	switch {
	case client.JWKSURI != "":
		return a.cfg.Keys.Keys(client.JWKSURI)
	case len(client.JWKS) != 0:
		set, err := jose.ParseJWKS(client.JWKS)
		if err != nil { // Credentials.Check has refused it before
			return nil
		}
		return set
	}
	return nil
}
