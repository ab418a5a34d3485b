package caddyrs

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds on what finding the resource of a request costs before anything is known of
// who asks. A path beyond them is refused.
const (
	// maxReadings bounds the readings of one path.
	maxReadings = 128
	// maxPath is the length in bytes of what RFC 9110 §4.1 asks all to support.
	maxPath = 8000
	// maxSegments: the time to match a pattern grows with their number times the length.
	maxSegments = 256
	// maxText bounds the readings of one path together, and its aliases, in bytes.
	maxText = 32 << 10
)

// reading turns a path into what some program makes of it.
type reading func(string) string

// rereadings are what servers and frameworks are known to do to a path, and
// Caddy's `path` matcher partly does and partly does not.
func rereadings() []reading {
	return []reading{
		unescape, // decodes once more than others
		func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
		mergeSlashes,
		func(p string) string { return strings.ReplaceAll(p, "//", "/_/") }, // an empty segment is a segment
		func(p string) string { return segments(p, cutParams) },             // ;params belong to no name
		func(p string) string { return segments(p, trimEnd) },               // names end before dots and spaces
		func(p string) string { return segments(p, keepDots) },              // . and .. are names
		clean, // . and .. are not
		func(p string) string { return clean(withoutLast(p)) }, // and a folder that they name ends in a slash
		cutTail,
		dropSessions,
		wide(norm.NFKC), wide(norm.NFKD), // ／ is / and ａ is a; é is one character or two
		wide(visible{}),
	}
}

// wide makes a reading of what programs do that care for more than ASCII.
func wide(form interface{ String(string) string }) reading {
	return func(p string) string {
		if !strings.ContainsFunc(p, func(r rune) bool { return r > unicode.MaxASCII }) {
			return p
		}
		return form.String(p)
	}
}

// visible drops characters that some file systems take for nothing.
type visible struct{}

// String drops the invisible characters of s.
func (visible) String(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

// session is a segment in which ASP.NET keeps the session of clients without
// cookies; it takes the segment out of the path.
var session = regexp.MustCompile(`/\((?:[A-Za-z]\([^/]*\))+\)(/|$)`) //nolint:gochecknoglobals // a constant

func dropSessions(p string) string {
	if !strings.Contains(p, "/(") {
		return p
	}
	return session.ReplaceAllString(p, "$1")
}

// readings gives the other ways in which a path may be read; most paths have
// none.
func readings(u *url.URL) ([]string, error) {
	if max(len(u.Path), len(u.RawPath)) > maxPath || strings.Count(u.Path, "/") > maxSegments {
		return nil, errLong
	}
	if u.RawPath == "" && u.Opaque == "" && ordinary(u.Path) {
		return nil, nil
	}
	return allReadings(u)
}

// ordinary tells a path that everybody reads alike, at the cost of one look at it:
// letters, digits, and dots within names.
func ordinary(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	last := byte('.')
	for i := range len(p) {
		c := p[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~':
		case c == '/' && last != '/' && (last != '.' || i == 0), c == '.' && last != '/':
		default:
			return false
		}
		last = c
	}
	return last != '.'
}

func allReadings(u *url.URL) ([]string, error) {
	if !isOrigin(u) || !printable(u.Path) {
		return nil, errReadings
	}
	all := []string{u.Path}
	escaped := u.EscapedPath()
	// Escaped slashes may be part of a name, or of the ;params that are cut first.
	for _, p := range []string{keepSlashes(escaped), unescape(segments(escaped, cutParams))} {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	text := 0
	for i := 0; i < len(all); i++ {
		if text += len(all[i]); text > maxText {
			return nil, errReadings
		}
		for _, read := range rereadings() {
			p := read(all[i])
			if !printable(p) {
				return nil, errReadings
			}
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
		if len(all) > maxReadings {
			return nil, errReadings
		}
	}
	return all[1:], nil
}

// printable refuses characters at which some programs stop reading, and bytes
// that decoders have taken for dots and slashes.
func printable(p string) bool {
	return utf8.ValidString(p) && !strings.ContainsFunc(p, unicode.IsControl)
}

// keepSlashes decodes a path but for its escaped slashes, which some servers
// keep as part of a name.
func keepSlashes(escaped string) string {
	for _, e := range []string{"%2f", "%2F", "%5c", "%5C"} {
		escaped = strings.ReplaceAll(escaped, e, "_")
	}
	return unescape(escaped)
}

// unescape decodes valid escapes and leaves the rest.
func unescape(p string) string {
	if !strings.Contains(p, "%") {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if c, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func mergeSlashes(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

func segments(p string, change func(string) string) string {
	if !strings.ContainsAny(p, ".; ") {
		return p
	}
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = change(s)
	}
	return strings.Join(parts, "/")
}

func cutParams(s string) string {
	name, _, _ := strings.Cut(s, ";")
	return name
}

func trimEnd(s string) string {
	if s == "." || s == ".." {
		return s
	}
	return strings.TrimRight(s, ". ")
}

func keepDots(s string) string {
	if s == "." || s == ".." {
		return "_"
	}
	return s
}

// clean resolves dot segments and keeps a slash at the end.
func clean(p string) string {
	c := path.Clean("/" + strings.TrimPrefix(p, "/"))
	if c != "/" && strings.HasSuffix(p, "/") {
		c += "/"
	}
	return c
}

// withoutLast takes a dot segment at the end for the folder it names (RFC 3986
// §5.2.4).
func withoutLast(p string) string {
	if strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") {
		return p + "/"
	}
	return p
}

// cutTail stops where a program stops that parses the decoded path as a URL.
func cutTail(p string) string {
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		return p[:i]
	}
	return p
}
