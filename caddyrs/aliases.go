package caddyrs

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// aliases finds names under which many programs serve the same: without the
// slash at the end, and without the script that serves all paths. They count
// only where they are more specific than the path itself: for whoever has
// /admin/*, the page /admin is no secret. It ends early if found says so.
func aliases(p string, found func(string) bool) bool {
	if len(p) > 1 && strings.HasSuffix(p, "/") && !found(strings.TrimRight(p, "/")) {
		return false
	}
	for i := 0; i+len(script) < len(p); i++ {
		if p[i+len(script)] == '/' && strings.EqualFold(p[i:i+len(script)], script) {
			start := strings.LastIndexByte(p[:i], '/')
			if !found(p[:max(0, start)] + p[i+len(script):]) {
				return false
			}
		}
	}
	return true
}

const script = ".php"

// aliasesOfAll gives those of a path and of its readings, each once; most paths have
// none. One with too many of them is refused: it was made to cost time.
func aliasesOfAll(p string, readings []string) ([]string, error) {
	var all []string
	text := 0
	found := func(alias string) bool {
		if !slices.Contains(all, alias) {
			all, text = append(all, alias), text+len(alias)
		}
		return text <= maxText
	}
	for i := -1; i < len(readings); i++ {
		if i >= 0 {
			p = readings[i]
		}
		if !aliases(p, found) {
			return nil, errReadings
		}
	}
	return all, nil
}

// checkAliases refuses a path which has an alias that belongs to a resource
// before its own, or to another instance of its own. cases are the readings in other
// cases: their captures are the same letters at most.
func (h *Handler) checkAliases(r *http.Request, readings, cases []string) error {
	exact, err := aliasesOfAll(r.URL.Path, readings)
	if err != nil {
		return err
	}
	more, err := aliasesOfAll("", cases)
	if len(exact)+len(more) == 0 || err != nil {
		return err
	}
	own, err := h.match(reread(r, r.URL.Path))
	for i, alias := range append(exact, more...) {
		if err != nil {
			return err
		}
		var at place
		if at, err = h.match(reread(r, alias)); err == nil && at.before(own, i >= len(exact)) {
			err = errReadings
		}
	}
	return err
}

// before tells whether an alias at p counts for a path at own.
func (p place) before(own place, anyCase bool) bool {
	return p.index >= 0 && (own.index < 0 || p.index < own.index || p.index == own.index && !p.same(own, anyCase))
}

// caseless are matchers that tell no a from A in a path, or do not look at it.
var caseless = []string{"path", "method", "host", "protocol", "header", "query", "client_ip", "remote_ip", "tls"} //nolint:gochecknoglobals // a table of constants

// tellsCase says whether matchers may tell a from A where a backend does not.
func tellsCase(sets caddyhttp.RawMatcherSets) bool {
	return slices.ContainsFunc(sets, func(set caddy.ModuleMap) bool {
		for name := range set {
			if !slices.Contains(caseless, name) {
				return true
			}
		}
		return false
	})
}

// names says whether a path which matchers match is named there and not left over.
func names(sets caddyhttp.RawMatcherSets) bool {
	return !slices.ContainsFunc(sets, func(set caddy.ModuleMap) bool {
		return set["not"] != nil || set["expression"] != nil
	})
}

// withCases adds the other cases of all readings, where that may matter: Caddy's
// path matcher tells no a from A, but others do, and beyond ASCII there is more
// than one way to be the same letter.
func (h *Handler) withCases(path string, readings []string) []string {
	if !h.byCase && isASCII(path) {
		return readings
	}
	all := append([]string{}, readings...)
	for _, p := range append([]string{path}, readings...) {
		all = append(all, strings.ToUpper(p), strings.ToLower(strings.ToUpper(p)), strings.ToLower(p))
	}
	return all
}

func isASCII(p string) bool {
	return !strings.ContainsFunc(p, func(r rune) bool { return r > unicode.MaxASCII })
}
