package discovery_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

func TestSEC_09_Cached(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorld(t, op, discovery.Config{MaxAge: 10 * time.Minute})
	for range 5 {
		w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
	}
	w.wantFound("alice@bob.example", bobsIssuer, discovery.ByWebFinger)
	w.wantHits(fakeop.WebFinger, 2)     // per address
	w.wantHits(fakeop.Configuration, 1) // per issuer
	w.pass(10*time.Minute - 1)
	w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
	w.wantHits("", 3)
	w.pass(1)
	w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
	w.wantHits(fakeop.WebFinger, 3)
	w.wantHits(fakeop.Configuration, 2)
}

func TestSEC_09_FailuresAreRemembered(t *testing.T) {
	for _, tc := range []struct {
		name   string
		path   string
		answer http.HandlerFunc
		keep   time.Duration
	}{
		{"connection", "", nil, 5 * time.Second},
		{"WebFinger 503", fakeop.WebFinger, fakeop.Status(503), 30 * time.Second},
		{"WebFinger cut off", fakeop.WebFinger, fakeop.Truncated(), 30 * time.Second},
		{"WebFinger bad link", fakeop.WebFinger, fakeop.JSON("application/jrd+json", map[string]any{
			"links": []any{map[string]any{"rel": fakeop.IssuerRel, "href": "http://x"}},
		}), 60 * time.Second},
		{"configuration 404", fakeop.Configuration, fakeop.Status(404), 30 * time.Second},
		{"configuration 500", fakeop.Configuration, fakeop.Status(500), 30 * time.Second},
		{"configuration too large", fakeop.Configuration, fakeop.Endless(), 30 * time.Second},
		{"configuration HTML", fakeop.Configuration, fakeop.HTML(), 60 * time.Second},
	} {
		t.Run("SEC-09 "+tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{OwnCA: true})
			out := outbound.Config{ConnectTo: op.ConnectTo()}
			count := op.Conns // a bad certificate leaves connections, but no request
			if tc.answer != nil {
				op.Misbehave(tc.path, tc.answer)
				out.Roots = op.Roots
				count = func() int { return op.Hits(tc.path) }
			}
			w := newWorldWith(t, op, discovery.Config{}, out)
			for range 3 {
				if _, err := w.find(bob); err == nil {
					t.Fatal("found")
				}
			}
			w.pass(tc.keep - 1)
			_, _ = w.find(bob)
			if n := count(); n != 1 {
				t.Errorf("asked %d times while remembered, want once", n)
			}
			w.pass(1)
			_, _ = w.find(bob)
			if n := count(); n != 2 {
				t.Errorf("asked %d times after that, want twice", n)
			}
		})
	}
}

func TestSEC_09_MissesCollapse(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	release := make(chan struct{})
	answer := fakeop.JSON("application/jrd+json", map[string]any{
		"links": []any{map[string]any{"rel": fakeop.IssuerRel, "href": bobsIssuer}},
	})
	op.Misbehave(fakeop.WebFinger, fakeop.Wait(release, answer))
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { w.wantFound(bob, bobsIssuer, discovery.ByWebFinger) })
	}
	close(release)
	wg.Wait()
	w.wantHits(fakeop.WebFinger, 1)
	w.wantHits(fakeop.Configuration, 1)
	if len(w.events) != 1 {
		t.Errorf("%d events, want 1", len(w.events))
	}
}

// Many people of one issuer: one configuration.
func TestSEC_09_IssuerIsFetchedOnce(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { w.wantFound("u"+strconv.Itoa(i)+"@bob.example", bobsIssuer, discovery.ByWebFinger) })
	}
	wg.Wait()
	w.wantHits(fakeop.WebFinger, 40)
	w.wantHits(fakeop.Configuration, 1)
}

func TestSEC_09_CancelOfOneFailsNobodyElse(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	asked, release := make(chan struct{}), make(chan struct{})
	answer := fakeop.JSON("application/jrd+json", map[string]any{
		"links": []any{map[string]any{"rel": fakeop.IssuerRel, "href": bobsIssuer}},
	})
	op.Misbehave(fakeop.WebFinger, func(rw http.ResponseWriter, r *http.Request) {
		close(asked)
		fakeop.Wait(release, answer)(rw, r)
	})
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := w.finder.Find(ctx, oauth.Address{Local: "bob", Domain: "bob.example"}, discovery.Query{})
		first <- err
	}()
	<-asked
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || !errors.Is(err, discovery.ErrTemporary) {
		t.Errorf("cancelled: %v", err)
	}
	close(release)
	w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
	w.wantHits(fakeop.WebFinger, 1)
}

