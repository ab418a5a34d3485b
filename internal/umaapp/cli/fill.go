package cli

import (
	"strings"
	"unicode/utf8"
)

// helpWidth is what help texts are filled to: a terminal of eighty columns breaks
// longer lines anywhere.
const helpWidth = 79

// filled breaks the paragraphs of a text anew. What is indented stands as it is: lists
// and examples.
func filled(text string) string {
	var out []string
	var words []string
	flush := func() {
		out = append(out, lines(words)...)
		words = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || strings.HasPrefix(line, " ") {
			flush()
			out = append(out, line)
			continue
		}
		words = append(words, strings.Fields(line)...)
	}
	flush()
	return strings.Join(out, "\n")
}

// lines puts words into lines.
func lines(words []string) []string {
	var out []string
	for _, word := range words {
		last := len(out) - 1
		if last < 0 || utf8.RuneCountInString(out[last])+1+utf8.RuneCountInString(word) > helpWidth {
			out = append(out, word)
			continue
		}
		out[last] += " " + word
	}
	return out
}
