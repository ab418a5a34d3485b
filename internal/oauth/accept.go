package oauth

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Accept tells how much a request wants one of these media types: the greatest q
// (RFC 9110 §12.5.1) behind one of them, 0 if it names none. Wildcards do not name
// any, and an entry whose q cannot be read does not count.
func Accept(h http.Header, mediaTypes ...string) float64 {
	most := 0.0
	for entry := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		mediaType, params, _ := strings.Cut(entry, ";")
		if slices.Contains(mediaTypes, strings.ToLower(strings.TrimSpace(mediaType))) {
			most = max(most, quality(params))
		}
	}
	return most
}

// quality reads the parameter q: 0, 1 or a number between them with at most three
// decimals (RFC 9110 §12.4.2).
func quality(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		whole, decimals, _ := strings.Cut(value, ".")
		if whole != "0" && whole != "1" || len(decimals) > 3 || strings.Trim(decimals, "0123456789") != "" {
			return 0
		}
		if q, err := strconv.ParseFloat(value, 64); err == nil && q <= 1 {
			return q
		}
		return 0
	}
	return 1
}
