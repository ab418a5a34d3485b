package discovery

import (
	"context"
	"errors"
	"net/url"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// walk is one look-up for one address.
type walk struct {
	f       *Finder
	rule    Domain
	address oauth.Address
	warm    bool // only the caches may be asked
	asked   bool // the network was asked, not only the caches
}

// run finds the provider and tells about it, if the network was asked.
func (w *walk) run(ctx context.Context) (Found, error) {
	found, err := w.find(ctx)
	if w.asked {
		w.f.cfg.Observe(ctx, w.event(found, err))
	}
	return found, err
}

func (w *walk) event(found Found, err error) event.Discovery {
	e := event.Discovery{Domain: w.address.Domain, IssuerFound: found.Issuer, Evidence: found.Evidence, Outcome: event.Granted}
	if err == nil {
		return e
	}
	e.Outcome, e.Reason = event.Refused, "no provider"
	if errors.Is(err, ErrTemporary) {
		e.Outcome = event.Failed
	}
	if failed := (*lookupError)(nil); errors.As(err, &failed) {
		e.Reason = failed.reason
	}
	w.f.debug("discovery failed", e.Domain, err)
	return e
}

// debug is the only place where a cause is told.
func (f *Finder) debug(what, domain string, err error) {
	if failed := (*lookupError)(nil); errors.As(err, &failed) {
		f.cfg.Log.Debug(what, zap.String("domain", domain), zap.String("reason", failed.reason), zap.Error(failed.cause))
	}
}

func (w *walk) find(ctx context.Context) (Found, error) {
	if w.rule.NoWebFinger {
		return w.at(ctx, w.rule.BaseURL, ByPin)
	}
	issuer, err := w.delegation(ctx)
	if err != nil {
		return Found{}, err
	}
	if issuer != "" {
		// A13, SEC-27: who has delegated once does not fall back any more; else
		// whoever makes WebFinger say no would choose another issuer.
		w.f.delegates.add(w.address.Domain)
		return w.at(ctx, issuer, ByWebFinger)
	}
	if w.f.delegates.has(w.address.Domain) {
		return Found{}, noFallback()
	}
	if w.f.cfg.NoDocument {
		return Found{}, final("no issuer by WebFinger, and the fallback is off", forWrong)
	}
	return w.at(ctx, w.rule.base(w.address.Domain), ByDocument)
}

// at gives the provider at an issuer, which from here on is the only one.
func (w *walk) at(ctx context.Context, issuer, evidence string) (Found, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return Found{}, final("the issuer is not a URL", forWrong)
	}
	// CA-EXT-11 (A14): the paper's rule, no issuer on another host.
	if w.rule.SameDomain && u.Hostname() != w.address.Domain {
		return Found{}, final("the issuer is on another host than the domain", forWrong)
	}
	p, err := w.provider(ctx, issuer)
	if err != nil {
		return Found{}, err
	}
	return Found{Issuer: issuer, JWKSURI: p.jwksURI, Evidence: evidence}, nil
}
