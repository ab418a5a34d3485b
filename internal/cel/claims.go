package cel

import (
	"encoding/json"
	"time"
)

// plainObject gives claims as values that CEL knows: what JSON can say, with
// json.Number made a number. Anything else that a decoder may have left there
// becomes nil, which equals nothing but null.
func plainObject(claims map[string]any) map[string]any {
	out := make(map[string]any, len(claims))
	for k, v := range claims {
		out[k] = plain(v)
	}
	return out
}

// plain converts one value.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, string, float64, int64, int, uint64, []string, time.Time:
		return v
	case json.Number:
		return plainNumber(v)
	case map[string]any:
		return plainObject(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	default:
		return nil
	}
}

// plainNumber prefers whole numbers: a double would round large ones, and two
// different user numbers would become equal.
func plainNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	if f, err := n.Float64(); err == nil {
		return f
	}
	return nil
}
