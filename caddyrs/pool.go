package caddyrs

import (
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// pool shares what the handlers of one directive have in common (the protection
// and the route of its document) and what must outlive a reload (the limits).
var pool = caddy.NewUsagePool() //nolint:gochecknoglobals // UsagePools live as long as the process

// Keys of the pool. An engine belongs to one configuration, because its way to
// the authorization server does.
type (
	engineKey  struct{ app, settings any }
	limiterKey struct{ settings, of string }
	lockKey    struct{ issuer, clientID string }
)

// engine is an entry of the pool.
type engine struct {
	server *rs.Server
	client *http.Client
}

// Destruct implements caddy.Destructor.
func (e *engine) Destruct() error {
	e.client.CloseIdleConnections()
	return nil
}

type limiter struct{ *limit.Limiter }

// Destruct implements caddy.Destructor.
func (limiter) Destruct() error { return nil }

type lock struct{ sync.Mutex }

// Destruct implements caddy.Destructor.
func (*lock) Destruct() error { return nil }

// take gives an entry of the pool and remembers that Cleanup must return it.
func (h *Handler) take(key any, construct func() (caddy.Destructor, error)) (any, error) {
	v, _, err := pool.LoadOrNew(key, caddy.Constructor(construct))
	if err == nil {
		h.taken = append(h.taken, key)
	}
	return v, err
}

// Cleanup implements caddy.CleanerUpper; Caddy calls it also after a Provision
// that failed.
func (h *Handler) Cleanup() error {
	var all error
	for _, key := range slices.Backward(h.taken) {
		_, err := pool.Delete(key)
		all = errors.Join(all, err)
	}
	h.taken = nil
	return all
}
