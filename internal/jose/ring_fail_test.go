package jose_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

func TestUnknownOwnKidListsOncePerTenSeconds(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	r := newRing(t, ringConfig(storage, clock.Now))
	sign(t, r)
	flood := func() int {
		before := storage.Calls("List")
		for range 50 {
			wantKey(t, r, "unknown", jose.ErrNoKey)
		}
		return storage.Calls("List") - before
	}
	if n := flood(); n != 1 {
		t.Errorf("%d looks, want 1", n)
	}
	clock.pass(10*time.Second - 1)
	if n := flood(); n != 0 {
		t.Errorf("%d looks within 10s, want none", n)
	}
	clock.pass(1)
	if n := flood(); n != 1 {
		t.Errorf("%d looks after 10s, want 1", n)
	}
}

func TestStorageFails(t *testing.T) {
	broken := errors.New("storage is away")
	t.Run("at first use", func(t *testing.T) {
		storage := josetest.NewStorage()
		storage.Break(broken)
		clock := newHand()
		r := newRing(t, ringConfig(storage, clock.Now))
		if _, err := r.Sign(t.Context(), "at+jwt", goodBody); !errors.Is(err, jose.ErrKeySource) || !errors.Is(err, broken) {
			t.Errorf("Sign: %v", err)
		}
		if _, err := r.Public(t.Context()); !errors.Is(err, jose.ErrKeySource) {
			t.Errorf("Public: %v", err)
		}
		wantKey(t, r, "unknown", jose.ErrKeySource)
		storage.Break(nil)
		sign(t, r)
		clock.pass(10 * time.Second)
		wantKey(t, r, "unknown", jose.ErrNoKey)
	})
	t.Run("with keys in memory", func(t *testing.T) {
		clock, storage := newHand(), josetest.NewStorage()
		r := newRing(t, ringConfig(storage, clock.Now))
		old, first := sign(t, r)
		storage.Break(broken)
		for _, pass := range []time.Duration{time.Minute, time.Hour, rotation - time.Hour} {
			clock.pass(pass)
			if _, kid := sign(t, r); kid != first {
				t.Error("another key")
			}
			if err := verify(t, old, r); err != nil {
				t.Error(err)
			}
			wantKey(t, r, "unknown", jose.ErrKeySource)
		}
		clock.pass(rotation) // the key in memory is too old now
		if _, err := r.Sign(t.Context(), "at+jwt", goodBody); !errors.Is(err, jose.ErrKeySource) {
			t.Errorf("Sign: %v, want ErrKeySource", err)
		}
		storage.Break(nil)
		if _, kid := sign(t, r); kid == first {
			t.Error("the old key signs")
		}
	})
}

// One caller's cancelling leaves nothing half done.
func TestCancelledCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRing(t, ringConfig(josetest.NewStorage(), newHand().Now))
	if _, err := r.Sign(ctx, "at+jwt", goodBody); err != nil {
		t.Error(err)
	}
}

func TestSignRefusesWhatIsNoJSON(t *testing.T) {
	r := newRing(t, ringConfig(josetest.NewStorage(), newHand().Now))
	if compact, err := r.Sign(t.Context(), "at+jwt", math.NaN()); err == nil || compact != "" {
		t.Errorf("Sign = %q, %v", compact, err)
	}
	if _, err := r.Sign(t.Context(), "at+jwt", json.RawMessage(`{}`)); err != nil {
		t.Error(err)
	}
}

func TestNewRingRefuses(t *testing.T) {
	for name, edit := range map[string]func(*jose.RingConfig){
		"no storage":      func(c *jose.RingConfig) { c.Storage = nil },
		"no clock":        func(c *jose.RingConfig) { c.Now = nil },
		"no issuer":       func(c *jose.RingConfig) { c.Issuer = "" },
		"no role":         func(c *jose.RingConfig) { c.Role = "" },
		"another role":    func(c *jose.RingConfig) { c.Role = "../as" },
		"no purpose":      func(c *jose.RingConfig) { c.Purpose = "" },
		"another purpose": func(c *jose.RingConfig) { c.Purpose = "rpt/../op" },
		"HS256":           func(c *jose.RingConfig) { c.Alg = "HS256" },
		"none":            func(c *jose.RingConfig) { c.Alg = "none" },
		"ES384":           func(c *jose.RingConfig) { c.Alg = "ES384" },
		"secret":          func(c *jose.RingConfig) { c.Alg = "secret" },
	} {
		cfg := ringConfig(josetest.NewStorage(), newHand().Now)
		if _, err := jose.NewRing(cfg); err != nil {
			t.Fatal(err)
		}
		edit(&cfg)
		if r, err := jose.NewRing(cfg); err == nil || r != nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
