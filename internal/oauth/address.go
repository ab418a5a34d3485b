package oauth

import (
	"errors"
	"strings"
)

// Address is an e-mail address of the form that discovery and policies accept
// (CONFORMANCE CA-28). The domain is in lower case; the local part stands as it
// was written.
type Address struct{ Local, Domain string }

// String gives local@domain.
func (a Address) String() string { return a.Local + "@" + a.Domain }

// ErrAddress says that a text is no acceptable e-mail address.
var ErrAddress = errors.New("not an acceptable e-mail address: ASCII, no quotes, a domain with a dot")

// ParseAddress accepts one unquoted local part (RFC 5322 dot-atom, at most 64
// characters), one @ and a domain that ParseDomain accepts. Everything else
// could reach another host or another mailbox than it seems to name.
func ParseAddress(s string) (Address, error) {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > 254 || !isDotAtom(local) {
		return Address{}, ErrAddress
	}
	domain, err := ParseDomain(domain)
	if err != nil {
		return Address{}, ErrAddress
	}
	return Address{Local: local, Domain: domain}, nil
}

func isDotAtom(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && strings.IndexByte(".!#$%&'*+-/=?^_`{|}~", c) < 0 {
			return false
		}
	}
	return true
}

// ErrDomain says that a text is no acceptable domain.
var ErrDomain = errors.New("not an acceptable domain")

// ParseDomain accepts a host name of at least two ASCII labels (A-labels for
// other scripts), no port, no IP address, no trailing dot, and gives it in
// lower case.
func ParseDomain(s string) (string, error) {
	labels := strings.Split(s, ".")
	if len(s) > 253 || len(labels) < 2 {
		return "", ErrDomain
	}
	for _, label := range labels {
		if !isLabel(label) {
			return "", ErrDomain
		}
	}
	if top := labels[len(labels)-1]; strings.Trim(top, "0123456789") == "" || isHexNumber(top) {
		return "", ErrDomain // 127.0.0.1, 0x7f.1: an address, not a name
	}
	return strings.ToLower(s), nil
}

func isHexNumber(s string) bool {
	return len(s) > 1 && (strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X"))
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
