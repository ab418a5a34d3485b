package umaapp

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
)

// memories outlive the configurations that use them: what an attacker has used up
// or shown once must not be forgotten because somebody reloads.
var memories = caddy.NewUsagePool() //nolint:gochecknoglobals // UsagePools live as long as the process

type memory struct{ value any }

// Destruct implements caddy.Destructor.
func (memory) Destruct() error { return nil }

// Keep gives the memory (of a limit, of proofs that were used) with this key: the
// one that an earlier configuration made and still uses, or a new one. The key
// must name everything that make depends on. It is for Provision.
func Keep[T any](a *App, key string, make func() T) (T, error) {
	v, _, err := memories.LoadOrNew(key, func() (caddy.Destructor, error) { return memory{make()}, nil })
	if err != nil {
		var zero T
		return zero, err
	}
	a.ringsMu.Lock()
	a.kept = append(a.kept, key)
	a.ringsMu.Unlock()
	value, ok := v.(memory).value.(T)
	if !ok {
		return value, errors.New("uma: two kinds of memory have one key")
	}
	return value, nil
}

// forget gives the memories back.
func (a *App) forget() error {
	a.ringsMu.Lock()
	defer a.ringsMu.Unlock()
	var all error
	for _, key := range a.kept {
		_, err := memories.Delete(key)
		all = errors.Join(all, err)
	}
	a.kept = nil
	return all
}
