package jose_test

import (
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// The clock jumps ahead, a key is made by it, and the clock is set back. The old
// key signs on, no key is made at each look, and if the old one ends before the
// clock has caught up, the key of the future is used.
func TestSEC_11_KeyMadeInTheFuture(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"an hour": time.Hour, "a day": 25 * time.Hour, "ten years": 87_600 * time.Hour} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			clock, storage := newHand(), josetest.NewStorage()
			cfg := ringConfig(storage, clock.Now)
			r := newRing(t, cfg)
			old, first := sign(t, r)
			clock.pass(ahead)
			r = newRing(t, cfg) // a restart, too
			_, _ = sign(t, r)
			kids := len(published(t, r))
			clock.pass(-ahead)
			for range 5 {
				clock.pass(time.Minute)
				token, kid := sign(t, r)
				if name != "ten years" && kid != first {
					t.Errorf("signed with %s, want the key of before", kid)
				}
				if err := verify(t, token, r); err != nil {
					t.Errorf("what is signed now: %v", err)
				}
			}
			if err := verify(t, old, newRing(t, cfg)); err != nil {
				t.Errorf("what was signed before: %v", err)
			}
			if n := len(published(t, newRing(t, cfg))); n > max(kids, 2) {
				t.Errorf("%d keys", n)
			}
			// Life goes on: at no time is there nothing to sign with, and what is signed
			// verifies until it expires.
			for range 3 * 24 {
				clock.pass(time.Hour)
				token, _ := sign(t, r)
				clock.pass(retain - time.Second)
				if err := verify(t, token, newRing(t, cfg)); err != nil {
					t.Fatalf("at %v: %v", clock.Now(), err)
				}
			}
		})
	}
}

// After a clock that was years ahead nothing is due by itself; the key of the future
// is retired by hand, and the ring rotates again as it should.
func TestSEC_11_RotationAfterTheFuture(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	cfg := ringConfig(storage, clock.Now)
	clock.pass(87_600 * time.Hour)
	_, future := sign(t, newRing(t, cfg))
	clock.pass(-87_600 * time.Hour)
	r := newRing(t, cfg)
	if _, kid := sign(t, r); kid != future {
		t.Errorf("signed with %s: a pending key is better than none", kid)
	}
	_, byHand := retire(t, r, future)
	if _, kid := sign(t, r); kid != byHand.KID {
		t.Errorf("signed with %s, want that of now", kid)
	}
	clock.pass(rotation)
	sign(t, r)
	clock.pass(overlap)
	if _, kid := sign(t, r); kid == byHand.KID || kid == future {
		t.Error("the ring does not rotate any more")
	}
}
