package jose_test

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

const (
	rotation = 24 * time.Hour
	retain   = time.Hour
	overlap  = 15 * time.Minute
)

func ringConfig(storage jose.Storage, now func() time.Time) jose.RingConfig {
	return jose.RingConfig{
		Storage: storage, Role: "as", Issuer: "https://as.example", Purpose: "rpt",
		Rotation: rotation, Retain: retain, Now: now,
	}
}

func newRing(t *testing.T, cfg jose.RingConfig) *jose.Ring {
	t.Helper()
	r, err := jose.NewRing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sign makes a token and gives the kid, too.
func sign(t *testing.T, r *jose.Ring) (compact, kid string) {
	t.Helper()
	compact, err := r.Sign(t.Context(), "at+jwt", goodBody)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jose.Parse(compact, limit)
	if err != nil {
		t.Fatal(err)
	}
	if token.Header.Typ != "at+jwt" {
		t.Errorf("typ = %s", token.Header.Typ)
	}
	return compact, token.Header.KID
}

// published are the kids of the key set, newest first.
func published(t *testing.T, r *jose.Ring) []string {
	t.Helper()
	keys, err := r.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range keys {
		kids = append(kids, key.KID)
	}
	return kids
}

func TestSEC_11_FirstKeyAtOnce(t *testing.T) {
	for _, alg := range []string{"", "ES256", "EdDSA", "PS256", "RS256"} {
		t.Run("SEC-11 "+alg, func(t *testing.T) {
			storage := josetest.NewStorage()
			cfg := ringConfig(storage, newHand().Now)
			cfg.Alg = alg
			r := newRing(t, cfg)
			if len(storage.Names()) != 0 || storage.Calls("List") != 0 {
				t.Error("a new ring used the storage")
			}
			compact, kid := sign(t, r)
			if err := verify(t, compact, r); err != nil {
				t.Error(err)
			}
			signer, err := r.Signer(t.Context())
			if err != nil || signer.KID != kid || alg != "" && signer.Alg != alg || r.Alg() != signer.Alg {
				t.Errorf("Signer = %s %s, %v", signer.KID, signer.Alg, err)
			}
			public, err := r.Key(t.Context(), kid, r.Alg())
			if diff := cmp.Diff(signer.Key.Public(), public.Key); err != nil || diff != "" {
				t.Errorf("Key: %v, %s", err, diff)
			}
		})
	}
}

func TestSEC_11_Rotation(t *testing.T) {
	clock := newHand()
	r := newRing(t, ringConfig(josetest.NewStorage(), clock.Now))
	_, first := sign(t, r)
	clock.pass(rotation - 1)
	if _, kid := sign(t, r); kid != first || len(published(t, r)) != 1 {
		t.Fatal("rotated too early")
	}
	clock.pass(1)
	if _, kid := sign(t, r); kid != first {
		t.Error("the new key signs before others can know it")
	}
	kids := published(t, r)
	if len(kids) != 2 || kids[1] != first {
		t.Fatalf("published %q, want a new key and %s", kids, first)
	}
	second := kids[0]
	clock.pass(overlap - 1)
	old, kid := sign(t, r)
	if kid != first {
		t.Error("the new key signs before its time")
	}
	clock.pass(1)
	fresh, kid := sign(t, r)
	if kid != second {
		t.Error("the new key does not sign")
	}
	clock.pass(retain)
	for _, compact := range []string{old, fresh} {
		if err := verify(t, compact, r); err != nil {
			t.Errorf("within Retain after the switch: %v", err)
		}
	}
	if kids := published(t, r); !slices.Contains(kids, first) {
		t.Errorf("published %q without %s", kids, first)
	}
	clock.pass(overlap) // may be made that much late
	if err := verify(t, old, r); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("after that: %v, want ErrNoKey", err)
	}
	if err := verify(t, fresh, r); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if kids := published(t, r); !slices.Equal(kids, []string{second}) {
		t.Errorf("published %q, want %s alone", kids, second)
	}
}

