package wrap

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxDecodings is how many layers of escapes are taken off. Whatever has more is
// suspicious by itself: no parser of forms decodes that often.
const maxDecodings = 8

// mentionsExchange tells whether text names the token exchange in a way that some
// parser could read. Parsers differ in what separates parameters, in names
// (`grant_type[]`), in which of two values counts, in white space, case and
// escapes. All of that is left aside: the name of the grant alone is looked for,
// anywhere, in letters and digits, under several layers of escapes.
func mentionsExchange(text string) bool {
	wanted := letters(oauth.GrantTokenExchange)
	for range maxDecodings {
		if strings.Contains(letters(text), wanted) {
			return true
		}
		plain := unescape(text)
		if plain == text {
			return false
		}
		text = plain
	}
	return true
}

// letters keeps letters and digits in lower case. NUL bytes of UTF-16, white
// space, control characters and separators fall away, and so do all others that
// a parser might drop.
func letters(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		if r = plain(r); 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain gives the lower-case ASCII letter that r is, or is taken for: by a
// comparison that ignores case (Kelvin sign, long s, dotless i) or by a
// conversion to an older character set (full-width forms).
func plain(r rune) rune {
	switch r {
	case '\u212a':
		return 'k'
	case '\u017f':
		return 's'
	case '\u0130', '\u0131':
		return 'i'
	}
	if 0xff01 <= r && r <= 0xff5e {
		r -= 0xfee0
	}
	if r < utf8.RuneSelf {
		return unicode.ToLower(r)
	}
	return r
}

// unescape takes one layer of escapes off: %XX and %uXXXX of forms, \uXXXX, \xXX
// of JSON and its relatives, and overlong UTF-8. None of them can swallow a letter of
// the name that stands there already: it begins with no hexadecimal digit.
func unescape(text string) string { return overlong(backslashes(percents(text))) }

func percents(text string) string {
	return replaceEscapes(text, '%', func(rest string) (string, int) {
		if s, n := hex(rest, 'u', 4); n > 0 {
			return s, n
		}
		return hex(rest, 0, 2)
	})
}

func backslashes(text string) string {
	return replaceEscapes(text, '\\', func(rest string) (string, int) {
		if s, n := hex(rest, 'u', 4); n > 0 {
			return s, n
		}
		return hex(rest, 'x', 2)
	})
}

// replaceEscapes replaces what decode finds behind each mark. decode gives the
// replacement and how much it has read; 0 = this is no escape.
func replaceEscapes(text string, mark byte, decode func(rest string) (string, int)) string {
	if strings.IndexByte(text, mark) < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == mark {
			if s, n := decode(text[i+1:]); n > 0 {
				b.WriteString(s)
				i += n
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// hex reads kind (0 = none) and exactly digits hexadecimal digits.
func hex(rest string, kind byte, digits int) (string, int) {
	read := 0
	if kind != 0 {
		if rest == "" || rest[0]|0x20 != kind {
			return "", 0
		}
		read = 1
	}
	if len(rest) < read+digits {
		return "", 0
	}
	n, err := strconv.ParseUint(rest[read:read+digits], 16, 32)
	if err != nil {
		return "", 0
	}
	if digits == 2 {
		return string([]byte{byte(n)}), read + digits
	}
	return string(rune(n)), read + digits
}

// overlong replaces ASCII characters that are written in two or three bytes of
// UTF-8, which decoders of old take.
func overlong(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c, n := ascii(text[i:])
		b.WriteByte(c)
		i += n - 1
	}
	return b.String()
}

// ascii gives the first character of text if it is an overlong one, or else its
// first byte.
func ascii(text string) (c byte, read int) {
	switch {
	case len(text) >= 2 && text[0]&0xfe == 0xc0 && text[1]&0xc0 == 0x80:
		return text[0]<<6 | text[1]&0x3f, 2
	case len(text) >= 3 && text[0] == 0xe0 && text[1]&0xfe == 0x80 && text[2]&0xc0 == 0x80:
		return text[1]<<6 | text[2]&0x3f, 3
	default:
		return text[0], 1
	}
}
