package caddyrs

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReadings bounds the readings of one path; a path that has more is refused.
const maxReadings = 128

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
		cutTail,
	}
}

// readings gives the other ways in which a path may be read; most paths have
// none.
func readings(u *url.URL) ([]string, error) {
	if !isOrigin(u) || !printable(u.Path) {
		return nil, errReadings
	}
	all := []string{u.Path}
	if kept := keepSlashes(u.EscapedPath()); kept != u.Path {
		all = append(all, kept)
	}
	for i := 0; i < len(all); i++ {
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

// cutTail stops where a program stops that parses the decoded path as a URL.
func cutTail(p string) string {
	if i := strings.IndexAny(p, "?#"); i >= 0 {
		return p[:i]
	}
	return p
}
