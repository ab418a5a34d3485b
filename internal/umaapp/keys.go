package umaapp

import (
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/keystore"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

type ringKey struct{ role, issuer, purpose string }

type ringEntry struct {
	ring   *jose.Ring
	retain time.Duration
}

// Ring gives the keys of one purpose of one issuer, where `keys` says. Two
// calls with equal role, issuer and purpose in one configuration give the same
// Ring, so that both see a new key at once. retain is the longest life of what
// the keys protect, plus leeway. No key is read or made before its first use.
func (a *App) Ring(role, issuer, purpose string, retain time.Duration) (*jose.Ring, error) {
	key := ringKey{role, issuer, purpose}
	a.ringsMu.Lock()
	defer a.ringsMu.Unlock()
	if e, ok := a.rings[key]; ok {
		if e.retain != retain {
			// The shorter one would retire a key while its tokens are still alive.
			return nil, fmt.Errorf("uma: keys '%s' of %s are asked for with two retention times", purpose, issuer)
		}
		return e.ring, nil
	}
	storage, err := a.keyStorage(role, issuer)
	if err != nil {
		return nil, fmt.Errorf("uma: keys '%s' of %s: %w", purpose, issuer, err)
	}
	ring, err := jose.NewRing(jose.RingConfig{
		Storage: storage, Role: role, Issuer: issuer, Purpose: purpose,
		Alg: a.Algorithm, Rotation: a.rotation(), Retain: retain, Now: time.Now, Log: a.log,
	})
	if err != nil {
		return nil, fmt.Errorf("uma: keys '%s' of %s: %w", purpose, issuer, err)
	}
	a.rings[key] = ringEntry{ring, retain}
	return ring, nil
}

// rotation is 0 for never, as jose wants it.
func (a *App) rotation() time.Duration { return max(0, time.Duration(a.KeyRotation)) }

// keyStorage is where the keys of an issuer are. All its rings share one, which
// is made at the first call. The caller holds ringsMu.
func (a *App) keyStorage(role, issuer string) (jose.Storage, error) {
	if a.Keys != keysStore {
		return a.storage(), nil
	}
	tenant := ringKey{role: role, issuer: issuer}
	if s, ok := a.keyStores[tenant]; ok {
		return s, nil
	}
	s, err := keystore.New(keystore.Config{
		Store: a.store, Role: role, Issuer: issuer, Secrets: a.keks, Now: time.Now, Log: a.log,
	})
	if err != nil {
		return nil, err
	}
	a.keyStores[tenant] = s
	return s, nil
}

// provisionKeys expands the key encryption keys into a field that no JSON shows.
func (a *App) provisionKeys() error {
	a.keyStores = make(map[ringKey]*keystore.Storage)
	if a.Keys != keysStore {
		return nil
	}
	var texts []string
	for _, value := range a.KeyEncryptionKeys {
		text, err := syntax.Secret("uma", "keys store", value, "")
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	var err error
	if a.keks, err = keystore.NewSecrets(texts...); err != nil {
		return fmt.Errorf("uma: keys store: %w", err)
	}
	return nil
}
