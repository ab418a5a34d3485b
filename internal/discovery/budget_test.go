package discovery_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// hosts connects domains to a provider for all of them.
func hosts(t *testing.T, n int) (*fakeop.OP, []string) {
	t.Helper()
	op := fakeop.New(t, fakeop.Config{})
	op.Link(func(resource string) (string, bool) {
		_, domain, _ := cut(resource)
		return "https://" + domain, true
	})
	op.Misbehave(fakeop.Configuration, func(rw http.ResponseWriter, r *http.Request) {
		fakeop.JSON("application/json", map[string]any{"issuer": "https://" + r.Host, "jwks_uri": "https://" + r.Host + "/jwks"})(rw, r)
	})
	domains := make([]string, n)
	for i := range domains {
		domains[i] = "d" + strconv.Itoa(i) + ".example"
	}
	return op, domains
}

func cut(resource string) (local, domain string, ok bool) {
	a, err := oauth.ParseAddress(resource[len("acct:"):])
	return a.Local, a.Domain, err == nil
}

func (w *world) findBy(source, address string) (discovery.Found, error) {
	w.t.Helper()
	a, err := oauth.ParseAddress(address)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.finder.Find(w.t.Context(), a, discovery.Query{Source: source})
}

// wantTries looks addresses up for one source; so many succeed, then no more.
func (w *world) wantTries(source string, want int, addresses ...string) {
	w.t.Helper()
	for i, address := range addresses {
		_, err := w.findBy(source, address)
		if ok := i < want; ok && err != nil || !ok && !errors.Is(err, discovery.ErrTemporary) {
			w.t.Errorf("Find(%s) for %s, number %d of %d: %v", address, source, i+1, want, err)
		}
	}
}

func at(domains []string) []string {
	all := make([]string, len(domains))
	for i, d := range domains {
		all[i] = "x@" + d
	}
	return all
}

func TestSEC_09_BudgetPerSource(t *testing.T) {
	op, domains := hosts(t, 10)
	w := newPatient(t, op, discovery.Config{NewPerSource: 3}, domains...)
	people := at(domains)
	w.wantTries("192.0.2.1", 3, people[:6]...)
	w.wantHits("", 6)
	w.wantTries("192.0.2.1", 3, people[:3]...) // what is known is free
	w.wantHits("", 6)
	w.wantTries("192.0.2.2", 3, people[3:7]...) // and the refusals are nobody else's
	w.pass(20 * time.Second)
	w.wantTries("192.0.2.1", 1, people[7:9]...)
	if n := len(w.events); n != 7 {
		t.Errorf("%d look-ups are told of, want the 7 that were made", n)
	}
}

// The fetch of a key set is counted for who needs it, not held against the set.
func TestSEC_09_BudgetPerSourceForKeys(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newPatient(t, op, discovery.Config{NewPerSource: 1})
	mine, err := w.findBy("192.0.2.1", bob)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Keys.Key(t.Context(), op.KID(), "ES256"); !errors.Is(err, jose.ErrKeySource) || !errors.Is(err, discovery.ErrTemporary) {
		t.Errorf("keys beyond the budget: %v", err)
	}
	w.wantHits(fakeop.JWKS, 0)
	other, err := w.findBy("192.0.2.2", bob)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range []discovery.Found{other, mine} {
		if _, err := found.Keys.Key(t.Context(), op.KID(), "ES256"); err != nil {
			t.Errorf("keys: %v", err)
		}
	}
	w.wantHits(fakeop.JWKS, 1)
}

// However many sources ask, and however many names there are below it.
func TestSEC_09_RatePerDomain(t *testing.T) {
	f := newPatient(t, fakeop.New(t, fakeop.Config{}), discovery.Config{NewInAll: 10}).finder
	for i := range 8 {
		err := f.Admit(strconv.Itoa(i), "s"+strconv.Itoa(i)+".evil.test")
		if ok := i < 5; ok != (err == nil) || !ok && !errors.Is(err, discovery.ErrTemporary) {
			t.Errorf("look-up %d: %v", i+1, err)
		}
	}
	// A domain that somebody floods costs the others nothing but the sum.
	for i := range 5 {
		if err := f.Admit("x", "d"+strconv.Itoa(i)+".example"); err != nil {
			t.Errorf("another domain: %v", err)
		}
	}
}

