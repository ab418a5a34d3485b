package cel

import (
	"reflect"

	"github.com/caddy-uma/caddy-uma/internal/suggest"
)

// names are the variables, macros and functions of a condition.
func (l language) names() []string {
	names := []string{
		"has", "all", "exists", "exists_one", "map", "filter",
		"size", "matches", "contains", "startsWith", "endsWith",
		"int", "uint", "double", "string", "bool", "bytes", "timestamp", "duration", "type", "dyn",
		"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
		"getHours", "getMinutes", "getSeconds", "getMilliseconds",
	}
	for _, v := range l {
		names = append(names, v.name)
	}
	return names
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
	for field := range t.Fields() {
		out = append(out, field.Tag.Get("cel"))
	}
	return out
}

// didYouMean proposes the nearest name, or nothing.
func didYouMean(word string, known []string) string {
	nearest := suggest.Nearest(word, known)
	if nearest == "" {
		return ""
	}
	return ", did you mean " + quoted(nearest) + "?"
}