// Whenever tokens are made and however long nobody asks, each verifies for
// Retain.
func TestSEC_11_EachTokenVerifiesForRetain(t *testing.T) {
	for _, step := range []time.Duration{7 * time.Minute, 50 * time.Minute, 11 * time.Hour, 3 * rotation} {
		clock := newHand()
		storage := josetest.NewStorage()
		r := newRing(t, ringConfig(storage, clock.Now))
		type made struct {
			compact string
			at      time.Time
		}
		var tokens []made
		for range 100 {
			compact, _ := sign(t, r)
			tokens = append(tokens, made{compact, clock.Now()})
			for _, token := range tokens {
				age := clock.Now().Sub(token.at)
				if age >= retain {
					continue
				}
				if err := verify(t, token.compact, r); err != nil {
					t.Fatalf("step %v, age %v: %v", step, age, err)
				}
			}
			clock.pass(step)
		}
		if n, most := len(storage.Names()), int(math.Ceil(100*float64(step)/float64(rotation)))+1; n > most {
			t.Errorf("step %v: %d keys, want at most %d", step, n, most)
		}
	}
}

func TestSEC_11_Restart(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	compact, first := sign(t, newRing(t, ringConfig(storage, clock.Now)))
	clock.pass(time.Minute)
	again := newRing(t, ringConfig(storage, clock.Now))
	if err := verify(t, compact, again); err != nil {
		t.Error(err)
	}
	if _, kid := sign(t, again); kid != first || len(storage.Names()) != 1 {
		t.Error("a restart makes a new key")
	}
	if err := verify(t, compact, newRing(t, ringConfig(josetest.NewStorage(), clock.Now))); !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("on another storage: %v, want ErrNoKey", err)
	}
}

func TestSEC_11_TwoNodes(t *testing.T) {
	for name, tc := range map[string]struct {
		noLock bool
		most   int
	}{"with locks": {false, 1}, "locks are lost": {true, 2}} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			clock, storage := newHand(), josetest.NewStorage()
			storage.NoLock = tc.noLock
			nodes := []*jose.Ring{newRing(t, ringConfig(storage, clock.Now)), newRing(t, ringConfig(storage, clock.Now))}
			for round := range 3 {
				tokens := make([]string, 40)
				var users sync.WaitGroup
				for i := range tokens {
					users.Go(func() { tokens[i], _ = sign(t, nodes[i%2]) })
				}
				users.Wait()
				for _, compact := range tokens {
					for i, node := range nodes {
						if err := verify(t, compact, node); err != nil {
							t.Errorf("round %d, node %d: %v", round, i, err)
						}
					}
				}
				if n := len(storage.Names()); n > (round+1)*tc.most {
					t.Errorf("%d keys in round %d, want at most %d a round", n, round, tc.most)
				}
				clock.pass(jose.Relist) // a node that is used sees within a minute what the other made
				for _, node := range nodes {
					sign(t, node)
				}
				clock.pass(rotation)
			}
		})
	}
}

func TestSEC_11_ChangeOfAlg(t *testing.T) {
	for name, rotation := range map[string]time.Duration{"rotating": rotation, "never rotating": 0} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			clock, storage := newHand(), josetest.NewStorage()
			cfg := ringConfig(storage, clock.Now)
			cfg.Rotation = rotation
			old, first := sign(t, newRing(t, cfg))
			cfg.Alg = "EdDSA"
			r := newRing(t, cfg)
			if _, kid := sign(t, r); kid != first {
				t.Error("the new key signs before others can know it")
			}
			if kids := published(t, r); len(kids) != 2 {
				t.Errorf("published %q", kids)
			}
			clock.pass(overlap)
			compact, kid := sign(t, r)
			if kid == first {
				t.Error("the old algorithm still signs")
			}
			if err := verify(t, compact, r, "EdDSA"); err != nil {
				t.Error(err)
			}
			if err := verify(t, old, r, "ES256"); err != nil {
				t.Errorf("old token: %v", err)
			}
		})
	}
}
