package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/keystore"
	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/postgres"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

const (
	issuer = "https://as.example"
	kek    = "f4zM3yYHqkM7xkW0aL4c0Vd3mJpQeX1r"
	newKEK = "another-secret-of-32-characters-x"
	folder = "uma/as/AAAA/rpt"
)

type hand struct {
	mu  sync.Mutex
	now time.Time
}

func newHand() *hand { return &hand{now: time.Unix(1_800_000_000, 0)} }

func (c *hand) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *hand) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openBolt(t *testing.T, now func() time.Time) store.Store {
	t.Helper()
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "x.db"), store.BoltOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// node is what one process has of the keys of an issuer.
func node(t *testing.T, s store.Store, now func() time.Time, texts ...string) *keystore.Storage {
	t.Helper()
	return tenant(t, s, now, issuer, texts...)
}

func tenant(t *testing.T, s store.Store, now func() time.Time, issuer string, texts ...string) *keystore.Storage {
	t.Helper()
	secrets, err := keystore.NewSecrets(texts...)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keystore.New(keystore.Config{Store: s, Role: "as", Issuer: issuer, Secrets: secrets, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func ring(t *testing.T, storage jose.Storage, purpose string, now func() time.Time) *jose.Ring {
	t.Helper()
	r, err := jose.NewRing(jose.RingConfig{
		Storage: storage, Role: "as", Issuer: issuer, Purpose: purpose,
		Rotation: 24 * time.Hour, Retain: time.Hour, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kid(t *testing.T, r *jose.Ring) string {
	t.Helper()
	signer, err := r.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signer.KID
}

func documents(t *testing.T, s store.Store, issuer, kind string) []store.Doc {
	t.Helper()
	docs, err := s.List(t.Context(), store.Tenant("as", issuer), kind, "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func TestStorage(t *testing.T) {
	clock := newHand()
	s := openBolt(t, clock.Now)
	here, there := node(t, s, clock.Now, kek), node(t, s, clock.Now, kek)
	if names, err := here.List(t.Context(), folder, false); err != nil || len(names) != 0 {
		t.Errorf("List = %q, %v", names, err)
	}
	if _, err := here.Load(t.Context(), folder+"/a.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v, want fs.ErrNotExist", err)
	}
	const secret = `{"jwk":"very-secret"}`
	for _, name := range []string{folder + "/a.json", folder + "/b.json", folder + "/sub/c.json", folder + "x/d.json"} {
		if err := here.Store(t.Context(), name, []byte(secret+name)); err != nil {
			t.Fatal(err)
		}
	}
	names, err := there.List(t.Context(), folder, false)
	if want := []string{folder + "/a.json", folder + "/b.json"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("List = %q, %v, want %q", names, err, want)
	}
	if data, err := there.Load(t.Context(), folder+"/a.json"); err != nil || string(data) != secret+folder+"/a.json" {
		t.Errorf("Load = %s, %v", data, err)
	}
	if err := there.Store(t.Context(), folder+"/a.json", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if data, err := here.Load(t.Context(), folder+"/a.json"); err != nil || string(data) != "other" {
		t.Errorf("Load = %s, %v", data, err)
	}
	for _, doc := range documents(t, s, issuer, "key") {
		if bytes.Contains(doc.Body, []byte("very-secret")) {
			t.Errorf("%s is not sealed", doc.ID)
		}
	}
	other := tenant(t, s, clock.Now, issuer+"/other", kek)
	if names, err := other.List(t.Context(), folder, false); err != nil || len(names) != 0 {
		t.Errorf("another tenant lists %q, %v", names, err)
	}
}

func TestManyKeys(t *testing.T) {
	clock := newHand()
	keys := node(t, openBolt(t, clock.Now), clock.Now, kek)
	for i := range 100 { // a whole page
		if err := keys.Store(t.Context(), folder+"/"+strings.Repeat("x", i+1), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{100, 101} {
		if names, err := keys.List(t.Context(), folder, false); err != nil || len(names) != want {
			t.Errorf("%d names, %v, want %d", len(names), err, want)
		}
		if err := keys.Store(t.Context(), folder+"/y", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A node with another key encryption key makes nothing and changes nothing, also
// for purposes that have no key yet.
func TestSEC_11_OtherSecret(t *testing.T) {
	clock := newHand()
	s := openBolt(t, clock.Now)
	first := kid(t, ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now))
	before := len(documents(t, s, issuer, "key"))
	for _, deleted := range []bool{false, true} {
		if deleted { // not even when somebody takes the check document away
			doc := documents(t, s, issuer, "key-check")[0]
			if err := s.Commit(t.Context(), store.Delete(doc.Key, doc.Rev)); err != nil {
				t.Fatal(err)
			}
		}
		for _, purpose := range []string{"rpt", "claims"} {
			wrong := ring(t, node(t, s, clock.Now, newKEK), purpose, clock.Now)
			if _, err := wrong.Signer(t.Context()); !errors.Is(err, keystore.ErrOtherSecret) || !errors.Is(err, jose.ErrKeySource) {
				t.Errorf("%s: %v, want ErrOtherSecret", purpose, err)
			}
			if _, err := wrong.Rotate(t.Context()); !errors.Is(err, keystore.ErrOtherSecret) {
				t.Errorf("Rotate %s: %v, want ErrOtherSecret", purpose, err)
			}
			if _, _, err := wrong.Retire(t.Context(), first); !errors.Is(err, keystore.ErrOtherSecret) {
				t.Errorf("Retire %s: %v, want ErrOtherSecret", purpose, err)
			}
		}
		if n := len(documents(t, s, issuer, "key")); n != before {
			t.Errorf("%d keys, want %d", n, before)
		}
	}
	if again := kid(t, ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now)); again != first {
		t.Error("the key of the others is lost")
	}
}

// The key encryption key is changed in three steps, with two nodes.
func TestChangeOfSecret(t *testing.T) {
	clock := newHand()
	s := openBolt(t, clock.Now)
	first := kid(t, ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now))
	for _, step := range [][]string{{kek, newKEK}, {kek, newKEK}, {newKEK, kek}, {kek, newKEK}, {newKEK, kek}, {newKEK, kek}, {newKEK}, {newKEK}} {
		r := ring(t, node(t, s, clock.Now, step...), "rpt", clock.Now)
		if again := kid(t, r); again != first {
			t.Errorf("%q: another key", step)
		}
		kid(t, ring(t, node(t, s, clock.Now, step...), "claims", clock.Now))
	}
	if _, err := ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now).Signer(t.Context()); !errors.Is(err, keystore.ErrOtherSecret) {
		t.Errorf("the old one alone: %v, want ErrOtherSecret", err)
	}
}

// A document that was changed, or taken from elsewhere, is no key; the rest works.
func TestDamaged(t *testing.T) {
	clock := newHand()
	s := openBolt(t, clock.Now)
	first := kid(t, ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now))
	kid(t, ring(t, node(t, s, clock.Now, kek), "claims", clock.Now))
	docs := documents(t, s, issuer, "key")
	elsewhere := docs[0] // the claims key as an RPT key
	elsewhere.ID = strings.Replace(elsewhere.ID, "/claims/", "/rpt/", 1)
	elsewhere.Index = strings.Replace(elsewhere.Index, "/claims", "/rpt", 1)
	broken := docs[1]
	broken.ID = strings.Replace(broken.ID, first, strings.Repeat("A", 43), 1)
	broken.Body = bytes.Replace(broken.Body, []byte(`"box":"A`), []byte(`"box":"B`), 1)
	noJSON := broken
	noJSON.ID = strings.Replace(docs[1].ID, first, strings.Repeat("E", 42)+"A", 1)
	noJSON.Body = []byte("x")
	if elsewhere.ID == docs[0].ID || broken.ID == docs[1].ID {
		t.Fatalf("%+v", docs)
	}
	if err := s.Commit(t.Context(), store.Create(elsewhere), store.Create(broken), store.Create(noJSON)); err != nil {
		t.Fatal(err)
	}
	r := ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now)
	if again := kid(t, r); again != first {
		t.Error("another key")
	}
	if keys, err := r.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("Keys = %+v, %v, want one", keys, err)
	}
}

func TestVersion(t *testing.T) {
	clock := newHand()
	s := openBolt(t, clock.Now)
	kid(t, ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now))
	doc := documents(t, s, issuer, "key")[0]
	doc.Body = bytes.Replace(doc.Body, []byte(`"v":1`), []byte(`"v":2`), 1)
	if err := s.Commit(t.Context(), store.Swap(doc)); err != nil {
		t.Fatal(err)
	}
	if _, err := ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now).Signer(t.Context()); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%v, want an error that names the version", err)
	}
}

func TestLock(t *testing.T) {
	clock := newHand()
	s := openBolt(t, clock.Now)
	here, there := node(t, s, clock.Now, kek), node(t, s, clock.Now, kek)
	if err := here.Lock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := there.Lock(t.Context(), "y"); err != nil {
		t.Errorf("another lock: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := there.Lock(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a lock that is held: %v, want to wait", err)
	}
	if err := there.Unlock(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	if err := there.Lock(gone, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("another's Unlock released it: %v", err)
	}
	waits := make(chan error)
	go func() { waits <- there.Lock(t.Context(), "x") }()
	if err := here.Unlock(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	if err := <-waits; err != nil {
		t.Errorf("after Unlock: %v", err)
	}
	t.Run("of a dead node", func(t *testing.T) {
		clock.pass(10 * time.Second)
		if err := here.Lock(t.Context(), "x"); err != nil {
			t.Errorf("%v, want to take it over", err)
		}
		if err := there.Unlock(t.Context(), "x"); err != nil { // it was not dead
			t.Error(err)
		}
		if err := there.Lock(gone, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: it took the lock of another away", err)
		}
	})
}

func TestStoreFails(t *testing.T) {
	clock := newHand()
	s := storetest.NewFaulty(openBolt(t, clock.Now))
	r := ring(t, node(t, s, clock.Now, kek), "rpt", clock.Now)
	first := kid(t, r)
	s.Before(func(context.Context, storetest.Call) error { return storetest.ErrDisk })
	if _, err := r.Rotate(t.Context()); !errors.Is(err, storetest.ErrDisk) {
		t.Errorf("Rotate: %v", err)
	}
	if _, _, err := r.Retire(t.Context(), first); !errors.Is(err, storetest.ErrDisk) {
		t.Errorf("Retire: %v", err)
	}
	if _, err := ring(t, node(t, s, clock.Now, kek), "claims", clock.Now).Signer(t.Context()); !errors.Is(err, storetest.ErrDisk) {
		t.Errorf("first use: %v", err)
	}
	s.Before(func(_ context.Context, c storetest.Call) error { // only the key cannot be written
		if c.Writes(store.ActionSwap, "key") || c.Writes(store.ActionCreate, "key") {
			return storetest.ErrDisk
		}
		return nil
	})
	if _, err := r.Rotate(t.Context()); !errors.Is(err, storetest.ErrDisk) {
		t.Errorf("Rotate: %v", err)
	}
	if _, _, err := r.Retire(t.Context(), first); !errors.Is(err, storetest.ErrDisk) {
		t.Errorf("Retire: %v", err)
	}
	s.Before(nil)
	if keys, err := r.Keys(t.Context()); err != nil || len(keys) != 1 || keys[0].State != jose.KeySigning {
		t.Errorf("Keys = %+v, %v: half done", keys, err)
	}
}

// Nodes make one key together, on bolt and on PostgreSQL, and agree after the
// next look.
func TestSEC_11_NodesOnOneStore(t *testing.T) {
	for name, open := range map[string]func(*testing.T, func() time.Time) (store.Store, store.Store){
		"bolt": func(t *testing.T, now func() time.Time) (store.Store, store.Store) {
			t.Helper()
			s := openBolt(t, now)
			return s, s
		},
		"PostgreSQL": openPostgres,
	} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			clock := newHand()
			one, two := open(t, clock.Now)
			nodes := []*jose.Ring{
				ring(t, node(t, one, clock.Now, kek), "rpt", clock.Now),
				ring(t, node(t, two, clock.Now, kek), "rpt", clock.Now),
			}
			var users sync.WaitGroup
			for i := range 20 {
				users.Go(func() { kid(t, nodes[i%2]) })
			}
			users.Wait()
			first := kid(t, nodes[0])
			if n := len(documents(t, one, issuer, "key")); n != 1 || kid(t, nodes[1]) != first {
				t.Fatalf("%d keys, want one", n)
			}
			for _, n := range nodes {
				users.Go(func() {
					if _, err := n.Rotate(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			users.Wait()
			if n := len(documents(t, one, issuer, "key")); n != 2 {
				t.Errorf("%d keys after two rotations at once, want two", n)
			}
			if _, _, err := nodes[1].Retire(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			clock.pass(jose.Relist)
			if a, b := kid(t, nodes[0]), kid(t, nodes[1]); a != b || a == first {
				t.Errorf("the nodes use %s and %s; %s is retired", a, b, first)
			}
			if n := len(documents(t, one, issuer, "key-lock")); n != 0 {
				t.Errorf("%d locks stay", n)
			}
		})
	}
}

func openPostgres(t *testing.T, now func() time.Time) (one, two store.Store) {
	t.Helper()
	dsn := pgtest.DSN(t)
	schema := pgtest.Schema(t, dsn)
	both := make([]store.Store, 2)
	for i := range both {
		s, err := postgres.Open(t.Context(), postgres.Options{DSN: dsn, Schema: schema, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		both[i] = s
	}
	return both[0], both[1]
}

func TestRefused(t *testing.T) {
	if _, err := keystore.NewSecrets(); err == nil {
		t.Error("no secret is accepted")
	}
	if _, err := keystore.NewSecrets(kek, newKEK, kek); err == nil {
		t.Error("one secret twice is accepted")
	}
	secrets, err := keystore.NewSecrets(kek)
	if err != nil {
		t.Fatal(err)
	}
	good := keystore.Config{Store: openBolt(t, newHand().Now), Role: "as", Issuer: issuer, Secrets: secrets, Now: newHand().Now}
	if _, err := keystore.New(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*keystore.Config){
		"no store":  func(c *keystore.Config) { c.Store = nil },
		"no role":   func(c *keystore.Config) { c.Role = "" },
		"no issuer": func(c *keystore.Config) { c.Issuer = "" },
		"no secret": func(c *keystore.Config) { c.Secrets = nil },
		"no clock":  func(c *keystore.Config) { c.Now = nil },
	} {
		cfg := good
		edit(&cfg)
		if _, err := keystore.New(cfg); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"v":1,"kek":"00000000","box":"AQAA"}`))
	f.Add([]byte(`[]`))
	clock := newHand()
	secrets, err := keystore.NewSecrets(kek)
	if err != nil {
		f.Fatal(err)
	}
	s, err := store.OpenBolt(filepath.Join(f.TempDir(), "x.db"), store.BoltOptions{Now: clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	keys, err := keystore.New(keystore.Config{Store: s, Role: "as", Issuer: issuer, Secrets: secrets, Now: clock.Now})
	if err != nil {
		f.Fatal(err)
	}
	key := store.Key{Tenant: store.Tenant("as", issuer), Kind: "key", ID: folder + "/x.json"}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > store.MaxBody {
			return
		}
		if _, err := keys.List(t.Context(), folder, false); err != nil {
			t.Fatal(err)
		}
		op := store.Create(store.Doc{Key: key, Index: folder, Body: data})
		if old, err := s.Get(t.Context(), key); err == nil {
			op = store.Swap(store.Doc{Key: key, Index: folder, Body: data, Rev: old.Rev})
		}
		if err := s.Commit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		if got, _ := keys.Load(t.Context(), key.ID); len(got) > 0 {
			t.Errorf("%q opens", data)
		}
	})
}

// timed is a store with a clock of its own.
type timed struct {
	store.Store
	now func() time.Time
}

func (s timed) Time(context.Context) (time.Time, error) { return s.now(), nil }

// SEC-11: how long a lock counts the clock of the store decides: one of a node whose clock
// is slow holds, and one of a dead node whose clock was fast does not hold longer.
func TestSEC_11_LockByTheClockOfTheStore(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"slow": -time.Hour, "right": 0, "fast": time.Hour} {
		t.Run("SEC-11 "+name, func(t *testing.T) {
			right := newHand()
			s := timed{openBolt(t, right.Now), right.Now}
			dead := node(t, s, func() time.Time { return right.Now().Add(ahead) }, kek)
			other := node(t, s, right.Now, kek)
			if err := dead.Lock(t.Context(), "rpt"); err != nil {
				t.Fatal(err)
			}
			right.pass(9 * time.Second)
			soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := other.Lock(soon, "rpt"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Lock of another node within its time = %v, want to wait", err)
			}
			right.pass(time.Second)
			later, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := other.Lock(later, "rpt"); err != nil {
				t.Errorf("Lock after its time = %v", err)
			}
		})
	}
}
