package clientauth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DN is a distinguished name: its RDNs as a certificate orders them, each with
// its attributes in a fixed order. Names are compared part by part and not as
// text: CN=a\,O=b is one attribute and not two.
type DN [][]attribute

type attribute struct{ oid, value string }

const (
	maxDN    = 2048 // bytes
	maxParts = 64   // RDNs, and attributes of one
)

// oids of the names that RFC 4514 §3 lists, and e-mail and serial number, which
// are in use, too. Every other type is written as an OID.
var oids = map[string]string{
	"CN": "2.5.4.3", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "STREET": "2.5.4.9",
	"O": "2.5.4.10", "OU": "2.5.4.11", "DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"EMAILADDRESS": "1.2.840.113549.1.9.1",
}

var errDN = errors.New("not a distinguished name as RFC 4514 writes it")

// equal compares values exactly. Deviation: X.520 ignores case and runs of blanks
// in most of them; a name that is only nearly the registered one is refused.
func (d DN) equal(other DN) bool {
	return len(d) > 0 && slices.EqualFunc(d, other, slices.Equal[[]attribute])
}

// subjectOf is the subject of a certificate, read from its DER.
func subjectOf(cert *x509.Certificate) (DN, error) {
	var rdns pkix.RDNSequence
	rest, err := asn1.Unmarshal(cert.RawSubject, &rdns)
	if err != nil || len(rest) > 0 || len(rdns) > maxParts {
		return nil, errDN
	}
	var dn DN
	for _, rdn := range rdns {
		var all []attribute
		for _, a := range rdn {
			value, ok := a.Value.(string)
			if !ok {
				return nil, errDN
			}
			all = append(all, attribute{a.Type.String(), value})
		}
		dn = append(dn, sorted(all))
	}
	return dn, nil
}

func sorted(all []attribute) []attribute {
	slices.SortFunc(all, func(a, b attribute) int {
		return strings.Compare(a.oid+"\x00"+a.value, b.oid+"\x00"+b.value)
	})
	return all
}

// ParseDN reads a distinguished name (RFC 4514 §3). The last RDN of the text is
// the first one of the certificate (§2.1). Blanks around separators, quotes and
// semicolons of older forms are refused.
func ParseDN(text string) (DN, error) {
	if text == "" || len(text) > maxDN || !utf8.ValidString(text) {
		return nil, errDN
	}
	var dn DN
	for _, rdn := range split(text, ',') {
		var all []attribute
		for _, pair := range split(rdn, '+') {
			a, err := parseAttribute(pair)
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
		dn = append(dn, sorted(all))
	}
	if len(dn) > maxParts {
		return nil, errDN
	}
	slices.Reverse(dn)
	return dn, nil
}

// split cuts a text at separators that are not escaped.
func split(text string, separator byte) []string {
	var parts []string
	start, escaped := 0, false
	for i := range len(text) {
		switch {
		case escaped:
			escaped = false
		case text[i] == '\\':
			escaped = true
		case text[i] == separator:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

func parseAttribute(pair string) (attribute, error) {
	name, raw, found := strings.Cut(pair, "=")
	oid := oids[strings.ToUpper(name)]
	if oid == "" && isOID(name) {
		oid = name
	}
	if !found || oid == "" || raw == "" {
		return attribute{}, errDN
	}
	parse := unescape
	if raw[0] == '#' {
		parse = fromDER
	}
	value, err := parse(raw)
	return attribute{oid, value}, err
}

// isOID accepts the one spelling of a dotted-decimal OID.
func isOID(s string) bool {
	arcs := strings.Split(s, ".")
	for _, arc := range arcs {
		if n, err := strconv.ParseUint(arc, 10, 31); err != nil || strconv.FormatUint(n, 10) != arc {
			return false
		}
	}
	return len(arcs) >= 2
}

// fromDER reads a value that is written as # and its DER in hexadecimal digits
// (RFC 4514 §2.4).
func fromDER(raw string) (string, error) {
	der, err := hex.DecodeString(raw[1:])
	if err != nil {
		return "", errDN
	}
	var value any
	rest, err := asn1.Unmarshal(der, &value)
	text, ok := value.(string)
	if err != nil || len(rest) > 0 || !ok {
		return "", errDN
	}
	return text, nil
}

// special characters that may be escaped by a backslash alone (RFC 4514 §3).
const special = ` "#+,;<=>\`

// unescape reads a string value. What must be escaped must be.
func unescape(raw string) (string, error) {
	if raw[0] == ' ' || raw[len(raw)-1] == ' ' && !strings.HasSuffix(raw, `\ `) {
		return "", errDN
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			if c == 0 || strings.IndexByte(`"+,;<>`, c) >= 0 {
				return "", errDN
			}
			out = append(out, c)
			continue
		}
		rest := raw[i+1:]
		switch {
		case rest != "" && strings.IndexByte(special, rest[0]) >= 0:
			out = append(out, rest[0])
			i++
		case len(rest) >= 2:
			b, err := hex.DecodeString(rest[:2])
			if err != nil {
				return "", errDN
			}
			out = append(out, b[0])
			i += 2
		default:
			return "", errDN
		}
	}
	if !utf8.Valid(out) {
		return "", errDN
	}
	return string(out), nil
}
