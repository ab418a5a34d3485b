// Package suggest finds what somebody may have meant to write.
package suggest

// maxDistance is how many letters may be wrong for a word to be proposed.
const maxDistance = 2

// Nearest gives the known word that is nearest to word, or "". At most two
// letters may be wrong, and of short words most must be right: foo is not now.
func Nearest(word string, known []string) string {
	nearest, best := "", maxDistance+1
	for _, k := range known {
		if d := distance(word, k); d > 0 && d < best && 2*d < len(k) {
			nearest, best = k, d
		}
	}
	return nearest
}

// distance counts the letters to insert, delete or replace (Levenshtein); words
// that differ more in length are reported as far without looking.
func distance(a, b string) int {
	if d := len(a) - len(b); d > maxDistance || d < -maxDistance {
		return maxDistance + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
