package jose_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

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
