package umaapp

import (
	"slices"
	"strings"
)

// schemes are those of RFC 9110 §11.1 that have credentials behind them.
var schemes = []string{"basic", "bearer", "dpop"} //nolint:gochecknoglobals // a table of constants

// cleanWords takes out values behind name=, as in a URL, a form, a challenge
// (ticket="…") or a sentence, and credentials behind the name of their scheme. Every
// string of every line of a log passes here, so it is written by hand.
func cleanWords(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		start, end := 0, 0
		switch text[i] {
		case '=':
			start, end = valueOf(text, i)
		case ' ':
			start, end = credentialsOf(text, i)
		}
		if end <= start || start < done {
			continue
		}
		b.WriteString(text[done:start])
		b.WriteString(redacted)
		done, i = end, end-1
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// valueOf finds the value behind the = at i, if the name before it is that of a
// credential.
func valueOf(text string, i int) (start, end int) {
	name := wordBefore(strings.TrimRight(text[:i], " "))
	if !slices.Contains(secretParams, strings.ToLower(name)) {
		return 0, 0
	}
	start = len(text) - len(strings.TrimLeft(text[i+1:], " "))
	if start < len(text) && text[start] == '"' {
		return start, endOfQuoted(text, start)
	}
	end = strings.IndexAny(text[start:], " \t\r\n&;,\"'<>#")
	if end < 0 {
		return start, len(text)
	}
	return start, start + end
}

// endOfQuoted is the end of the quoted string that begins at start (RFC 9110
// §5.6.4), or that of the text.
func endOfQuoted(text string, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// minCredentials is how short no credentials are: a sentence may speak of a scheme.
const minCredentials = 8

// credentialsOf finds the credentials behind the space at i, if a scheme stands
// before it.
func credentialsOf(text string, i int) (start, end int) {
	if !slices.Contains(schemes, strings.ToLower(wordBefore(text[:i]))) {
		return 0, 0
	}
	start = len(text) - len(strings.TrimLeft(text[i:], " "))
	for end = start; end < len(text) && isToken68(text[end]); end++ {
	}
	if end-start < minCredentials {
		return 0, 0
	}
	return start, end
}

func isToken68(c byte) bool { return isWord(c) || strings.IndexByte(".~+/=", c) >= 0 }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// wordBefore is the word at the end of a text.
func wordBefore(text string) string {
	start := len(text)
	for start > 0 && isWord(text[start-1]) {
		start--
	}
	return text[start:]
}

// minLong is how long a word is that no person wrote: tickets, codes and other
// sealed boxes are longer, whatever parameter or path they stand in.
const minLong = 100

// cleanLong takes out long words of small and capital letters and digits.
func cleanLong(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && isWord(text[end]) {
			end++
		}
		if word := text[i:end]; len(word) >= minLong && isRandom(word) {
			b.WriteString(text[done:i])
			b.WriteString(redacted)
			done = end
		}
		i = end + 1
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

func isRandom(word string) bool {
	return strings.ContainsAny(word, "0123456789") && strings.ToLower(word) != word && strings.ToUpper(word) != word
}
