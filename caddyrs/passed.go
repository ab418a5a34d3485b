package caddyrs

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// passedVar marks a request that protections have let through; it holds the fields
// that are theirs, as lookAlike gives them.
const passedVar = "uma_protect.passed"

// passed gives these fields, and whether the request was let through.
func passed(r *http.Request) (fields []string, ok bool) {
	fields, ok = caddyhttp.GetVar(r.Context(), passedVar).([]string)
	return fields, ok
}

// pass marks a request that this protection lets through.
func (h headerRules) pass(r *http.Request) {
	before, _ := passed(r)
	caddyhttp.SetVar(r.Context(), passedVar, slices.Concat(before, h.own))
}

// cleanPassed cleans a request that others have let through: what they set for the
// backend stays, what is ours nobody has set but the client (CONFORMANCE SEC-19).
func (h headerRules) cleanPassed(r *http.Request, set []string) {
	ours := headerRules{rules: map[string]fieldRule{}}
	for _, name := range h.own {
		if !slices.Contains(set, name) {
			ours.rules[name] = fieldRule{always: true}
		}
	}
	if len(ours.rules) > 0 {
		ours.cleanFields(r.Header, true)
		ours.cleanTrailer(r, true)
	}
}
