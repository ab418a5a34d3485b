package finding

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how long a text may be, in bytes.
const maxText = 1000

// plain takes out what could steer a terminal and who logs in by a URL, and bounds a
// text: much of what is said was written by a stranger, or by a storage module.
func plain(s string) string {
	s = withoutUsers(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s))
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// withoutUsers takes names and passwords out of URLs.
func withoutUsers(s string) string {
	const begin = "://"
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, begin)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(begin)
		host := rest
		if i := strings.IndexAny(rest, "/?# '\""); i >= 0 {
			host = rest[:i]
		}
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			b.WriteString("…")
			rest = rest[i:]
		}
		s = rest
	}
}
