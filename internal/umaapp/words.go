package umaapp

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Unknown is the error for an unknown subdirective, which is the current token:
//
//	uma_protect: unknown subdirective 'resorce', did you mean 'resource'?, at Caddyfile:12
func Unknown(d *caddyfile.Dispenser, directive string, known ...string) error {
	word := d.Val()
	if near := Nearest(word, known); near != "" {
		return d.Errf("%s: unknown subdirective '%s', did you mean '%s'?", directive, word, near)
	}
	return d.Errf("%s: unknown subdirective '%s'; known: %s", directive, word, strings.Join(known, ", "))
}

// NotYet is the error for a word of the grammar that this version does not have,
// which is the current token:
//
//	uma: 'network_proxy' is not supported yet, at Caddyfile:4
func NotYet(d *caddyfile.Dispenser, directive string) error {
	return d.WrapErr(notYet(directive, d.Val()))
}

func notYet(directive, word string) error {
	return fmt.Errorf("%s: '%s' is not supported yet", directive, word)
}

// Nearest gives the known word nearest to word if at most two letters were
// added, left out or changed, or "".
func Nearest(word string, known []string) string {
	best, nearest := 3, ""
	for _, k := range known {
		// A distance that is the whole word would make any short word a neighbour.
		if n := distance(word, k); n < best && n < len(word) && n < len(k) {
			best, nearest = n, k
		}
	}
	return nearest
}

// distance is the edit distance in bytes; words that differ in length by more
// than two are reported as far without looking.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
