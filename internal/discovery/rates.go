package discovery

import (
	"errors"
	"net/netip"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
)

// How many look-ups of what never led to a grant may begin in a minute (SEC-09).
// What is in the caches is free, and so is joining a look-up that runs.
const (
	// newPerSource is what one client may ask of the token endpoint anyway.
	newPerSource = 60
	// newInAll is enough for 100 flows a second of people from everywhere
	// (docs/internet.md: with 600 more than half of those from new domains were
	// refused), and few enough requests of ours not to matter to us.
	newInAll = 1800
	// newPerDomain and newPerNetwork make of us no tool to flood others with.
	newPerDomain  = 300
	newPerNetwork = 600
	// nearFactor: every fifth flow is by somebody who was not there in the last
	// quarter of an hour, so this is enough for 600 flows a second, more than a node
	// of two cores carries (docs/internet.md).
	nearFactor = 4
	// nearPerSource: one application, which many people use, is one source.
	nearPerSource = 10
	// nearParts: one source has no more than this part of what a known domain has,
	// or a single one that invents people there would keep out all who are new.
	nearParts = 5

	rateWindow = time.Minute
	// rateNames is how many sources, domains or networks are remembered; the
	// others share buckets.
	rateNames = 10_000
)

var errOften = errors.New("too many look-ups")

// rates are the budgets of new look-ups.
type rates struct {
	sources, domains, networks, all *limit.Limiter
	pairs                           *limit.Limiter // a source at a domain; nil: no bound of its own
}

// newRates: one domain has no more than half, whoever asks for it. A look-up
// takes two or three connections, so 10000 invented domains on one host have
// less than half as well.
func newRates(cfg Config) rates {
	bound := func(n int) *limit.Limiter { return limit.New(n, rateWindow, rateNames, cfg.Now) }
	return rates{
		sources: bound(cfg.NewPerSource), all: bound(cfg.NewInAll),
		domains:  bound(min(max(cfg.NewInAll/2, 1), newPerDomain)),
		networks: bound(min(cfg.NewInAll, newPerNetwork)),
	}
}

// nearRates are the budgets at domains where somebody had a grant: more, as people come
// from there, and apart from what a stranger can use up with invented domains.
func nearRates(cfg Config) rates {
	bound := func(n int) *limit.Limiter { return limit.New(n, rateWindow, rateNames, cfg.Now) }
	all, domain := nearFactor*cfg.NewInAll, min(cfg.NewInAll, 2*newPerDomain)
	return rates{
		sources: bound(nearPerSource * cfg.NewPerSource), all: bound(all),
		domains: bound(domain), networks: bound(max(all/2, 1)), pairs: bound(max(domain/nearParts, 1)),
	}
}

// admit takes one look-up at a host. The narrow budgets come first: who has used
// up his own takes nothing from the others.
func (r rates) admit(source, host string) error {
	domain := registrable(host)
	for _, b := range []struct {
		budget *limit.Limiter
		name   string
	}{{r.pairs, source + " " + domain}, {r.sources, source}, {r.domains, domain}, {r.all, ""}} {
		if ok, _ := b.budget.Allow(b.name); !ok {
			return temporary(errOften.Error(), 0).because(errOften)
		}
	}
	return nil
}

// admit asks the rates of the segment, if it has any.
func (s *segment) admit(source, host string) error {
	if s.rates == nil {
		return nil
	}
	return s.rates.admit(source, host)
}

// dial counts a connection to an address. One that finds no place is none.
func (s *segment) dial(addr netip.Addr) (done func(), err error) {
	done, err = s.budget.dial(addr)
	if err != nil || s.rates == nil {
		return done, err
	}
	if err := s.rates.dial(addr); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

func (r rates) dial(addr netip.Addr) error {
	if ok, _ := r.networks.Allow(network(addr)); !ok {
		return errOften
	}
	return nil
}