func TestSEC_09_BoundedMemory(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Link(func(resource string) (string, bool) { return "https://" + resource[len("acct:u@"):], true })
	op.Misbehave(fakeop.Configuration, func(rw http.ResponseWriter, r *http.Request) {
		fakeop.JSON("application/json", map[string]any{"issuer": "https://" + r.Host, "jwks_uri": "https://" + r.Host + "/jwks"})(rw, r)
	})
	const size = 32
	domains := make([]string, 4*size)
	for i := range domains {
		domains[i] = "d" + strconv.Itoa(i) + ".example"
	}
	w := newWorldWith(t, op, discovery.Config{Size: size}, outbound.Config{ConnectTo: op.ConnectTo(domains...), Roots: op.Roots})
	// One who comes again stays known while strangers pass by once.
	w.wantFound("u@bob.example", bobsIssuer, discovery.ByWebFinger)
	w.wantFound("u@bob.example", bobsIssuer, discovery.ByWebFinger)
	for _, d := range domains {
		w.wantFound("u@"+d, "https://"+d, discovery.ByWebFinger)
	}
	if a, i := w.finder.Remembered(); a > size || i > size {
		t.Errorf("%d addresses and %d issuers are remembered, want at most %d", a, i, size)
	}
	op.Forget()
	w.wantFound("u@bob.example", bobsIssuer, discovery.ByWebFinger)
	w.wantHits("", 0)
}

func TestObserve(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorld(t, op, discovery.Config{}, "dead.example")
	op.Misbehave("dead.example"+fakeop.WebFinger, fakeop.Status(503))
	for range 3 {
		w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
		w.wantErr("x@dead.example", discovery.ErrTemporary)
	}
	want := []event.Discovery{
		{Domain: "bob.example", IssuerFound: bobsIssuer, Evidence: discovery.ByWebFinger, Outcome: event.Granted},
		{Domain: "dead.example", Outcome: event.Failed, Reason: "WebFinger is unavailable"},
	}
	if len(w.events) != 2 || w.events[0] != want[0] || w.events[1] != want[1] {
		t.Errorf("events = %+v, want %+v", w.events, want)
	}
}

// Errors and events must not quote what strangers send (SEC-22).
func TestSEC_22_ErrorsQuoteNobody(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Edit(func(doc map[string]any) { doc["issuer"] = "https://marker.example" })
	w := newWorld(t, op, discovery.Config{})
	_, err := w.find(bob)
	if want := "no provider is found for the address: the configuration is of another issuer"; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestOD_09_KeysUnderTheSameRules(t *testing.T) {
	for _, uri := range []string{
		"https://127.0.0.1/jwks", "https://169.254.169.254/jwks", "https://sso.localhost/jwks", "https://bob.example:8443/jwks",
	} {
		op := fakeop.New(t, fakeop.Config{})
		op.Edit(func(doc map[string]any) { doc["jwks_uri"] = uri })
		w := newWorld(t, op, discovery.Config{})
		found, err := w.find(bob)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := found.Keys.Key(t.Context(), op.KID(), "ES256"); !errors.Is(err, jose.ErrKeySource) {
			t.Errorf("%s: %v, want ErrKeySource", uri, err)
		}
		w.wantHits(fakeop.JWKS, 0)
	}
	for name, h := range map[string]http.HandlerFunc{
		"404": fakeop.Status(404), "HTML": fakeop.HTML(), "truncated": fakeop.Truncated(), "redirect": fakeop.RedirectTo("https://public.example/"),
	} {
		op := fakeop.New(t, fakeop.Config{})
		op.Misbehave(fakeop.JWKS, h)
		w := newWorld(t, op, discovery.Config{})
		found, err := w.find(bob)
		if err != nil {
			t.Fatal(err)
		}
		if key, err := found.Keys.Key(t.Context(), op.KID(), "ES256"); err == nil {
			t.Errorf("%s: a key %v", name, key)
		}
	}
}

// verify checks a token of the provider with the keys that were found.
func verify(t *testing.T, w *world, compact string) error {
	t.Helper()
	found, err := w.find(bob)
	if err != nil {
		return err
	}
	token, err := jose.Parse(compact, 16<<10)
	if err != nil {
		return err
	}
	var claims struct{}
	return token.Verify(t.Context(), found.Keys, jose.DefaultAlgs(), &claims)
}

func TestCA_35_KeysOfTheDiscoveredIssuer(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorld(t, op, discovery.Config{})
	if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil {
		t.Errorf("good token: %v", err)
	}
	if err := verify(t, w, op.Forge(map[string]any{"sub": "1"}, discovery.DefaultTyp)); !errors.Is(err, jose.ErrSignature) {
		t.Errorf("forged token: %v, want ErrSignature", err)
	}
}

func TestSEC_10_KeyRotation(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorld(t, op, discovery.Config{MaxAge: 15 * time.Minute, RefetchPause: time.Minute})
	old := op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)
	if err := verify(t, w, old); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Minute)
	op.Rotate("key-2", true)
	if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil {
		t.Errorf("new key: %v", err)
	}
	w.wantHits(fakeop.JWKS, 2)
	other := fakeop.New(t, fakeop.Config{})
	for i := range 20 { // a flood of unknown kids within the pause
		other.Rotate("random-"+strconv.Itoa(i), true)
		if verify(t, w, other.Sign(map[string]any{}, discovery.DefaultTyp)) == nil {
			t.Error("a foreign key verifies")
		}
	}
	w.wantHits(fakeop.JWKS, 2)
	w.pass(15 * time.Minute)
	if verify(t, w, old) == nil {
		t.Error("a removed key still verifies")
	}
}

