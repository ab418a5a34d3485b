package oauth

import (
	"errors"
	"net/url"
	"path"
	"strconv"
	"strings"
)

var errNotCanonical = errors.New("not a canonical https URL")

// ErrResource says that a text is no resource identifier.
var ErrResource = errors.New("must be a canonical https URL without query or fragment")

// ParseResource reads the identifier of a resource server (RFC 8707 §2,
// RFC 9728 §1.2; canonical form: CONFORMANCE A27).
func ParseResource(s string) (*url.URL, error) {
	u, err := parseCanonical(s)
	if err != nil {
		return nil, ErrResource
	}
	return u, nil
}

// parseCanonical accepts exactly one spelling of an https URL: lower-case
// scheme and host, no default port, no trailing dot, no dot segment or empty
// segment, no escapes, no user information, query or fragment.
func parseCanonical(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https", host == "", u.Opaque != "", u.User != nil,
		u.RawQuery != "", u.ForceQuery, u.Fragment != "", strings.Contains(s, "#"),
		u.Host != strings.ToLower(u.Host), strings.HasSuffix(host, "."),
		!plainPort(u.Port()), strings.HasSuffix(u.Host, ":"),
		strings.ContainsAny(s, "%\\ "), u.String() != s, !plainHost(host):
		return nil, errNotCanonical
	}
	if u.Path != "" && u.Path != "/" && path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") {
		return nil, errNotCanonical
	}
	return u, nil
}

// plainPort accepts no port, or one in its only spelling, but not the default.
func plainPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && n != 443 && strconv.FormatUint(n, 10) == port
}

func plainHost(host string) bool {
	for i := range len(host) {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != ':' {
			return false
		}
	}
	return true
}

// SameOrigin tells whether two URLs have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) &&
		portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return "80"
	}
}

// Covers tells whether target has the origin of prefix and lies below its path
// by whole segments: /api covers /api and /api/x, not /apix (CONFORMANCE A7,
// A27). A path that could be read in two ways is not covered by anything.
func Covers(prefix, target *url.URL) bool {
	if !SameOrigin(prefix, target) {
		return false
	}
	base := strings.TrimSuffix(prefix.Path, "/")
	if base == "" {
		return true
	}
	if ambiguous(target) {
		return false
	}
	return target.Path == base || strings.HasPrefix(target.Path, base+"/")
}

func ambiguous(u *url.URL) bool {
	escaped := strings.ToLower(u.EscapedPath())
	if strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%5c") ||
		strings.Contains(u.Path, "\\") || strings.Contains(u.Path, "//") {
		return true
	}
	clean := path.Clean("/" + u.Path)
	return clean != "/"+strings.Trim(u.Path, "/")
}
