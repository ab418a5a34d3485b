package oauth

import (
	"errors"
	"net/url"
	"strings"
)

// ErrIssuer says that a text is no issuer identifier.
var ErrIssuer = errors.New("must be an https URL without query or fragment")

// ParseIssuer reads an issuer identifier (RFC 8414 §2): https, a host in lower
// case, optional port and path, no query, fragment or user information. A
// spelling that another program could normalise is refused, because issuers are
// compared as strings.
func ParseIssuer(s string) (*url.URL, error) {
	u, err := parseCanonical(s)
	if err != nil {
		return nil, ErrIssuer
	}
	return u, nil
}

// WellKnownPaths gives the two paths at which metadata of an issuer stands: UMA
// and OpenID Connect append to the issuer's path, RFC 8414 §3 inserts before it
// (CONFORMANCE A21). They are equal for an issuer without a path.
func WellKnownPaths(issuer *url.URL, name string) (appended, inserted string) {
	path := strings.TrimSuffix(issuer.Path, "/")
	return path + "/.well-known/" + name, "/.well-known/" + name + path
}

// WellKnownURL is the URL of metadata, with the name appended to the issuer.
func WellKnownURL(issuer, name string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/" + name
}
