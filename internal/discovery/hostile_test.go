package discovery_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// cost is what something took: time, memory allocated (by the fake provider
// too, which is in this process), requests and the bytes of the answers.
type cost struct {
	time     time.Duration
	alloc    uint64
	requests int
	sent     int64
}

func costOf(op *fakeop.OP, f func()) cost {
	op.Forget()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return cost{time: took, alloc: after.TotalAlloc - before.TotalAlloc, requests: op.Hits(""), sent: op.Sent()}
}

// Each of these providers costs bounded time, memory and requests, at each of
// the three places where it can misbehave, and is asked once.
func TestSEC_09_HostileProviders(t *testing.T) {
	const timeout = 2 * time.Second
	for name, hostile := range map[string]http.HandlerFunc{
		"slow drip":           fakeop.SlowDrip(),
		"hang":                fakeop.Hang(),
		"endless body":        fakeop.Endless(),
		"endless header":      fakeop.EndlessHeader(8 << 20),
		"gzip bomb":           fakeop.GzipBomb(64 << 20),
		"redirect to loop":    fakeop.RedirectTo("https://bob.example/.well-known/webfinger"),
		"redirect to us":      fakeop.RedirectTo("https://127.0.0.1/"),
		"1 Mbit RSA modulus":  fakeop.ManyKeys(1, 1<<20),
		"10000 keys":          fakeop.ManyKeys(10_000, 2048),
		"10000 tiny keys":     fakeop.Raw(200, "application/json", `{"keys":[`+strings.Repeat("{},", 10_000)+`{}]}`),
		"deep JSON":           fakeop.Raw(200, "application/json", strings.Repeat(`{"keys":`, 7000)),
		"repeated long names": fakeop.Raw(200, "application/json", `{"`+strings.Repeat("x", 30_000)+`":1,"`+strings.Repeat("x", 30_000)+`":2}`),
	} {
		for _, path := range []string{fakeop.WebFinger, fakeop.Configuration, fakeop.JWKS} {
			t.Run("SEC-09 "+name+" at "+path, func(t *testing.T) {
				op := fakeop.New(t, fakeop.Config{})
				w := newWorldWith(t, op, discovery.Config{NoDocument: true}, outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots, Timeout: timeout})
				op.Misbehave(path, hostile)
				token := op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)
				c := costOf(op, func() {
					for range 20 {
						if err := verify(t, w, token); err == nil {
							t.Error("the token is accepted")
						}
					}
				})
				if n := op.Hits(path); n != 1 {
					t.Errorf("%d requests there, want 1", n)
				}
				// One slow answer and not one for each token, on any machine.
				if c.time > 20*timeout || c.alloc > 48<<20 || c.sent > 16<<20 || c.requests > 3 {
					t.Errorf("20 tokens cost %+v", c)
				}
				t.Logf("20 tokens: %v, %d KiB allocated, %d requests, %d KiB sent", c.time.Round(time.Millisecond), c.alloc>>10, c.requests, c.sent>>10)
				if lookups, places := w.finder.Running(); lookups != 0 || places != 0 {
					t.Errorf("%d look-ups and %d places are left", lookups, places)
				}
			})
		}
	}
}

// Each forbidden range: nothing is connected, and it is no reason to fall back.
func TestSEC_05_DomainsInForbiddenRanges(t *testing.T) {
	for _, addr := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
		"100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
		"64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2001::1", "::7f00:1",
	} {
		t.Run("SEC-05 "+addr, func(t *testing.T) {
			var asked atomic.Int64
			op := fakeop.New(t, fakeop.Config{})
			w := newWorldWith(t, op, discovery.Config{}, outbound.Config{Roots: op.Roots, Resolve: func(context.Context, string) ([]string, error) {
				asked.Add(1)
				return []string{addr}, nil
			}})
			for range 3 {
				w.wantErr(bob, discovery.ErrNoIssuer)
			}
			if n := asked.Load(); n != 1 || op.Conns() != 0 {
				t.Errorf("%d look-ups of the name and %d connections, want 1 and 0", n, op.Conns())
			}
			if e := w.events[0]; e.Reason != "blocked by the rules for outbound requests" {
				t.Errorf("reason %q", e.Reason)
			}
		})
	}
}

