package discovery

import (
	"net/netip"
	"time"
)

// Remembered is how many addresses and issuers are in memory.
func (f *Finder) Remembered() (addresses, issuers int) { return f.addresses.len(), f.issuers.len() }

// Running is how many look-ups run, and how many requests are under way or wait
// for their place.
func (f *Finder) Running() (lookups, places int) {
	for _, s := range []*segment{&f.open, &f.near, &f.kept} {
		s.walks.mu.Lock()
		lookups += len(s.walks.running)
		s.walks.mu.Unlock()
		for _, g := range []*gates{s.budget.all, s.budget.domains, s.budget.networks} {
			g.mu.Lock()
			for _, at := range g.byName {
				places += at.users
			}
			g.mu.Unlock()
		}
	}
	return lookups, places
}

// Admit asks the rates for strangers.
func (f *Finder) Admit(source, host string) error { return f.open.admit(source, host) }

// Dial asks for a connection of a stranger to an address.
func (f *Finder) Dial(addr netip.Addr) (func(), error) { return f.open.dial(addr) }

// Fill remembers an address and an issuer, as a look-up would.
func (f *Finder) Fill(address, domain, issuer, jwksURI string, until time.Time) {
	f.addresses.put(address, remembered[string]{value: issuer, until: until})
	f.issuers.put(issuer, remembered[provider]{value: provider{jwksURI: jwksURI}, until: until})
	f.delegates.add(domain)
	f.known.add(knownKey(domain, issuer))
}

// Registrable and Network are the names of budgets.
var (
	Registrable = registrable
	Network     = network
)
