package rqp

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	docAge  = 5 * time.Minute
	maxDocs = 256
)

// docCache remembers metadata of issuers that passed the checks.
type docCache struct {
	now  func() time.Time
	mu   sync.Mutex
	docs map[string]cachedDoc
}

type cachedDoc struct {
	doc   *oauth.Metadata
	until time.Time
}

func (d *docCache) get(key string) *oauth.Metadata {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.docs[key]; ok && d.now().Before(c.until) {
		return c.doc
	}
	return nil
}

func (d *docCache) put(key string, doc *oauth.Metadata) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.docs == nil || len(d.docs) >= maxDocs {
		d.docs = map[string]cachedDoc{}
	}
	d.docs[key] = cachedDoc{doc, d.now().Add(docAge)}
}

// metadata gives the checked metadata of an issuer. They are cached per issuer
// and kind: nothing of one server is used for another (CONFORMANCE SEC-17).
func (c *Client) metadata(ctx context.Context, issuer, kind string, called *url.URL) (*oauth.Metadata, error) {
	key := kind + " " + issuer
	if doc := c.docs.get(key); doc != nil {
		return doc, nil
	}
	doc, err := fetchMetadata(ctx, c.net, issuer, kind, called)
	if err != nil {
		return nil, err
	}
	c.docs.put(key, doc)
	c.trace(0, "client: metadata of %s at /.well-known/%s, issuer is right", plain(issuer, 200), kind)
	return doc, nil
}

// fetchMetadata reads the metadata of an issuer and requires an equal issuer in
// them (RFC 8414 §3.3; CONFORMANCE CA-45, OD-14).
func fetchMetadata(ctx context.Context, n *network, issuer, kind string, called *url.URL) (*oauth.Metadata, error) {
	u, err := url.Parse(oauth.WellKnownURL(issuer, kind))
	if err != nil {
		return nil, untrusted("", "the issuer is no URL")
	}
	a, err := get(ctx, n.pick(u, called), u)
	if err != nil {
		return nil, err
	}
	var doc oauth.Metadata
	if err := a.decode(&doc); err != nil {
		return nil, err
	}
	if doc.Issuer != issuer {
		e := untrusted("asking who runs that server: somebody there speaks for another issuer",
			"the metadata at %s are of another issuer than %s", where(u), plain(issuer, 200))
		return nil, e
	}
	return &doc, nil
}

// endpoint checks the URL of an endpoint: https, no credentials, no fragment.
func endpoint(doc *oauth.Metadata, name, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" || strings.Contains(value, "#") {
		return nil, untrusted("", "the metadata of %s have no usable %s", plain(doc.Issuer, 200), name)
	}
	return u, nil
}