func TestKeysOfOwnCA(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{OwnCA: true})
	_, port, _ := net.SplitHostPort(op.Addr)
	op.Issuer = "https://sso.localhost:" + port
	w := newWorldWith(t, op, discovery.Config{Domains: []discovery.Domain{{Pattern: "*", BaseURL: op.Issuer}}}, outbound.Config{
		Exceptions: map[string]outbound.Exception{"sso.localhost:" + port: {Roots: op.Roots}},
	})
	if err := verify(t, w, op.Sign(map[string]any{}, discovery.DefaultTyp)); err != nil {
		t.Errorf("verify: %v", err)
	}
}

// A slow domain holds up its own people, eight at a time, and nobody else's.
func TestSEC_09_BudgetPerRegistrableDomain(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "fast.test"})
	const people, atOnce = 20, 8
	arrived, release := make(chan struct{}, people), make(chan struct{})
	domains := make([]string, people)
	for i := range domains {
		domains[i] = "s" + strconv.Itoa(i) + ".slow.test"
		op.Misbehave(domains[i]+fakeop.WebFinger, func(rw http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			fakeop.Wait(release, fakeop.Status(429))(rw, r)
		})
	}
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: op.ConnectTo(domains...), Roots: op.Roots})
	var wg sync.WaitGroup
	for _, d := range domains {
		wg.Go(func() { w.wantErr("x@"+d, discovery.ErrTemporary) })
	}
	for range atOnce {
		<-arrived
	}
	w.wantFound("x@fast.test", "https://fast.test", discovery.ByWebFinger)
	if n := len(arrived); n != 0 {
		t.Errorf("%d requests more than %d are under way at one registrable domain", n, atOnce)
	}
	close(release)
	wg.Wait()
	if n := len(arrived); n != people-atOnce {
		t.Errorf("%d requests came afterwards, want %d", n, people-atOnce)
	}
}

func TestSEC_09_KeyFailuresAreRemembered(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		keep   time.Duration
	}{
		{"503", fakeop.Status(503), 30 * time.Second},
		{"cut off", fakeop.Truncated(), 30 * time.Second},
		{"HTML", fakeop.HTML(), 60 * time.Second},
		{"no keys", fakeop.JSON("application/json", map[string]any{}), 60 * time.Second},
	} {
		t.Run("SEC-09 "+tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			w := newWorld(t, op, discovery.Config{})
			found, err := w.find(bob)
			if err != nil {
				t.Fatal(err)
			}
			op.Misbehave(fakeop.JWKS, tc.answer)
			ask := func(hits int) {
				t.Helper()
				if _, err := found.Keys.Key(t.Context(), op.KID(), "ES256"); !errors.Is(err, jose.ErrKeySource) {
					t.Errorf("error %v, want ErrKeySource", err)
				}
				w.wantHits(fakeop.JWKS, hits)
			}
			ask(1)
			w.pass(tc.keep - 1)
			ask(1)
			w.pass(1)
			ask(2)
			op.Misbehave(fakeop.JWKS, nil)
			w.pass(tc.keep)
			if _, err := found.Keys.Key(t.Context(), op.KID(), "ES256"); err != nil {
				t.Errorf("after the failure: %v", err)
			}
		})
	}
	t.Run("SEC-09 connection", func(t *testing.T) {
		op := fakeop.New(t, fakeop.Config{})
		op.Edit(func(doc map[string]any) { doc["jwks_uri"] = "https://gone.example/jwks" })
		tries := 0
		w := newWorldWith(t, op, discovery.Config{}, outbound.Config{
			ConnectTo: op.ConnectTo(), Roots: op.Roots,
			Resolve: func(_ context.Context, host string) ([]string, error) {
				tries++
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			},
		})
		found, err := w.find(bob)
		if err != nil {
			t.Fatal(err)
		}
		for i, pass := range []time.Duration{0, 5*time.Second - 1, 1} {
			w.pass(pass)
			if _, err := found.Keys.Key(t.Context(), op.KID(), "ES256"); !errors.Is(err, jose.ErrKeySource) {
				t.Errorf("error %v, want ErrKeySource", err)
			}
			if want := []int{1, 1, 2}[i]; tries != want {
				t.Errorf("tried %d times, want %d", tries, want)
			}
		}
	})
}
