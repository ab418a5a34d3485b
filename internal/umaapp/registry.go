package umaapp

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// LocalAS is an authorization server in this process. Local gives a handler for
// the in-process hand-over (DESIGN §4): permission, JWKS and metadata for
// everybody and, for a resource server marked `local`, the token endpoint without
// a secret and resource registration. Admin gives the handler for administrators,
// with paths below /show/ and /change/.
type LocalAS interface {
	Local(clientID string) http.Handler
	Admin() http.Handler
}

// registry knows the servers of one configuration by issuer. It belongs to the
// app and not to the process: during a reload two configurations live at once
// and must not see each other.
type registry struct {
	mu  sync.RWMutex
	as  map[string]entry[LocalAS]
	sts map[string]entry[http.Handler]
	rs  map[rsKey]LocalRS

	doctor doctor
}

type entry[T any] struct {
	fingerprint []byte
	value       T
}

// RegisterAS remembers the AS of this configuration. fingerprint is the
// canonical JSON of its settings: the same issuer with another fingerprint is an
// error; with the same one the first AS is returned, so that both sites share an
// engine.
func (a *App) RegisterAS(issuer string, fingerprint []byte, as LocalAS) (first LocalAS, err error) {
	if err := a.auditRing("as", issuer); err != nil {
		return nil, err
	}
	r := &a.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.sts[issuer]; taken {
		return nil, errShared(issuer)
	}
	return register(&r.as, "uma_server", issuer, fingerprint, as)
}

// RegisterSTS does the same for an STS, and refuses an issuer that an AS of this
// configuration has.
func (a *App) RegisterSTS(issuer string, fingerprint []byte, h http.Handler) (first http.Handler, err error) {
	if err := a.auditRing("sts", issuer); err != nil {
		return nil, err
	}
	r := &a.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.as[issuer]; taken {
		return nil, errShared(issuer)
	}
	return register(&r.sts, "uma_sts", issuer, fingerprint, h)
}

// AS finds the AS with exactly this issuer, at request time.
func (a *App) AS(issuer string) (LocalAS, bool) {
	a.registry.mu.RLock()
	defer a.registry.mu.RUnlock()
	e, ok := a.registry.as[issuer]
	return e.value, ok
}

// issuers are those of the authorization servers, sorted.
func (a *App) issuers() []string {
	a.registry.mu.RLock()
	defer a.registry.mu.RUnlock()
	return slices.Sorted(maps.Keys(a.registry.as))
}

func register[T any](m *map[string]entry[T], directive, issuer string, fingerprint []byte, v T) (T, error) {
	if e, ok := (*m)[issuer]; ok {
		if !bytes.Equal(e.fingerprint, fingerprint) {
			var zero T
			return zero, fmt.Errorf("%s %s is configured twice with different settings; put it into a snippet", directive, issuer)
		}
		return e.value, nil
	}
	if *m == nil {
		*m = make(map[string]entry[T])
	}
	(*m)[issuer] = entry[T]{bytes.Clone(fingerprint), v}
	return v, nil
}

func errShared(issuer string) error {
	return fmt.Errorf("uma_sts and uma_server cannot share the issuer %s: both publish /.well-known/oauth-authorization-server; give one a path, e.g. %s/as", issuer, issuer)
}
