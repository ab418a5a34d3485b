package cel

import "reflect"

// maxDistance is how many letters may be wrong for a name to be proposed.
const maxDistance = 2

// names are the variables, macros and functions of a condition.
func names() []string {
	return []string{
		"email", "iss", "sub", nameClaims, "resource", "scopes", "client", "request", "now",
		"has", "all", "exists", "exists_one", "map", "filter",
		"size", "matches", "contains", "startsWith", "endsWith",
		"int", "uint", "double", "string", "bool", "bytes", "timestamp", "duration", "type", "dyn",
		"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
		"getHours", "getMinutes", "getSeconds", "getMilliseconds",
	}
}

// fields are the members of a variable.
func fields(variable string) []string {
	var t reflect.Type
	switch variable {
	case "email":
		t = reflect.TypeFor[emailVar]()
	case "resource":
		t = reflect.TypeFor[resourceVar]()
	case "request":
		t = reflect.TypeFor[requestVar]()
	default:
		return nil
	}
	out := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		out = append(out, t.Field(i).Tag.Get("cel"))
	}
	return out
}

// didYouMean proposes the nearest name, or nothing.
func didYouMean(word string, known []string) string {
	best, bestDistance := "", maxDistance+1
	for _, name := range known {
		// Of short words most letters must be right: foo is not now.
		if d := distance(word, name); d > 0 && d < bestDistance && 2*d < len(name) {
			best, bestDistance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + quoted(best) + "?"
}

// distance counts the letters to insert, delete or replace (Levenshtein).
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
