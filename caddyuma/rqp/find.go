package rqp

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const nameFind = "finding the provider of the e-mail address"

// FindSTS finds the provider of an e-mail address as an authorization server
// does: by WebFinger at its domain (OpenID Connect Discovery §2), else the
// domain itself if it has a configuration. The domain was named by the user; the
// issuer that it names was not (STSLearned).
func FindSTS(ctx context.Context, email string, network Network) (issuer string, err error) {
	address, err := oauth.ParseAddress(email)
	if err != nil {
		return "", &StepError{Name: nameFind, Code: CodeUntrusted, Description: "this is no e-mail address that can be looked up"}
	}
	base := "https://" + address.Domain
	n := newNetwork(Config{Network: network}, []string{base})
	defer n.done()
	issuer, err = webFinger(ctx, n, base, address)
	if err == nil && issuer == "" {
		_, err = fetchMetadata(ctx, n, base, oauth.WellKnownOpenID, nil)
		issuer = base
	}
	if err != nil {
		err = at(0, nameFind, err)
		if e, ok := errors.AsType[*StepError](err); ok {
			e.Hint = "caddy uma doctor " + address.String() + ", which says where the way ends; or --sts ISSUER"
		}
		return "", err
	}
	return issuer, nil
}

// webFinger gives "" if the domain names no issuer (RFC 7033 §4.2). A server
// with a problem is not the same as one without an answer.
func webFinger(ctx context.Context, n *network, base string, address oauth.Address) (string, error) {
	u, err := url.Parse(oauth.WellKnownURL(base, oauth.WellKnownFinger))
	if err != nil {
		return "", untrusted("", "the domain makes no URL")
	}
	u.RawQuery = url.Values{"resource": {"acct:" + address.String()}, "rel": {oauth.RelIssuer}}.Encode()
	a, err := getFollowing(ctx, n, u)
	if err != nil {
		return "", err
	}
	if a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests {
		return "", badAnswer(u, a.status, "WebFinger does not work there")
	}
	if a.status != http.StatusOK || !a.isJSON() {
		return "", nil
	}
	return issuerLink(a)
}

// maxRedirects is how many redirects WebFinger may take.
const maxRedirects = 3

// getFollowing reads a public document and follows redirects, to https only
// (RFC 7033 §4.2): a domain often leaves WebFinger to its STS. Wherever a
// redirect leads is a stranger, even if its host was named (SEC-29); only the
// user's own ConnectTo counts there, too.
func getFollowing(ctx context.Context, n *network, u *url.URL) (*answer, error) {
	client := n.pick(u, nil)
	for left := maxRedirects; ; left-- {
		a, err := get(ctx, client, u)
		if err != nil || a.location == "" {
			return a, err
		}
		if left == 0 {
			return nil, badAnswer(u, a.status, "too many redirects")
		}
		if u, err = redirected(a); err != nil {
			return nil, err
		}
		client = n.far
	}
}

// redirected is where a redirect leads to; what else it must be is checked by
// the client for strangers.
func redirected(a *answer) (*url.URL, error) {
	u, err := a.from.Parse(a.location)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" {
		return nil, badAnswer(a.from, a.status, "it redirects to something that is no https URL")
	}
	return u, nil
}

// issuerLink reads the JRD (RFC 7033 §4.4): the first link of the relation.
func issuerLink(a *answer) (string, error) {
	var jrd struct {
		Links []struct {
			Rel  string `json:"rel"`
			Href string `json:"href"`
		} `json:"links"`
	}
	if err := a.decode(&jrd); err != nil {
		return "", err
	}
	for _, link := range jrd.Links {
		if link.Rel != oauth.RelIssuer {
			continue
		}
		if _, err := oauth.ParseIssuer(link.Href); err != nil {
			return "", badAnswer(a.from, a.status, "WebFinger names something that is no issuer")
		}
		return link.Href, nil
	}
	return "", nil
}
