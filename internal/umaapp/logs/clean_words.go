package logs

import (
	"slices"
	"strings"
)

// schemes are those of RFC 9110 §11.1 that have credentials behind them.
var schemes = []string{"basic", "bearer", "dpop"} //nolint:gochecknoglobals // a table of constants

// cleanWords takes out values behind name=, as in a URL, a form, a challenge
// (ticket="…") or a sentence, behind "name": in JSON, behind the names of some header
// fields, and credentials behind the name of their scheme. Every string of every line
// of a log passes here, so it is written by hand.
func cleanWords(text string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(text); i++ {
		start, end := 0, 0
		switch text[i] {
		case '=':
			start, end = valueOf(text, i)
		case ':':
			start, end = memberOf(text, i)
		case ' ', '\t':
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
	before := strings.TrimRight(text[:i], " ")
	name := wordBefore(before)
	if !isSecretParam(name) {
		return 0, 0
	}
	start = len(text) - len(strings.TrimLeft(text[i+1:], " "))
	if end, ok := endOfQuoted(text, start); ok {
		return start, end
	}
	end = endOfWord(text, start)
	if named := len(before) - len(name); len(before) == i && named > 0 && (text[named-1] == '?' || text[named-1] == '&') {
		end = endOfParam(text, start)
	}
	if isPlainWord(name) && (len(before) < i || isStatus(text[start:end])) { // "code = Unavailable", "status code=404"
		return 0, 0
	}
	return start, end
}

func endOfWord(text string, start int) int {
	if n := strings.IndexAny(text[start:], " \t\r\n&;,\"'<>#"); n >= 0 {
		return start + n
	}
	return len(text)
}

// endOfParam is endOfWord in a query, where other marks belong to the value (RFC 3986
// §3.4).
func endOfParam(text string, start int) int {
	if n := strings.IndexAny(text[start:], " \t\r\n&\"<>#"); n >= 0 {
		return start + n
	}
	return len(text)
}

// isStatus tells whether a value is too short for a code that opens anything.
func isStatus(value string) bool {
	return len(value) <= 3 && strings.Trim(value, "0123456789") == ""
}

// endOfQuoted is the end of the quoted string that begins at start, or that of the
// text: in single or double quotes (RFC 9110 §5.6.4), or in double quotes that were
// themselves quoted with a text around them.
func endOfQuoted(text string, start int) (end int, ok bool) {
	open := start
	for open < len(text) && text[open] == '\\' {
		open++
	}
	if open == len(text) || text[open] != '"' && (text[open] != '\'' || open > start) {
		return 0, false
	}
	for i, run := open+1, 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			run++
			continue
		case text[i] == text[open] && closes(run, open-start):
			return i + 1, true
		}
		run = 0
	}
	return len(text), true
}

// closes tells whether a quote behind so many backslashes ends a string that began
// behind depth of them.
func closes(backslashes, depth int) bool {
	if depth == 0 {
		return backslashes%2 == 0
	}
	return backslashes <= depth
}

