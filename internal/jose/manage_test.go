package jose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
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

func TestManageWhenStorageFails(t *testing.T) {
	broken := errors.New("storage is away")
	clock, storage := newHand(), josetest.NewStorage()
	r := newRing(t, ringConfig(storage, clock.Now))
	old, first := sign(t, r)
	storage.Break(broken)
	if _, err := r.Keys(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Keys: %v", err)
	}
	if next, err := r.Rotate(t.Context()); !errors.Is(err, broken) || next.KID != "" {
		t.Errorf("Rotate: %+v, %v", next, err)
	}
	if retired, used, err := r.Retire(t.Context(), first); !errors.Is(err, broken) || retired.KID != "" || used.KID != "" {
		t.Errorf("Retire: %+v, %+v, %v", retired, used, err)
	}
	storage.Break(nil)
	wantStates(t, r, first+" signing")
	if err := verify(t, old, r); err != nil {
		t.Error(err)
	}
}

// Writing fails although reading works.
type readOnly struct {
	*josetest.Storage
	writes int // that succeed
}

func (s *readOnly) Store(ctx context.Context, key string, value []byte) error {
	if s.writes--; s.writes < 0 {
		return errors.New("read-only")
	}
	return s.Storage.Store(ctx, key, value)
}

func TestManageWhenWritingFails(t *testing.T) {
	clock, storage := newHand(), &readOnly{josetest.NewStorage(), 1}
	r := newRing(t, ringConfig(storage, clock.Now))
	old, first := sign(t, r)
	if _, err := r.Rotate(t.Context()); !errors.Is(err, jose.ErrKeySource) {
		t.Errorf("Rotate: %v", err)
	}
	if _, _, err := r.Retire(t.Context(), first); !errors.Is(err, jose.ErrKeySource) {
		t.Errorf("Retire: %v", err)
	}
	wantStates(t, r, first+" signing")
	if err := verify(t, old, r); err != nil {
		t.Error(err)
	}
	t.Run("after the retirement", func(t *testing.T) {
		storage.writes = 1
		if _, _, err := r.Retire(t.Context(), first); !errors.Is(err, jose.ErrKeySource) {
			t.Errorf("Retire: %v", err)
		}
		if err := verify(t, old, r); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("the token lives: %v", err)
		}
		storage.writes = 1
		clock.pass(10 * time.Second)
		if _, kid := sign(t, r); kid == first {
			t.Error("the retired key signs")
		}
	})
}

// A broken file beside them hinders neither.
func TestManageBesideABrokenFile(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	r := newRing(t, ringConfig(storage, clock.Now))
	_, first := sign(t, r)
	name := storage.Names()[0]
	store(t, storage, strings.ReplaceAll(name, first, strings.Repeat("A", 43)), []byte(`{"v":1`))
	next := rotate(t, r)
	retire(t, r, first)
	wantStates(t, r, next.KID+" signing", first+" retired")
}

// Whatever two nodes do at once, they agree after the next look.
func TestSEC_11_TwoNodesManage(t *testing.T) {
	for name, noLock := range map[string]bool{"with locks": false, "locks are lost": true} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			clock, storage := newHand(), josetest.NewStorage()
			storage.NoLock = noLock
			nodes := []*jose.Ring{newRing(t, ringConfig(storage, clock.Now)), newRing(t, ringConfig(storage, clock.Now))}
			for range 5 {
				before, _ := sign(t, nodes[0])
				token, err := jose.Parse(before, limit)
				if err != nil {
					t.Fatal(err)
				}
				var users sync.WaitGroup
				for i := range 20 {
					node := nodes[i%2]
					users.Go(func() { _, _ = sign(t, node) })
					users.Go(func() {
						if _, err := node.Rotate(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				users.Go(func() { retire(t, nodes[1], token.Header.KID) })
				users.Wait()
				clock.pass(jose.Relist)
				var kids []string
				for _, node := range nodes {
					_, kid := sign(t, node)
					kids = append(kids, kid)
					if err := verify(t, before, node); !errors.Is(err, jose.ErrNoKey) {
						t.Errorf("a retired key verifies: %v", err)
					}
				}
				if kids[0] != kids[1] || !slices.Equal(published(t, nodes[0]), published(t, nodes[1])) {
					t.Errorf("the nodes disagree: %q", kids)
				}
				clock.pass(overlap)
			}
		})
	}
}

// SEC-11: whoever fetches the key set of another node because of a new key finds it
// there, though that node has not looked of itself yet. Asking costs one look in ten
// seconds, whoever asks.
func TestSEC_11_AnotherNodePublishes(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	a, b := newRing(t, ringConfig(storage, clock.Now)), newRing(t, ringConfig(storage, clock.Now))
	_, first := sign(t, a)
	if got := published(t, b); !slices.Equal(got, []string{first}) {
		t.Fatalf("published: %q", got)
	}
	clock.pass(10 * time.Second)
	_, used, err := a.Retire(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if got := published(t, b); !slices.Equal(got, []string{used.KID}) {
		t.Errorf("published at the other node: %q, want %q alone", got, used.KID)
	}
	before := storage.Calls("List")
	for range 50 {
		published(t, b)
	}
	clock.pass(10*time.Second - 1)
	published(t, b)
	if n := storage.Calls("List") - before; n != 0 {
		t.Errorf("%d looks within 10s, want none", n)
	}
	clock.pass(1)
	storage.Break(errors.New("storage is away"))
	for range 50 { // what is known is published all the same
		if got := published(t, b); !slices.Equal(got, []string{used.KID}) {
			t.Errorf("published without storage: %q", got)
		}
	}
	if n := storage.Calls("List") - before; n != 1 {
		t.Errorf("%d looks at a storage that is away, want 1", n)
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
