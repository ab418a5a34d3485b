package umaapp

import (
	"fmt"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

type ringKey struct{ role, issuer, purpose string }

type ringEntry struct {
	ring   *jose.Ring
	retain time.Duration
}

// Ring gives the keys of one purpose of one issuer, in Caddy's storage. Two
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
	ring, err := jose.NewRing(jose.RingConfig{
		Storage: a.ctx.Storage(), Role: role, Issuer: issuer, Purpose: purpose,
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
