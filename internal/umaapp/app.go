// Package umaapp is the process-wide Caddy app `uma`: what the directives of one
// configuration share. It holds the store, the signing and sealing keys, the
// settings of the outbound clients, the registry by which a resource server
// finds an authorization server in the same process, and the observer that
// turns events into log lines, counters, Caddy events and spans.
//
// The three adapters (caddyuma, caddysts, caddyrs) fetch it with Get in their
// Provision. Provision of the app itself only checks settings: the store is
// opened and keys are made at first use, so that `caddy validate` beside a
// running server touches nothing.
package umaapp

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/keystore"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/logs"
)

func init() {
	caddy.RegisterModule(new(App))
	caddy.RegisterModule(Bolt{})
	caddy.RegisterModule(adminAPI{})
	caddy.RegisterModule(health.Handler{})
	caddy.RegisterModule(new(logs.ChainEncoder))
	caddy.RegisterModule(new(logs.FilterEncoder))
}

// App is the global option `uma`: settings of the whole process. All fields are
// optional.
type App struct {
	// StoreRaw is where the authorization servers and embedded providers keep
	// their documents. Default: {"module": "bolt"}.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=uma.stores inline_key=module"`

	// Keys says where signing and sealing keys are kept: `storage` is Caddy's
	// own storage, which all nodes of a cluster must share; `store` is the document
	// store, where they are sealed with the first of the key encryption keys.
	// Default: storage.
	Keys string `json:"keys,omitempty"`
	// KeyEncryptionKeys are for keys in the store: secrets of 32 random bytes or
	// more, each {env.NAME} or {file./path/to/secret}. The first seals, all open:
	// to change it, put the new one behind the old one on all nodes, then before
	// it, then remove the old one.
	KeyEncryptionKeys []string `json:"key_encryption_keys,omitempty"`
	// KeyRotation is the age at which a key is replaced; the old one stays until
	// the last token made with it has expired. Negative: never. Default: 90d.
	KeyRotation caddy.Duration `json:"key_rotation,omitempty"`
	// Algorithm of signing keys: ES256, EdDSA, PS256 or RS256. Default: ES256.
	Algorithm string `json:"algorithm,omitempty"`

	// TrustPoolRaw is the exact set of CAs for hosts that the administrator
	// named. Default: the CAs of the system.
	TrustPoolRaw json.RawMessage `json:"trust_pool,omitempty" caddy:"namespace=tls.ca_pool.source inline_key=provider"`
	// TrustInternalCA adds Caddy's own CA of this id to the system's CAs, for
	// hosts that the administrator named. It provisions the app `pki`.
	TrustInternalCA string `json:"trust_internal_ca,omitempty"`
	// ConnectTo maps host:port to the address:port that is dialled for it; for
	// that host:port alone the address may be private.
	ConnectTo map[string]string `json:"connect_to,omitempty"`
	// CacheOptions bound what is remembered of other people's issuers.
	CacheOptions *CacheOptions `json:"cache,omitempty"`
	// RefetchPause is the least time between two fetches of an issuer's keys.
	// Default: 60s.
	RefetchPause caddy.Duration `json:"refetch_pause,omitempty"`

	// AuditSubject says how a person appears in the log `uma.audit`: `plain` is
	// the e-mail address, `hash` its keyed hash, `off` neither; issuer and
	// subject stand there always. Default: plain.
	AuditSubject string `json:"audit_subject,omitempty"`
	// AuditRequests says which requests that a resource server lets through have a
	// line in the log `uma.audit`: `first` is the first one of each RPT at each
	// resource, `all` every one. Those that are refused have one always. Default:
	// first.
	AuditRequests string `json:"audit_requests,omitempty"`

	ctx      caddy.Context
	log      *zap.Logger
	roots    *x509.CertPool
	store    *lazyStore
	sweeping background
	registry registry

	health    health.Checks
	ownHealth sync.Once

	nodes   nodes
	now     func() time.Time
	metrics *metrics
	events  *emitter

	keks *keystore.Secrets

	hanging   atomic.Int32 // operations on Caddy's storage
	ringsMu   sync.Mutex
	rings     map[ringKey]ringEntry
	keyStores map[ringKey]*keystore.Storage // without purpose
	kept      []string                      // keys of memories
}

// CacheOptions is the global option `cache`.
type CacheOptions struct {
	// Issuers kept, and ten times as many people who had a grant. Default: 10000.
	Issuers int `json:"issuers,omitempty"`
	// MaxAge of what is kept. Default: 15m.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma", New: func() caddy.Module { return new(App) }}
}

// Get gives the app of this configuration, with defaults if the configuration
// has no `uma` option. It is for Provision: at request time the app must be
// there already.
func Get(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("uma")
	if err != nil {
		return nil, err
	}
	return app.(*App), nil
}

// Provision implements caddy.Provisioner. It opens nothing and calls nobody.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.log = ctx.Logger()
	a.now = time.Now
	a.rings = make(map[ringKey]ringEntry)
	a.fillDefaults()
	if err := a.check(); err != nil {
		return err
	}
	if err := a.provisionMetrics(); err != nil {
		return err
	}
	if err := a.provisionEvents(); err != nil {
		return err
	}
	if err := a.provisionStore(); err != nil {
		return err
	}
	if err := a.provisionKeys(); err != nil {
		return err
	}
	if err := a.provisionNodes(); err != nil {
		return err
	}
	return a.provisionRoots()
}

// Start implements caddy.App: it names leftover exceptions and starts sweeping.
func (a *App) Start() error {
	a.warnConnectTo()
	logs.Warn(a.ctx, a.log)
	a.startSweeping()
	a.startBeating()
	return nil
}

// Stop implements caddy.App.
func (a *App) Stop() error {
	a.sweeping.stop()
	a.stopBeating()
	a.events.stop()
	return nil
}

// Cleanup implements caddy.CleanerUpper; Caddy calls it also after a Provision
// that failed.
func (a *App) Cleanup() error {
	a.sweeping.stop()
	a.stopBeating()
	err := a.forget()
	if a.store != nil {
		err = errors.Join(err, a.store.release())
	}
	return err
}

// Store is opened at first use, never in Provision, and shared over reloads by
// a UsagePool. Its Close does nothing: the app closes it.
func (a *App) Store() store.Store {
	a.nodes.storeWanted.Store(true)
	return a.store
}

// Outbound gives the settings of the clients (connect_to, CAs). The caller may
// add Exceptions to its copy.
func (a *App) Outbound() outbound.Config {
	return outbound.Config{ConnectTo: maps.Clone(a.ConnectTo), Roots: a.roots, Log: a.log, Begin: fetchSpan}
}

// Cache gives the global options `cache` (issuers kept, their greatest age) and
// `refetch_pause`.
func (a *App) Cache() (n int, maxAge, pause time.Duration) {
	return a.CacheOptions.Issuers, time.Duration(a.CacheOptions.MaxAge), time.Duration(a.RefetchPause)
}

func (a *App) provisionStore() error {
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(DefaultStore)
	}
	mod, err := a.ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("uma: store: %w", err)
	}
	backend, ok := mod.(Backend)
	if !ok {
		return fmt.Errorf("uma: store: %T is no store", mod)
	}
	a.store = newLazyStore(backend)
	a.store.meter = a.metrics.store
	return nil
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
