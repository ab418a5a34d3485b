package discovery

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// What a step of a look-up asks for.
const (
	AskWebFinger     = "webfinger"
	AskConfiguration = "configuration"
	AskKeys          = "keys"
)

// Step is one question of a look-up, with all that is known of the answer. Much
// of it was written by a stranger.
type Step struct {
	Ask  string // webfinger, configuration, keys
	URL  string
	Hops []outbound.Hop // one more for each redirect
	// Response is nil if there is none; Cause then says why.
	Response *outbound.Response
	Cause    error
	Took     time.Duration
	// Err is why the look-up ends here: ErrNoIssuer or ErrTemporary, wrapped.
	Err error
}

// Report is how a look-up went.
type Report struct {
	Steps []Step
	Found Found
	// Keys of the provider that may verify something.
	Keys jose.Set
	// Err is why there is no provider, or no key set.
	Err error
}

// Nobody is an address that nobody of a domain has: whom to ask about the domain alone.
func Nobody(domain string) oauth.Address {
	return oauth.Address{Local: "nobody-" + strings.ToLower(rand.Text()[:12]), Domain: domain}
}

// Examine looks an address up as Find does, with nothing remembered from before,
// and fetches the keys as well. It tells of each step, for somebody who wants to
// know what is wrong with his domain. An error means that cfg is wrong.
func Examine(ctx context.Context, cfg Config, a oauth.Address) (Report, error) {
	f, err := New(cfg)
	if err != nil {
		return Report{}, err
	}
	f.examined = new(examined)
	var r Report
	if r.Found, r.Err = f.Find(ctx, a, Query{}); r.Err == nil {
		r.Keys, r.Err = f.examineKeys(ctx, a, r.Found.JWKSURI)
	}
	r.Steps = f.examined.end(r.Err)
	return r, nil
}

func (f *Finder) examineKeys(ctx context.Context, a oauth.Address, uri string) (jose.Set, error) {
	text, err := f.fetchKeys(ctx, &f.open, uri, f.rules.excepted(f.Rule(a.Domain), uri))
	if err != nil {
		return nil, err
	}
	keys, err := jose.ParseJWKS(text)
	if err != nil {
		return nil, final("the key set is not acceptable", forWrong).because(err)
	}
	return keys, nil
}

// ExamineWebFinger asks WebFinger alone.
func ExamineWebFinger(ctx context.Context, cfg Config, a oauth.Address) (Step, error) {
	f, err := New(cfg)
	if err != nil {
		return Step{}, err
	}
	f.examined = new(examined)
	w := &walk{f: f, rule: f.Rule(a.Domain), address: a}
	_, _, err = w.finger(ctx)
	return f.examined.end(err)[0], nil
}

// examined collects the steps of one look-up. nil collects nothing.
type examined struct {
	mu    sync.Mutex // a look-up may outlive the one who waits for it
	steps []Step
}

// watch prepares a request; done is to be called with its answer.
func (e *examined) watch(ask string, r *outbound.Request, now func() time.Time) (done func(*outbound.Response, error)) {
	if e == nil {
		return func(*outbound.Response, error) {}
	}
	s, start := Step{Ask: ask, URL: r.URL}, now()
	r.Watch = func(h outbound.Hop) { s.Hops = append(s.Hops, h) }
	return func(resp *outbound.Response, err error) {
		s.Response, s.Cause, s.Took = resp, err, now().Sub(start)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.steps = append(e.steps, s)
	}
}

// end gives the steps; the last one is where it went wrong, if it did.
func (e *examined) end(err error) []Step {
	e.mu.Lock()
	defer e.mu.Unlock()
	steps := append([]Step(nil), e.steps...)
	if len(steps) > 0 {
		steps[len(steps)-1].Err = err
	}
	return steps
}

// Reason is why a look-up failed, in our words; "" for what is no error of one.
func Reason(err error) string {
	if failed := (*lookupError)(nil); errors.As(err, &failed) {
		return failed.reason
	}
	return ""
}

// Detail is the cause of a failed look-up. It may quote a stranger.
func Detail(err error) error {
	if failed := (*lookupError)(nil); errors.As(err, &failed) {
		return failed.cause
	}
	return nil
}