// The name changes its address between WebFinger and configuration, and again
// for the keys: each connection is checked by itself.
func TestSEC_06_RebindingBetweenRequests(t *testing.T) {
	for name, change := range map[string]string{"configuration": fakeop.Configuration, "keys": fakeop.JWKS} {
		op := fakeop.New(t, fakeop.Config{Issuer: "https://rebind.example"})
		local := fakeop.New(t, fakeop.Config{})
		connect := op.ConnectTo() // bob.example is where it is; the issuer and the keys are not
		w := newWorldWith(t, op, discovery.Config{}, outbound.Config{
			ConnectTo: connect, Roots: op.Roots,
			Resolve: func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil },
		})
		if change == fakeop.JWKS {
			op.Issuer = bobsIssuer
			op.Edit(func(doc map[string]any) { doc["jwks_uri"] = "https://rebind.example/jwks" })
		}
		if err := verify(t, w, op.Sign(nil, discovery.DefaultTyp)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if op.Hits(change) != 0 || local.Conns() != 0 {
			t.Errorf("%s: a request went to the changed address", name)
		}
	}
}

// 10000 invented domains on one host, from 10000 sources, all at once and all of
// them slow: what they cost is bounded, and Bob does not notice.
func TestSEC_09_TenThousandInventedDomains(t *testing.T) {
	const n = 10_000
	op, domains := hosts(t, n)
	hang, release := make(chan struct{}, n), make(chan struct{})
	// The strangers hang longer than Bob could wait for a place of theirs.
	const timeout = 10 * time.Minute
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: op.ConnectTo(domains...), Roots: op.Roots, Timeout: timeout})
	w.grant(bob)
	w.pass(15 * time.Minute)
	op.Misbehave(fakeop.WebFinger, func(rw http.ResponseWriter, r *http.Request) {
		hang <- struct{}{}
		fakeop.Wait(release, fakeop.Status(404))(rw, r)
	})
	op.Misbehave("bob.example"+fakeop.WebFinger, fakeop.JSON("application/jrd+json", map[string]any{
		"links": []any{map[string]any{"rel": fakeop.IssuerRel, "href": bobsIssuer}},
	}))
	op.Misbehave("bob.example"+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
		"issuer": bobsIssuer, "jwks_uri": bobsIssuer + "/jwks",
	}))
	var all sync.WaitGroup
	var temporary atomic.Int64
	whole := costOf(op, func() {
		var begun sync.WaitGroup
		for i, d := range domains {
			begun.Add(1)
			all.Go(func() {
				begun.Done()
				if _, err := w.findBy(strconv.Itoa(i), "x@"+d); errors.Is(err, discovery.ErrTemporary) {
					temporary.Add(1)
				}
			})
		}
		begun.Wait()
		for range 32 { // one network: so many at once
			<-hang
		}
		start := time.Now()
		if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil {
			t.Errorf("Bob, in the middle of it: %v", err)
		}
		bobs := time.Since(start)
		for _, path := range []string{fakeop.WebFinger, fakeop.JWKS} {
			if n := op.Hits("bob.example" + path); n != 1 {
				t.Errorf("%d requests for Bob at %s, want 1", n, path)
			}
		}
		t.Logf("Bob's refresh in the middle of it: %v", bobs.Round(time.Millisecond))
		close(release)
		all.Wait()
	})
	if whole.requests < 32 || whole.requests > 600+3 || op.Conns() > 600+3 {
		t.Errorf("%d requests and %d connections, want no more than 600", whole.requests, op.Conns())
	}
	if got := temporary.Load(); got < n-600 {
		t.Errorf("%d were told to come again, want at least %d", got, n-600)
	}
	op.Forget()
	if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil || op.Hits("") != 0 {
		t.Errorf("Bob afterwards: %v with %d requests", err, op.Hits(""))
	}
	if lookups, places := w.finder.Running(); lookups != 0 || places != 0 {
		t.Errorf("%d look-ups and %d places are left", lookups, places)
	}
	t.Logf("10000 domains: %v, %d requests, %d KiB sent, %d told to come again",
		whole.time.Round(time.Millisecond), whole.requests, whole.sent>>10, temporary.Load())
}