// memberOf finds the value of the JSON member, or of the header field, whose name
// stands before the colon at i.
func memberOf(text string, i int) (start, end int) {
	start = len(text) - len(strings.TrimLeft(text[i+1:], " \t\r\n"))
	quoted, ok := strings.CutSuffix(strings.TrimRight(text[:i], " \t\r\n"), `"`)
	if !ok {
		return fieldOf(text, i, start)
	}
	if name := wordBefore(strings.TrimRight(quoted, `\`)); !isSecretParam(name) && !isSecretName(name) {
		return 0, 0
	}
	if start < len(text) && text[start] == '[' { // a list of credentials, or of objects that hold some
		if _, ok := endOfQuoted(text, start+1); !ok {
			return 0, 0
		}
		return start + 1, endOfList(text, start)
	}
	if start < len(text) && (text[start] >= '0' && text[start] <= '9') && !isPlainWord(wordBefore(strings.TrimRight(quoted, `\`))) {
		return start, start + len(text[start:]) - len(strings.TrimLeft(text[start:], "0123456789.eE+-"))
	}
	return insideQuotes(text, start)
}

// insideQuotes is what the quoted string at start holds: what is JSON stays JSON.
func insideQuotes(text string, start int) (from, to int) {
	end, ok := endOfQuoted(text, start)
	if !ok {
		return 0, 0
	}
	depth := len(text[start:]) - len(strings.TrimLeft(text[start:], `\`))
	from = start + depth + 1
	if end-1 < from || text[end-1] != text[start+depth] { // it is cut off
		return from, end
	}
	inside := strings.TrimRight(text[from:end-1], `\`) // the closing quote may have fewer of them
	return from, from + len(inside)
}

func endOfList(text string, start int) int {
	for i := start + 1; i < len(text); i++ {
		if end, ok := endOfQuoted(text, i); ok {
			i = end - 1
		} else if text[i] == ']' {
			return i
		}
	}
	return len(text)
}

// writtenFields are header fields whose values are more than one word.
var writtenFields = []string{"authorization", "cookie", "proxy-authorization", "set-cookie"} //nolint:gochecknoglobals // a table of constants

// fieldOf finds the value of a header field that is written out, as in
// "Cookie: a=b; c=d", or of any name in Go's map[Cookie:[a=b] code:[c]].
func fieldOf(text string, i, start int) (int, int) {
	word := wordBefore(text[:i])
	name := strings.ToLower(word)
	x := strings.HasPrefix(name, "x-") && isSecretName(name)
	list := start == i+1 && strings.HasPrefix(text[start:], "[") && isSecretParam(word)
	if list {
		start++
	}
	if !x && !list && !slices.Contains(writtenFields, name) {
		return 0, 0
	}
	return start, endOfField(text, start)
}

// endOfField is where a field ends that is written out: with its line, the list or the
// string that it stands in. The value of a cookie may stand in quotes of its own.
func endOfField(text string, start int) int {
	for i := start; i < len(text); i++ {
		switch text[i] {
		case '"':
			if i == start || text[i-1] != '=' {
				return i
			}
			if i, _ = endOfQuoted(text, i); i == len(text) {
				return i
			}
			i--
		case '\r', '\n', '\\', ']':
			return i
		}
	}
	return len(text)
}

// minCredentials is how short no credentials are: a sentence may speak of a scheme.
const minCredentials = 8

// proseWords are longer and follow the name of a scheme in sentences.
var proseWords = []string{"authentication", "authorization", "challenge", "challenges", "credentials", "required"} //nolint:gochecknoglobals // a table of constants

// credentialsOf finds the credentials behind the space at i, if a scheme stands
// before it.
func credentialsOf(text string, i int) (start, end int) {
	if !slices.Contains(schemes, strings.ToLower(wordBefore(text[:i]))) {
		return 0, 0
	}
	start = len(text) - len(strings.TrimLeft(text[i:], " \t"))
	for end = start; end < len(text) && isToken68(text[end]); end++ {
	}
	if end-start < minCredentials || slices.Contains(proseWords, strings.TrimRight(text[start:end], ".")) {
		return 0, 0
	}
	return start, end
}

func isToken68(c byte) bool { return isWord(c) || strings.IndexByte(".~+/=", c) >= 0 }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// wordBefore is the word at the end of a text. What stands behind a backslash belongs
// to an escape of JSON or Go, not to the word: \n, \t, \u0026.
func wordBefore(text string) string {
	start := len(text)
	for start > 0 && isWord(text[start-1]) {
		start--
	}
	word := text[start:]
	if start == 0 || text[start-1] != '\\' || word == "" {
		return word
	}
	if word[0] == 'u' && len(word) >= 5 {
		return word[5:]
	}
	return word[1:]
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
