package discovery

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// How many requests may be under way at once: so many slow hosts can hold us up,
// and so many of them can belong to one owner (SEC-09). Half of all for one
// network: large providers answer for many domains from one.
const (
	inAll      = 64
	perDomain  = 8
	perNetwork = 32
)

// How many may wait for a place; the next one is told to come again. They wait
// for a place in all while they hold one of their domain, never the other way
// round, so that a slow domain keeps nobody else waiting.
const (
	waitInAll     = 256
	waitPerDomain = 56
)

var errBusy = errors.New("too many requests are under way")

// budget bounds the requests that are under way.
type budget struct {
	all, domains, networks *gates
}

func newBudget() *budget {
	return &budget{
		all:      newGates(inAll, waitInAll),
		domains:  newGates(perDomain, waitPerDomain),
		networks: newGates(perNetwork, 0),
	}
}

// take waits for a place; done gives it back.
func (b *budget) take(ctx context.Context, host string) (done func(), err error) {
	left, err := b.domains.enter(ctx, registrable(host))
	if err != nil {
		return nil, err
	}
	leftAll, err := b.all.enter(ctx, "")
	if err != nil {
		left()
		return nil, err
	}
	return func() { leftAll(); left() }, nil
}

// dial takes a place in the network of an address. Nobody waits for it: he would
// do so in one of the places in all.
func (b *budget) dial(addr netip.Addr) (done func(), err error) {
	return b.networks.enter(context.Background(), network(addr))
}

// gates let so many in by each name at once.
type gates struct {
	places, waiting int

	mu     sync.Mutex
	byName map[string]*gate
}

// gate is there while somebody is in it or waits at it.
type gate struct {
	places chan struct{}
	users  int
}

func newGates(places, waiting int) *gates {
	return &gates{places: places, waiting: waiting, byName: map[string]*gate{}}
}

func (g *gates) enter(ctx context.Context, name string) (leave func(), err error) {
	at, ok := g.join(name)
	if !ok {
		return nil, errBusy
	}
	select {
	case at.places <- struct{}{}:
		return func() { <-at.places; g.part(name, at) }, nil
	case <-ctx.Done():
		g.part(name, at)
		return nil, errBusy
	}
}

func (g *gates) join(name string) (*gate, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.byName[name]
	if !ok {
		at = &gate{places: make(chan struct{}, g.places)}
		g.byName[name] = at
	}
	if at.users >= g.places+g.waiting {
		return nil, false
	}
	at.users++
	return at, true
}

func (g *gates) part(name string, at *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at.users--; at.users == 0 {
		delete(g.byName, name)
	}
}

// registrable is the part of a host name that somebody has registered:
// subdomains of it cost nothing and share its budget, in whatever spelling.
func registrable(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return network(addr)
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}

// network is what one owner of addresses has at least: the smallest block that
// is routed in the Internet.
func network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}
