package jose_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/seal"
)

var _ seal.Keys = (*jose.Ring)(nil)

func secretConfig(purpose string, storage jose.Storage, now func() time.Time) jose.RingConfig {
	cfg := ringConfig(storage, now)
	cfg.Purpose = purpose
	return cfg
}

func current(t *testing.T, r *jose.Ring) (id [4]byte, key [32]byte) {
	t.Helper()
	id, key, err := r.Current(t.Context())
	if err != nil || key == [32]byte{} {
		t.Fatalf("Current: %v", err)
	}
	if sum := sha256.Sum256(key[:]); !bytes.Equal(id[:], sum[:4]) {
		t.Error("the id is not the first four bytes of the SHA-256")
	}
	return id, key
}

func wantSecret(t *testing.T, r *jose.Ring, id [4]byte, want [32]byte, there bool) {
	t.Helper()
	key, found, err := r.Find(t.Context(), id)
	if err != nil || found != there || there && key != want || !there && key != [32]byte{} {
		t.Errorf("Find: %v, %v, want %v", found, err, there)
	}
}

func TestSEC_11_Secrets(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	cfg := secretConfig("ticket", storage, clock.Now)
	r := newRing(t, cfg)
	id, key := current(t, r)
	wantSecret(t, r, id, key, true)
	wantSecret(t, newRing(t, cfg), id, key, true) // after a restart
	wantSecret(t, r, [4]byte{id[0], id[1], id[2], id[3] ^ 1}, key, false)
	wantSecret(t, newRing(t, secretConfig("nonce", storage, clock.Now)), id, key, false)
	clock.pass(rotation)
	if again, _ := current(t, r); again != id {
		t.Error("the new secret is used before other nodes know it")
	}
	clock.pass(overlap)
	fresh, freshKey := current(t, r)
	if fresh == id || freshKey == key {
		t.Error("not rotated")
	}
	clock.pass(retain)
	wantSecret(t, r, id, key, true)
	clock.pass(overlap)
	wantSecret(t, r, id, key, false)
	wantSecret(t, r, fresh, freshKey, true)
}

// The sub of everybody hangs on this key.
func TestSEC_11_SubjectKeyNeverRotates(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	cfg := secretConfig("subject", storage, clock.Now)
	r := newRing(t, cfg)
	id, key := current(t, r)
	for range 10 {
		clock.pass(365 * rotation)
		for _, ring := range []*jose.Ring{r, newRing(t, cfg)} {
			if again, _ := current(t, ring); again != id {
				t.Fatal("another subject key")
			}
			wantSecret(t, ring, id, key, true)
		}
	}
	if len(storage.Names()) != 1 {
		t.Errorf("keys %q, want one", storage.Names())
	}
	t.Run("SEC-11 a newer key of another node changes nothing", func(t *testing.T) {
		other := josetest.NewStorage()
		current(t, newRing(t, secretConfig("subject", other, clock.Now)))
		for _, name := range other.Names() {
			data, err := other.Load(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if err := storage.Store(t.Context(), name, data); err != nil {
				t.Fatal(err)
			}
		}
		clock.pass(time.Hour)
		for _, ring := range []*jose.Ring{r, newRing(t, cfg)} {
			if again, _ := current(t, ring); again != id {
				t.Error("another subject key")
			}
		}
	})
}

func TestSecretsAndSigningKeysAreApart(t *testing.T) {
	storage := josetest.NewStorage()
	secrets := newRing(t, secretConfig("ticket", storage, newHand().Now))
	if compact, err := secrets.Sign(t.Context(), "at+jwt", goodBody); err == nil || compact != "" {
		t.Error("a secret signs")
	}
	if keys, err := secrets.Public(t.Context()); err == nil || keys != nil {
		t.Error("a secret is published")
	}
	if signer, err := secrets.Signer(t.Context()); err == nil || signer.Key != nil {
		t.Error("a secret is a signer")
	}
	if secrets.Alg() != "secret" {
		t.Errorf("Alg = %s", secrets.Alg())
	}
	current(t, secrets)
	for _, name := range storage.Names() {
		kid := path.Base(name[:len(name)-len(".json")])
		for _, alg := range []string{"secret", "ES256", ""} {
			if key, err := secrets.Key(t.Context(), kid, alg); !errors.Is(err, jose.ErrNoKey) || key.Key != nil {
				t.Errorf("Key(%s): %v, want ErrNoKey", alg, err)
			}
		}
	}
	signing := newRing(t, ringConfig(storage, newHand().Now))
	sign(t, signing)
	if _, key, err := signing.Current(t.Context()); err == nil || key != [32]byte{} {
		t.Error("a signing ring seals")
	}
	wantSecret(t, signing, [4]byte{0xe3, 0xb0, 0xc4, 0x42}, [32]byte{}, false)
	zero := sha256.Sum256(make([]byte, 32))
	wantSecret(t, signing, [4]byte(zero[:4]), [32]byte{}, false) // the secret that a signing key has not
}

func TestSEC_28_TenantsShareNothing(t *testing.T) {
	clock, storage := newHand(), josetest.NewStorage()
	var rings []*jose.Ring
	for _, role := range []string{"as", "sts"} {
		for _, issuer := range []string{"https://a.example", "https://b.example", "https://a.example/", "https://A.example", "../a"} {
			for _, purpose := range []string{"rpt", "status", "introspection", "assertion", "claims", "id-token"} {
				cfg := ringConfig(storage, clock.Now)
				cfg.Role, cfg.Issuer, cfg.Purpose = role, issuer, purpose
				rings = append(rings, newRing(t, cfg))
			}
		}
	}
	seen := map[string]bool{}
	var tokens []string
	for _, r := range rings {
		compact, kid := sign(t, r)
		if seen[kid] {
			t.Error("a key of two rings")
		}
		seen[kid] = true
		tokens = append(tokens, compact)
	}
	for i, r := range rings {
		clock.pass(10 * time.Second) // each look is a real one
		for j, compact := range tokens {
			if err := verify(t, compact, r); (err == nil) != (i == j) || i != j && !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("token of ring %d at ring %d: %v", j, i, err)
			}
		}
		if kids := published(t, r); len(kids) != 1 {
			t.Errorf("ring %d publishes %q", i, kids)
		}
	}
	var folders []string
	for _, name := range storage.Names() {
		folders = append(folders, path.Dir(name))
	}
	slices.Sort(folders)
	if n := len(slices.Compact(folders)); n != len(rings) {
		t.Errorf("%d folders for %d rings", n, len(rings))
	}
}
