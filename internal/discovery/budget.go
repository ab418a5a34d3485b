package discovery

import (
	"context"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// How many requests may be under way at once: so many slow hosts can hold us up,
// and so many of them can belong to one owner (SEC-09).
const (
	inAll     = 64
	perDomain = 8
)

// budget bounds the requests that are under way. Whoever finds it used up waits.
type budget struct {
	all chan struct{}

	mu       sync.Mutex
	byDomain map[string]*share
}

type share struct {
	slots chan struct{}
	users int
}

func newBudget() *budget {
	return &budget{all: make(chan struct{}, inAll), byDomain: map[string]*share{}}
}

// take waits for a place; done gives it back. The domain's own budget comes
// first, so that those who wait for a slow domain keep nobody else waiting.
func (b *budget) take(ctx context.Context, host string) (done func(), err error) {
	domain := registrable(host)
	s := b.join(domain)
	if err := enter(ctx, s.slots); err != nil {
		b.leave(domain, s)
		return nil, err
	}
	if err := enter(ctx, b.all); err != nil {
		<-s.slots
		b.leave(domain, s)
		return nil, err
	}
	return func() {
		<-b.all
		<-s.slots
		b.leave(domain, s)
	}, nil
}

func enter(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *budget) join(domain string) *share {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.byDomain[domain]
	if !ok {
		s = &share{slots: make(chan struct{}, perDomain)}
		b.byDomain[domain] = s
	}
	s.users++
	return s
}

func (b *budget) leave(domain string, s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(b.byDomain, domain)
	}
}

// registrable is the part of a host name that somebody has registered:
// subdomains of it cost nothing and share its budget.
func registrable(host string) string {
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}
