package jose_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

func TestSEC_11_RetireSigningKey(t *testing.T) {
	for name, rotation := range map[string]time.Duration{"rotating": rotation, "never rotating": 0} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			clock, storage := newHand(), josetest.NewStorage()
			cfg := ringConfig(storage, clock.Now)
			cfg.Rotation = rotation
			here, there := newRing(t, cfg), newRing(t, cfg)
			old, first := sign(t, here)
			if err := verify(t, old, there); err != nil {
				t.Fatal(err)
			}
			_, used := retire(t, here, first)
			if used.KID == first {
				t.Fatal("it is still used")
			}
			compact, kid := sign(t, here)
			if kid != used.KID {
				t.Error("the new key does not sign at once")
			}
			if err := verify(t, old, here); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("here: %v, want ErrNoKey", err)
			}
			if kids := published(t, here); !slices.Equal(kids, []string{kid}) {
				t.Errorf("published %q", kids)
			}
			clock.pass(10 * time.Second) // of two looks for unknown keys
			if err := verify(t, compact, there); err != nil {
				t.Errorf("the other node does not find the new key: %v", err)
			}
			clock.pass(jose.Relist)
			if _, kid := sign(t, there); kid != used.KID {
				t.Error("the other node signs with another key after the bound")
			}
			if err := verify(t, old, there); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("there: %v, want ErrNoKey", err)
			}
			if kids := published(t, there); !slices.Equal(kids, []string{kid}) {
				t.Errorf("published there %q", kids)
			}
			if again, same := retire(t, there, first); same.KID != used.KID || len(storage.Names()) != 2 {
				t.Errorf("retired twice: %+v", again)
			}
			wantStates(t, newRing(t, cfg), used.KID+" signing", first+" retired")
		})
	}
}

// The node that retires has the faster clock.
func TestSEC_11_RetireAndClocks(t *testing.T) {
	fast, slow, storage := newHand(), newHand(), josetest.NewStorage()
	here, there := newRing(t, ringConfig(storage, fast.Now)), newRing(t, ringConfig(storage, slow.Now))
	old, first := sign(t, there)
	for _, c := range []*hand{fast, slow} {
		c.pass(time.Hour)
	}
	fast.pass(50 * time.Second)
	retire(t, here, first)
	sign(t, there) // looks into storage
	if err := verify(t, old, there); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("%v, want ErrNoKey", err)
	}
}

func TestSEC_11_RetireOtherKeys(t *testing.T) {
	clock := newHand()
	r := newRing(t, ringConfig(josetest.NewStorage(), clock.Now))
	_, first := sign(t, r)
	t.Run("SEC-11 the next key: the old one signs on", func(t *testing.T) {
		next := rotate(t, r)
		if _, used := retire(t, r, next.KID); used.KID != first {
			t.Errorf("%s is used, want %s", used.KID, first)
		}
		clock.pass(rotation / 2)
		if _, kid := sign(t, r); kid != first {
			t.Error("another key signs")
		}
	})
	t.Run("SEC-11 the signing key: the next one takes over at once", func(t *testing.T) {
		next := rotate(t, r)
		if _, used := retire(t, r, first); used.KID != next.KID {
			t.Errorf("%s is used, want %s", used.KID, next.KID)
		}
		if _, kid := sign(t, r); kid != next.KID {
			t.Error("another key signs")
		}
		first = next.KID
	})
	clock.pass(overlap)
	t.Run("SEC-11 a verifying key", func(t *testing.T) {
		old, _ := sign(t, r)
		next := rotate(t, r)
		clock.pass(overlap)
		if _, used := retire(t, r, first); used.KID != next.KID {
			t.Errorf("%s is used, want %s", used.KID, next.KID)
		}
		if err := verify(t, old, r); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("%v, want ErrNoKey", err)
		}
	})
	t.Run("SEC-11 not the one before it", func(t *testing.T) {
		_, before := sign(t, r)
		next := rotate(t, r)
		clock.pass(overlap)
		if _, used := retire(t, r, next.KID); used.KID == before || used.KID == next.KID {
			t.Errorf("%s is used", used.KID)
		}
		if _, kid := sign(t, r); kid == before {
			t.Error("the key that was rotated out signs again")
		}
	})
}

func TestSEC_11_RetireAfterChangeOfAlg(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	cfg := ringConfig(storage, clock.Now)
	_, first := sign(t, newRing(t, cfg))
	cfg.Alg = "EdDSA"
	r := newRing(t, cfg)
	sign(t, r)
	clock.pass(overlap)
	_, second := sign(t, r)
	_, used := retire(t, r, second)
	if used.KID == first || used.Alg != "EdDSA" {
		t.Errorf("%+v is used, want a new EdDSA key", used)
	}
	if _, kid := sign(t, r); kid != used.KID {
		t.Error("another key signs")
	}
}

func TestRetireRefuses(t *testing.T) {
	storage := josetest.NewStorage()
	r := newRing(t, ringConfig(storage, newHand().Now))
	_, kid := sign(t, r)
	foreign := newRing(t, secretConfig("ticket", storage, newHand().Now))
	for _, unknown := range []string{"", "x", "../" + kid, kid[1:], strings.ToLower(kid), kid + ".json"} {
		if _, _, err := r.Retire(t.Context(), unknown); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("Retire(%q): %v, want ErrNoKey", unknown, err)
		}
	}
	if _, _, err := foreign.Retire(t.Context(), kid); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("of another ring: %v, want ErrNoKey", err)
	}
	wantStates(t, r, kid+" signing")
}

func TestSubjectKeyIsNotManaged(t *testing.T) {
	storage := josetest.NewStorage()
	r := newRing(t, secretConfig("subject", storage, newHand().Now))
	id, _ := current(t, r)
	keys, err := r.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].State != jose.KeySigning || !keys[0].RetireAfter.IsZero() {
		t.Fatalf("Keys = %+v, %v", keys, err)
	}
	if _, err := r.Rotate(t.Context()); !errors.Is(err, jose.ErrNeverRotates) {
		t.Errorf("Rotate: %v", err)
	}
	if _, _, err := r.Retire(t.Context(), keys[0].KID); !errors.Is(err, jose.ErrNeverRotates) {
		t.Errorf("Retire: %v", err)
	}
	if again, _ := current(t, r); again != id || len(storage.Names()) != 1 {
		t.Error("the subject key changed")
	}
}

// What was sealed with a secret that is retired does not open any more.
func TestSEC_11_RetireSecret(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	cfg := secretConfig("ticket", storage, clock.Now)
	here, there := newRing(t, cfg), newRing(t, cfg)
	id, key := current(t, here)
	wantSecret(t, there, id, key, true)
	keys, err := here.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	retire(t, here, keys[0].KID)
	wantSecret(t, here, id, key, false)
	fresh, freshKey := current(t, here)
	if fresh == id {
		t.Error("the retired secret still seals")
	}
	clock.pass(jose.Relist)
	wantSecret(t, there, id, key, false)
	wantSecret(t, there, fresh, freshKey, true)
}
