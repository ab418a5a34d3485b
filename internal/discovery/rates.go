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
	// newInAll makes thousands of people known in the time for which they stay
	// known, and makes of us no tool to flood others with.
	newInAll = 600

	rateWindow = time.Minute
	// rateNames is how many sources, domains or networks are remembered; the
	// others share buckets.
	rateNames = 10_000
)

var errOften = errors.New("too many look-ups")

// rates are the budgets of new look-ups.
type rates struct {
	sources, domains, networks, all *limit.Limiter
}

// newRates: one domain has no more than half, whoever asks for it. A look-up
// takes two or three connections, so 10000 invented domains on one host have
// less than half as well.
func newRates(cfg Config) rates {
	bound := func(n int) *limit.Limiter { return limit.New(n, rateWindow, rateNames, cfg.Now) }
	return rates{
		sources: bound(cfg.NewPerSource), all: bound(cfg.NewInAll),
		domains: bound(max(cfg.NewInAll/2, 1)), networks: bound(cfg.NewInAll),
	}
}

// admit takes one look-up at a host. The narrow budgets come first: who has used
// up his own takes nothing from the others.
func (r rates) admit(source, host string) error {
	for _, b := range []struct {
		budget *limit.Limiter
		name   string
	}{{r.sources, source}, {r.domains, registrable(host)}, {r.all, ""}} {
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
