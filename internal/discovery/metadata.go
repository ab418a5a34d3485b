package discovery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// provider is what we need of an issuer's metadata.
type provider struct{ jwksURI string }

// provider gives the metadata of an issuer.
func (w *walk) provider(ctx context.Context, issuer string) (provider, error) {
	key := w.f.providerKey(w.rule, issuer)
	if w.warm {
		return w.f.issuers.get(key, nil)
	}
	return w.f.issuers.get(key, func() (provider, time.Duration, error) {
		w.asked = true
		p, err := w.f.configuration(ctx, w.f.segmentOf(w.f.issuers.isKept(key)), w.rule, issuer)
		if err != nil {
			return provider{}, keepFor(err), err
		}
		return p, w.f.cfg.MaxAge, nil
	})
}

// providerKey: what was learnt under an exception is kept apart from what a
// stranger may learn.
func (f *Finder) providerKey(rule Domain, issuer string) string {
	if f.rules.excepted(rule, issuer) {
		return "own " + issuer
	}
	return issuer
}

// configuration lets go-oidc ask for the document and compare its issuer
// (OpenID Connect Discovery §4.1, §4.3), over a transport that is our strict
// client and looks first: go-oidc has no limits, takes the last of two equal
// members and does not care for their case.
func (f *Finder) configuration(ctx context.Context, in *segment, rule Domain, issuer string) (provider, error) {
	t := &transport{f: f, in: in, rule: rule}
	_, err := oidc.NewProvider(oidc.ClientContext(ctx, &http.Client{Transport: t}), issuer)
	if failed := (*lookupError)(nil); errors.As(err, &failed) {
		return provider{}, failed
	}
	if mismatch := (*oidc.IssuerMismatchError)(nil); errors.As(err, &mismatch) || t.doc.Issuer != issuer {
		return provider{}, final("the configuration is of another issuer", forWrong).because(err)
	}
	if err != nil {
		return provider{}, final("the configuration is not acceptable", forWrong).because(err)
	}
	if !isKeysURI(t.doc.JWKSURI) {
		return provider{}, final("the configuration has no acceptable jwks_uri", forWrong)
	}
	return provider{jwksURI: t.doc.JWKSURI}, nil
}

// isKeysURI: https and a host; a query is in use with large providers.
func isKeysURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxURL && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Opaque == "" && !strings.Contains(s, "#")
}

// transport is the network as go-oidc sees it: one GET that gives a small, well
// formed JSON object, or a failure.
type transport struct {
	f    *Finder
	in   *segment
	rule Domain
	doc  struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.f.fetch(r.Context(), t.in, t.rule, AskConfiguration, outbound.Request{URL: r.URL.String(), Accept: "application/json"})
	if err != nil {
		return nil, err
	}
	if err := t.read(resp); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(resp.Status), StatusCode: resp.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(resp.Body)),
		ContentLength: int64(len(resp.Body)),
		Request:       r,
	}, nil
}

// read: OpenID Connect Discovery §4.2, a 200 with a JSON object as
// application/json and nothing else (CONFORMANCE OD-07).
func (t *transport) read(resp *outbound.Response) error {
	switch {
	case isTemporary(resp.Status):
		return temporary("the configuration is unavailable", forStatus)
	case resp.Status >= 400:
		return final("there is no configuration", forStatus)
	case resp.Status != http.StatusOK:
		return final("the configuration comes with an unexpected status", forWrong)
	case resp.ContentType != "application/json":
		return final("the configuration is not JSON", forWrong)
	}
	if err := oauth.DecodeObject(resp.Body, &t.doc); err != nil {
		return final("the configuration is not an acceptable JSON object", forWrong).because(err)
	}
	return nil
}

var _ http.RoundTripper = (*transport)(nil)
