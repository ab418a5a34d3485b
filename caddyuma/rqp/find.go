package rqp

import (
	"context"
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
	issuer, err = webFinger(ctx, n, base, address)
	if err == nil && issuer == "" {
		_, err = fetchMetadata(ctx, n, base, oauth.WellKnownOpenID, nil)
		issuer = base
	}
	if err != nil {
		err = at(0, nameFind, err)
		if e, ok := err.(*StepError); ok {
			e.Hint = "--sts ISSUER"
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
	a, err := get(ctx, n.pick(u, nil), u)
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
