package jose_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

func rotate(t *testing.T, r *jose.Ring) jose.KeyInfo {
	t.Helper()
	next, err := r.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func retire(t *testing.T, r *jose.Ring, kid string) (retired, used jose.KeyInfo) {
	t.Helper()
	retired, used, err := r.Retire(t.Context(), kid)
	if err != nil {
		t.Fatal(err)
	}
	if retired.KID != kid || retired.State != jose.KeyRetired || used.State != jose.KeySigning {
		t.Fatalf("Retire = %+v, %+v", retired, used)
	}
	return retired, used
}

// states are "KID STATE", newest first.
func states(t *testing.T, r *jose.Ring) []string {
	t.Helper()
	keys, err := r.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, k := range keys {
		all = append(all, k.KID+" "+string(k.State))
	}
	return all
}

func wantStates(t *testing.T, r *jose.Ring, want ...string) {
	t.Helper()
	if got := states(t, r); !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
}

func TestKeysMakesNone(t *testing.T) {
	storage := josetest.NewStorage()
	r := newRing(t, ringConfig(storage, newHand().Now))
	if wantStates(t, r); len(storage.Names()) != 0 {
		t.Error("looking made a key")
	}
}

// A key that is made by command is published first, like one of the schedule,
// and the one before goes when its last token has expired.
func TestSEC_11_RotateByCommand(t *testing.T) {
	for _, purpose := range []string{"rpt", "claims", "id-token"} {
		for _, alg := range []string{"ES256", "EdDSA", "RS256", "PS256"} {
			t.Run("SEC-11 "+purpose+" "+alg, func(t *testing.T) {
				clock := newHand()
				cfg := ringConfig(josetest.NewStorage(), clock.Now)
				cfg.Purpose, cfg.Alg = purpose, alg
				r, other := newRing(t, cfg), newRing(t, cfg)
				old, first := sign(t, r)
				next := rotate(t, r)
				if next.State != jose.KeyNext || next.Alg != alg || !next.NotBefore.Equal(clock.Now().Add(overlap)) {
					t.Errorf("next %+v", next)
				}
				if again := rotate(t, other); again.KID != next.KID {
					t.Error("asked again at another node, it makes another key")
				}
				wantStates(t, r, next.KID+" next", first+" signing")
				if kids := published(t, r); !slices.Equal(kids, []string{next.KID, first}) {
					t.Errorf("published %q", kids)
				}
				clock.pass(overlap - time.Second)
				if _, kid := sign(t, r); kid != first {
					t.Error("the new key signs before its time")
				}
				clock.pass(time.Second)
				wantStates(t, other, next.KID+" signing", first+" verifying")
				for _, node := range []*jose.Ring{r, other} {
					compact, kid := sign(t, node)
					if kid != next.KID {
						t.Error("the new key does not sign")
					}
					for _, token := range []string{old, compact} {
						if err := verify(t, token, publicSet(t, r), alg); err != nil {
							t.Errorf("by the JWKS: %v", err)
						}
					}
				}
				clock.pass(retain + overlap - time.Second)
				if err := verify(t, old, r, alg); err != nil {
					t.Errorf("within its time: %v", err)
				}
				clock.pass(time.Second)
				wantStates(t, r, next.KID+" signing", first+" retired")
				if kids := published(t, r); !slices.Equal(kids, []string{next.KID}) {
					t.Errorf("published %q", kids)
				}
			})
		}
	}
}

// publicSet is what a stranger reads of the published keys.
func publicSet(t *testing.T, r *jose.Ring) jose.Set {
	t.Helper()
	keys, err := r.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	document, err := jose.MarshalJWKS(keys...)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{`"d"`, `"p"`, `"q"`, `"k"`} {
		if bytes.Contains(document, []byte(private+":")) {
			t.Errorf("the JWKS holds %s", private)
		}
	}
	set, err := jose.ParseJWKS(document)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// However long nobody asks, a key that signs was in each copy of the key set that
// somebody may still keep.
func TestSEC_11_PublishedBeforeUse(t *testing.T) {
	for _, step := range []time.Duration{time.Minute, 13 * time.Minute, rotation / 3, rotation + time.Minute, rotation + 31*time.Minute, 100 * rotation} {
		clock := newHand()
		r := newRing(t, ringConfig(josetest.NewStorage(), clock.Now))
		copied, at := published(t, r), clock.Now()
		rng := 0
		for range 60 {
			rng = (rng*7 + 3) % 11
			clock.pass(step * time.Duration(rng) / 5)
			if rng == 5 && step == rotation/3 {
				rotate(t, r)
			}
			_, kid := sign(t, r)
			if clock.Now().Sub(at) < overlap && !slices.Contains(copied, kid) {
				t.Fatalf("step %v: a copy of the key set of %v ago lacks the key", step, clock.Now().Sub(at))
			}
			if rng%2 == 0 {
				copied, at = published(t, r), clock.Now()
			}
		}
	}
}

// What is told of a key tells nothing that is secret.
func TestKeyInfoHoldsNoSecret(t *testing.T) {
	storage := josetest.NewStorage()
	r := newRing(t, secretConfig("ticket", storage, newHand().Now))
	current(t, r)
	_, content := file(t, storage)
	keys, err := r.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := content["jwk"].(members)["k"].(string)
	if secret == "" || bytes.Contains(text, []byte(secret)) {
		t.Errorf("%s", text)
	}
}

// Keys of another storage come as they are: what they made stays good, the newest
// key signs, and a retirement here is not undone.
func TestSEC_11_Import(t *testing.T) {
	clock, from, to := newHand(), josetest.NewStorage(), josetest.NewStorage()
	before := newRing(t, ringConfig(from, clock.Now))
	old, first := sign(t, before)
	store(t, from, strings.ReplaceAll(from.Names()[0], first, strings.Repeat("A", 43)), []byte(`{}`)) // broken
	clock.pass(time.Minute)
	r := newRing(t, ringConfig(to, clock.Now))
	_, second := sign(t, r)
	if n, err := r.Import(t.Context(), from); n != 1 || err != nil {
		t.Errorf("Import = %d, %v", n, err)
	}
	if err := verify(t, old, r); err != nil {
		t.Error(err)
	}
	wantStates(t, newRing(t, ringConfig(to, clock.Now)), second+" signing", first+" verifying")
	retire(t, r, first)
	if n, err := r.Import(t.Context(), from); n != 0 || err != nil {
		t.Errorf("Import again = %d, %v", n, err)
	}
	wantStates(t, r, second+" signing", first+" retired")
	if _, kid := sign(t, before); kid != first {
		t.Error("the other storage changed")
	}
	from.Break(errors.New("away"))
	if n, err := r.Import(t.Context(), from); n != 0 || !errors.Is(err, jose.ErrKeySource) {
		t.Errorf("Import from what cannot be read = %d, %v", n, err)
	}
	if n, err := r.Import(t.Context(), nil); n != 0 || err == nil {
		t.Errorf("Import from nothing = %d, %v", n, err)
	}
}
