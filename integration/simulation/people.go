package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// People come in sessions: a few flows, a while between them, then nothing for hours.
const (
	perSession = 5                // flows, in the mean
	between    = 45 * time.Second // flows of a session, in the mean
	perDay     = 20               // flows of one person
)

// crowd is the legitimate people.
type crowd struct {
	w      *world
	finder *discovery.Finder
	tally  *tally
	number int // of people
	rate   float64
	// clients is how many applications they use: each is one source. 0 = everybody
	// comes from an address of his own.
	clients int
	// measured is when the warm-up is over, until the end of all.
	measured, until time.Time
	running         sync.WaitGroup
}

// come starts sessions until the end.
func (c *crowd) come() {
	random := rand.New(rand.NewPCG(c.w.seed, 1)) //nolint:gosec // a simulation
	defer c.running.Wait()
	for n := uint64(0); ; n++ {
		time.Sleep(seconds(random.ExpFloat64() * perSession / c.rate))
		if !time.Now().Before(c.until) {
			return
		}
		person := random.IntN(c.number)
		c.running.Go(func() { c.session(person, rand.New(rand.NewPCG(c.w.seed+2, n))) }) //nolint:gosec // a simulation
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (c *crowd) session(person int, random *rand.Rand) {
	a := c.address(person)
	for time.Now().Before(c.until) {
		c.flow(person, a)
		if random.Float64() < 1./perSession {
			return
		}
		time.Sleep(seconds(random.ExpFloat64() * between.Seconds()))
	}
}

func (c *crowd) address(person int) oauth.Address {
	return oauth.Address{Local: "person" + strconv.Itoa(person), Domain: domainName(c.w.home(person))}
}

// flow is what the engine does with a claims token that is fine, but for the
// cryptography: find the provider and the key, and confirm them by a grant.
func (c *crowd) flow(person int, a oauth.Address) {
	start := time.Now()
	kid := kid(c.w.epoch(c.w.issuer(a.Domain), start))
	found, err := c.finder.Find(context.Background(), a, discovery.Query{Source: c.source(person)})
	lookedUp := time.Since(start)
	if err == nil {
		_, err = found.Keys.Key(context.Background(), kid, "RS256")
	}
	if err == nil {
		c.finder.Confirm(a, found)
	}
	c.tally.flow(visit{
		person: person, domain: a.Domain, works: c.w.works(a.Domain),
		lookedUp: lookedUp, took: time.Since(start), err: err,
	})
}

func (c *crowd) source(person int) string {
	if c.clients > 0 {
		person %= c.clients
	}
	return address(100<<24, person)
}

func address(block uint32, n int) string {
	x := block + uint32(n)
	return limit.Source(netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)}).String())
}

// attack is what somebody does who wants others to wait.
type attack struct {
	name    string
	what    string
	rate    float64 // tokens a second
	sources int
	target  func(w *world, n int) oauth.Address
}

func invented(domains int, name string) func(*world, int) oauth.Address {
	return func(_ *world, n int) oauth.Address {
		return oauth.Address{Local: "x", Domain: fmt.Sprintf("x%d.%s%d.example", n, name, n%domains)}
	}
}

// within names somebody new at one of the domains of the first ranks.
func within(domains int) func(*world, int) oauth.Address {
	return func(w *world, n int) oauth.Address {
		d := w.hash("target", strconv.Itoa(n)) % uint64(min(domains, len(w.cdf)))
		return oauth.Address{Local: "x" + strconv.Itoa(n), Domain: domainName(int(d))}
	}
}

// people names those who are there, with keys that are not.
func people(number int) func(*world, int) oauth.Address {
	return func(w *world, n int) oauth.Address {
		person := int(w.hash("target", strconv.Itoa(n)) % uint64(number))
		return oauth.Address{Local: "person" + strconv.Itoa(person), Domain: domainName(w.home(person))}
	}
}

func attacks(number int) []attack {
	return []attack{
		{"one source", "invented subdomains of one domain, from one address", 50, 1, invented(1, "evil")},
		{"many sources", "invented subdomains of 1,000 domains, from 10,000 addresses; the answers fill the caches with the largest keys", 50, 10_000, invented(1000, "evil")},
		{"tar pits", "the same, but nobody answers", 50, 10_000, invented(1000, "tar")},
		{"real domains", "invented people at any of the domains, from 10,000 addresses", 50, 10_000, within(1 << 30)},
		{"large domains", "invented people at the 1,000 largest domains, from 10,000 addresses", 50, 10_000, within(large)},
		{"unknown kids", "people who are there, with unknown kids, from 10,000 addresses", 50, 10_000, people(number)},
	}
}

// run sends tokens, from some minutes before what counts until the end.
func (a attack) run(c *crowd) {
	warmUp := time.Until(c.measured)
	time.Sleep(warmUp - min(warmUp/4, 10*time.Minute))
	random := rand.New(rand.NewPCG(c.w.seed, c.w.hash(a.name))) //nolint:gosec // a simulation
	for n := 0; ; n++ {
		time.Sleep(seconds(random.ExpFloat64() / a.rate))
		if !time.Now().Before(c.until) {
			return
		}
		c.running.Go(func() { a.one(c, n) })
	}
}

func (a attack) one(c *crowd, n int) {
	q := discovery.Query{Source: address(50<<24, n%a.sources)}
	found, err := c.finder.Find(context.Background(), a.target(c.w, n), q)
	if err == nil {
		_, err = found.Keys.Key(context.Background(), "forged-"+strconv.Itoa(n), "RS256")
	}
	c.tally.attack(err)
}