func TestSEC_09_RateInAll(t *testing.T) {
	f := newPatient(t, fakeop.New(t, fakeop.Config{}), discovery.Config{NewInAll: 5}).finder
	yes := 0
	for i := range 100 {
		if f.Admit(strconv.Itoa(i), "d"+strconv.Itoa(i)+".example") == nil {
			yes++
		}
	}
	if yes != 5 {
		t.Errorf("%d look-ups in all, want 5", yes)
	}
}

// Names cost nothing; the addresses behind them do.
func TestSEC_09_RatePerNetwork(t *testing.T) {
	op, domains := hosts(t, 20)
	w := newPatient(t, op, discovery.Config{NewInAll: 30}, domains...)
	for i, address := range at(domains) { // two connections each
		w.wantTries(strconv.Itoa(i), map[bool]int{true: 1, false: 0}[i < 15], address)
	}
	w.wantHits("", 30)
	if op.Conns() != 30 {
		t.Errorf("%d connections, want 30", op.Conns())
	}
	for _, other := range []string{"127.0.1.1", "2001:db8::1"} {
		if done, err := w.finder.Dial(netip.MustParseAddr(other)); err != nil {
			t.Errorf("another network: %v", err)
		} else {
			done()
		}
	}
	for _, same := range []string{"127.0.0.99", "::ffff:127.0.0.2"} {
		if _, err := w.finder.Dial(netip.MustParseAddr(same)); err == nil {
			t.Errorf("%s has a budget of its own", same)
		}
	}
	// Nothing of it is held against the domains: a failure would be remembered.
	w.pass(4 * time.Second)
	w.wantFound("x@"+domains[19], "https://"+domains[19], discovery.ByWebFinger)
}

func TestSEC_09_PlacesPerNetwork(t *testing.T) {
	f := newPatient(t, fakeop.New(t, fakeop.Config{}), discovery.Config{}).finder
	var dones []func()
	for i := range 40 {
		done, err := f.Dial(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		if ok := i < 32; ok != (err == nil) {
			t.Fatalf("connection %d at once: %v", i+1, err)
		}
		if err == nil {
			dones = append(dones, done)
		}
	}
	if _, err := f.Dial(netip.MustParseAddr("192.0.3.1")); err != nil {
		t.Errorf("another network: %v", err)
	}
	dones[0]()
	if _, err := f.Dial(netip.MustParseAddr("192.0.2.200")); err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

func TestSEC_09_NamesOfBudgets(t *testing.T) {
	for host, want := range map[string]string{
		"bob.example": "bob.example", "a.b.bob.example": "bob.example", "A.BOB.example": "bob.example",
		"a.bob.example.": "bob.example", "bob.co.uk": "bob.co.uk", "x.bob.co.uk": "bob.co.uk", "co.uk": "co.uk",
		"192.0.2.1": "192.0.2.0/24", "192.0.2.2": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "": "",
	} {
		if got := discovery.Registrable(host); got != want {
			t.Errorf("registrable(%s) = %s, want %s", host, got, want)
		}
	}
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.0/24", "::ffff:192.0.2.9": "192.0.2.0/24", "2001:db8:1:ffff::1": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		if got := discovery.Network(netip.MustParseAddr(addr)); got != want {
			t.Errorf("network(%s) = %s, want %s", addr, got, want)
		}
	}
}

// A domain that hangs collects 64 look-ups of ours, no more, and leaves nothing.
func TestSEC_09_QueuesAreBounded(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "fast.test"})
	release := make(chan struct{})
	op.Misbehave("slow.test"+fakeop.WebFinger, fakeop.Wait(release, fakeop.Status(429)))
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: op.ConnectTo("slow.test"), Roots: op.Roots})
	const people, mayWait = 80, 64
	errs := make(chan error, people+300)
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			_, err := w.find("x" + strconv.Itoa(i) + "@slow.test")
			errs <- err
		})
	}
	for range people - mayWait {
		if err := <-errs; !errors.Is(err, discovery.ErrTemporary) {
			t.Errorf("one too many: %v", err)
		}
	}
	if lookups, _ := w.finder.Running(); lookups != mayWait {
		t.Errorf("%d look-ups run, want %d", lookups, mayWait)
	}
	w.wantFound("x@fast.test", "https://fast.test", discovery.ByWebFinger)
	close(release)
	all.Wait()
	if lookups, places := w.finder.Running(); lookups != 0 || places != 0 {
		t.Errorf("%d look-ups and %d places are left", lookups, places)
	}
}
