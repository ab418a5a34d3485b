package dpop

import (
	"errors"
	"net/url"
	"strings"
)

var errURI = errors.New("not an absolute http or https URI")

// normalize gives the one spelling of a URI without query and fragment: RFC 9449
// §4.3 asks for syntax-based and scheme-based normalization (RFC 3986 §6.2.2,
// §6.2.3). Two slashes in a row stay two, and an escaped slash stays escaped:
// servers may tell them apart.
func normalize(s string) (string, error) {
	if strings.ContainsFunc(s, notInURI) {
		return "", errURI
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || strings.ContainsFunc(u.Host, notInHost) {
		return "", errURI
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", errURI
	}
	host = strings.TrimSuffix(host, ":")
	if host == "" {
		return "", errURI
	}
	return u.Scheme + "://" + host + removeDots(unescape(u.EscapedPath())), nil
}

// notInURI are the characters that RFC 3986 §2 has not. Parsers repair them, each
// in its own way.
func notInURI(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}

// notInHost: an escape in a host, decoded or not, is no name that we have.
func notInHost(r rune) bool { return r == '%' || notInURI(r) }

// unescape decodes what need not be escaped, and writes the rest in upper case
// (RFC 3986 §6.2.2.1, §6.2.2.2). The escapes are known to be well-formed.
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		c := nibble(path[i+1])<<4 | nibble(path[i+2])
		if unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// removeDots removes dot segments (RFC 3986 §5.2.4); no path is the path /.
func removeDots(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var kept []string
	for i, s := range segments {
		dots := s == "." || s == ".."
		if s == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		switch {
		case !dots:
			kept = append(kept, s)
		case i == len(segments)-1:
			kept = append(kept, "") // /a/. is /a/
		}
	}
	return "/" + strings.Join(kept, "/")
}
