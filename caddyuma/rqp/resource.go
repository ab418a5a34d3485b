package rqp

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxDepth is how many places are asked for metadata of a resource.
const maxDepth = 12

// target is for what and for where an RPT is wanted.
type target struct {
	// audience is the `resource` of the exchange: a URI or a logical name.
	audience string
	// prefix is where the RPT may be sent.
	prefix *url.URL
	asURI  string
}

// target finds the name of the resource behind u and checks that the origin of
// u vouches for the authorization server of the challenge (CONFORMANCE A7,
// CA-44, CA-46). What the challenge says is only ever compared.
func (c *Client) target(ctx context.Context, u *url.URL, asURI string) (*target, error) {
	pins, pinned := c.pins[originOf(u)]
	if pinned && !slices.Contains(pins, asURI) {
		return nil, untrusted("the pinned authorization server, or another pin",
			"%s names the authorization server %s, which is not pinned for it", u.Host, plain(asURI, 200))
	}
	name, bound := c.name(u)
	if bound && pinned {
		return &target{audience: name.name, prefix: name.prefix, asURI: asURI}, nil
	}
	doc, prefix, err := c.document(ctx, u)
	if err != nil {
		return nil, err
	}
	if doc.DPoPRequired && !c.cfg.DPoP { // RFC 9728 §2; found out before a ticket is spent
		return nil, untrusted(hintDPoP, "the resource takes no bearer tokens")
	}
	if !pinned && !slices.Contains(doc.AuthorizationServers, asURI) {
		return nil, untrusted("asking who runs the resource: a page there may be somebody else's",
			"the metadata of %s do not list the authorization server %s of its challenge", originOf(u), plain(asURI, 200))
	}
	if bound {
		return &target{audience: name.name, prefix: name.prefix, asURI: asURI}, nil
	}
	return &target{audience: doc.Resource, prefix: prefix, asURI: asURI}, nil
}

// name finds the logical name that the configuration binds to u: the longest
// prefix wins.
func (c *Client) name(u *url.URL) (binding, bool) {
	var best binding
	for _, b := range c.names {
		if oauth.Covers(b.prefix, u) && (best.prefix == nil || len(b.prefix.Path) > len(best.prefix.Path)) {
			best = b
		}
	}
	return best, best.prefix != nil
}

// document reads the metadata of the resource at the well-known URL that is
// built from u, and from its parents up to the origin.
func (c *Client) document(ctx context.Context, u *url.URL) (*oauth.ResourceMetadata, *url.URL, error) {
	for _, id := range identifiers(u, c.cfg.Strict) {
		doc, err := c.documentOf(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if doc != nil {
			return c.fits(doc, id, u)
		}
	}
	return nil, nil, untrusted("asking the operator to switch resource metadata on",
		"%s publishes no metadata of a protected resource for this URL (RFC 9728)", originOf(u))
}

// documentOf gives nil where there is no document. A redirect, a page or a 4xx
// is none; that a server has a problem must not move the question to the parent.
func (c *Client) documentOf(ctx context.Context, id *url.URL) (*oauth.ResourceMetadata, error) {
	place := *id
	place.Path = "/.well-known/" + oauth.WellKnownResource + strings.TrimSuffix(id.Path, "/")
	place.RawPath = ""
	a, err := get(ctx, c.net.pick(&place, id), &place)
	if err != nil {
		return nil, err
	}
	if a.status >= http.StatusInternalServerError {
		return nil, badAnswer(&place, a.status, "the metadata of the resource cannot be read")
	}
	if a.status != http.StatusOK || !a.isJSON() {
		return nil, nil
	}
	var doc oauth.ResourceMetadata
	if err := a.decode(&doc); err != nil {
		return nil, err
	}
	c.trace(0, "client: metadata of the resource at %s", where(&place))
	return &doc, nil
}

// fits: RFC 9728 §3.3, the resource must be the one that the URL was built
// from; and it must cover the URL that was called (CONFORMANCE OA-27).
func (c *Client) fits(doc *oauth.ResourceMetadata, id, called *url.URL) (*oauth.ResourceMetadata, *url.URL, error) {
	prefix, err := oauth.ParseResource(doc.Resource)
	same := err == nil && strings.TrimSuffix(doc.Resource, "/") == strings.TrimSuffix(id.String(), "/")
	if same && c.cfg.Strict && strings.Trim(id.Path, "/") != "" {
		same = doc.Resource == id.String()
	}
	if !same || !oauth.Covers(prefix, called) {
		return nil, nil, untrusted("asking who runs the resource", "the metadata of %s are of another resource than %s", originOf(called), where(id))
	}
	return doc, prefix, nil
}

// identifiers lists the resource identifiers that cover u, the longest first
// and the origin last; a strict client knows u itself only. Paths with more than
// one reading have no identifier.
func identifiers(u *url.URL, strict bool) []*url.URL {
	path, origin := u.EscapedPath(), originOf(u)
	if !strict {
		path = strings.TrimSuffix(path, "/")
	}
	var ids []*url.URL
	for {
		if id, err := oauth.ParseResource(origin + path); err == nil && oauth.Covers(id, u) {
			ids = append(ids, id)
		}
		if strict || path == "" {
			break
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
	if len(ids) > maxDepth { // keep the URL itself and what is next to the origin
		ids = append(ids[:1], ids[len(ids)-maxDepth+1:]...)
	}
	return ids
}
