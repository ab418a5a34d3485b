package discovery

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// issuerRel is the link relation of OpenID Connect Discovery §2.
const issuerRel = "http://openid.net/specs/connect/1.0/issuer"

// maxURL is how long an issuer or jwks_uri of a stranger may be. They are
// remembered, by the ten thousand.
const maxURL = 1024

// delegation asks WebFinger which issuer speaks for this address; "" is a
// definite no. The answer counts for this address alone (A14): a provider may
// give its people different issuers.
func (w *walk) delegation(ctx context.Context) (string, error) {
	if w.warm {
		return w.f.addresses.get(w.address.String(), nil)
	}
	return w.f.addresses.get(w.address.String(), func() (string, time.Duration, error) {
		w.asked = true
		issuer, keep, err := w.finger(ctx)
		if err == nil && issuer == "" {
			err = w.mayFallBack(ctx)
		}
		if err != nil {
			return "", keepFor(err), err
		}
		return issuer, keep, nil
	})
}

func (w *walk) finger(ctx context.Context) (issuer string, keep time.Duration, err error) {
	resp, err := w.f.fetch(ctx, w.f.segmentFor(w.address), w.rule, AskWebFinger, outbound.Request{
		URL:       webFingerURL(w.rule.base(w.address.Domain), w.address),
		Accept:    "application/jrd+json, application/json",
		Redirects: 3, // RFC 7033 §4.2: to https only
	})
	if err != nil {
		return "", 0, err
	}
	return w.f.readWebFinger(resp)
}

// ledgerTime bounds a question to the ledger.
const ledgerTime = 5 * time.Second

// mayFallBack asks the ledger. Who cannot find out does not fall back.
func (w *walk) mayFallBack(ctx context.Context) error {
	domain := w.address.Domain
	if w.f.cfg.Ledger == nil || w.f.cfg.NoDocument || w.f.delegates.has(domain) {
		return nil // find decides
	}
	ctx, cancel := context.WithTimeout(ctx, ledgerTime)
	defer cancel()
	was, err := w.f.cfg.Ledger.WasDelegated(ctx, domain)
	switch {
	case err != nil:
		return temporary("the ledger of domains cannot be read", forConnect).because(err)
	case was:
		return noFallback()
	}
	return nil
}

func noFallback() *lookupError {
	return final("the domain delegates, but not this address", forWrong)
}

// webFingerURL is the query of RFC 7033 §4.1 for OpenID Connect Discovery §2.
// Every character that is not unreserved is escaped: local parts may hold + and
// & (CONFORMANCE OD-01).
func webFingerURL(base string, a oauth.Address) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	// RFC 7033 §4: the well-known URL is at the root of the host.
	return u.Scheme + "://" + u.Host + "/.well-known/webfinger?resource=" +
		escape("acct:"+a.String()) + "&rel=" + escape(issuerRel)
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// readWebFinger tells a delegation from a definite no, and both from what may
// be different in a moment (A13).
func (f *Finder) readWebFinger(resp *outbound.Response) (issuer string, keep time.Duration, err error) {
	switch status := resp.Status; {
	case isTemporary(status):
		return "", 0, temporary("WebFinger is unavailable", forStatus)
	case status >= 400:
		return "", forStatus, nil
	case status < 200 || status > 299:
		return "", 0, final("WebFinger answers with an unexpected status", forWrong)
	}
	// RFC 7033 §4.4: a JRD is application/jrd+json. Anything else is the
	// catch-all page of a site that knows no 404.
	if resp.ContentType != "application/jrd+json" && resp.ContentType != "application/json" {
		return "", forWrong, nil
	}
	// JSON that stops in the middle is an accident, or an attack on the choice
	// between WebFinger and fallback; not a no.
	if bytes.HasPrefix(bytes.TrimLeft(resp.Body, " \t\r\n"), []byte("{")) && !json.Valid(resp.Body) {
		return "", 0, temporary("the WebFinger answer is cut off", forStatus)
	}
	issuer, linked, err := issuerLink(resp.Body)
	switch {
	case err != nil:
		return "", 0, err
	case !linked:
		return "", forWrong, nil
	}
	return issuer, f.cfg.MaxAge, nil
}

// issuerLink reads a JRD. Unknown members are ignored, and so are subject and
// aliases: they do not change whom the question was about (CONFORMANCE OD-04).
func issuerLink(body []byte) (issuer string, linked bool, err error) {
	var jrd struct {
		Links []struct {
			Rel  any `json:"rel"`
			Href any `json:"href"`
		} `json:"links"`
	}
	if err := oauth.DecodeObject(body, &jrd); err != nil {
		return "", false, nil //nolint:nilerr // something else than a JRD is a definite no (A13)
	}
	for _, link := range jrd.Links {
		if link.Rel != issuerRel {
			continue
		}
		// The first one counts. OpenID Connect Discovery §2: https, no query,
		// fragment or user information; a bad one is not a missing one.
		href, _ := link.Href.(string)
		if _, err := oauth.ParseIssuer(href); err != nil || len(href) > maxURL {
			return "", true, final("the issuer link is not an issuer", forWrong)
		}
		return href, true, nil
	}
	return "", false, nil
}
