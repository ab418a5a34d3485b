package sites

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// condition is what a request must be like. Two with the same key are the same; text
// is for people, who may read the same of two.
type condition struct{ key, text string }

// matched gives the hosts of a route, which name its site, and its other conditions.
func matched(sets caddyhttp.MatcherSets) (hosts []caddyhttp.MatchHost, conditions []condition) {
	var alternatives []condition
	every, anywhere := len(sets) == 0, false
	for _, set := range sets {
		of, rest := divided(set)
		hosts = append(hosts, of...)
		anywhere = anywhere || len(of) == 0
		every = every || rest == condition{}
		alternatives = append(alternatives, rest)
	}
	if anywhere { // one alternative is for all hosts
		hosts = nil
	}
	if every {
		return hosts, nil
	}
	return hosts, []condition{joined(alternatives, " or ")}
}

// divided takes the hosts out of a set.
func divided(set caddyhttp.MatcherSet) (hosts []caddyhttp.MatchHost, rest condition) {
	var all []condition
	for i := range set {
		switch m := set[i].(type) {
		case *caddyhttp.MatchHost:
			hosts = append(hosts, *m)
		case caddyhttp.MatchHost:
			hosts = append(hosts, m)
		default:
			all = append(all, condition{keyOf(&set[i]), textOf(m)})
		}
	}
	// Caddy keeps them in no order.
	slices.SortFunc(all, func(x, y condition) int { return strings.Compare(x.text+x.key, y.text+y.key) })
	return hosts, joined(all, " and ")
}

func joined(all []condition, by string) condition {
	var keys, texts []string
	for _, c := range all {
		keys, texts = append(keys, c.key), append(texts, c.text)
	}
	return condition{strings.Join(keys, by), strings.Join(slices.Compact(texts), by)}
}

// keyOf is the matcher as it was written. Of those that hold others nothing is left of
// that: each is like itself alone.
func keyOf(m *any) string {
	switch (*m).(type) {
	case *caddyhttp.MatchPath, *caddyhttp.MatchPathRE, *caddyhttp.MatchMethod, *caddyhttp.MatchQuery, *caddyhttp.MatchHeader, *caddyhttp.MatchHeaderRE,
		*caddyhttp.MatchProtocol, *caddyhttp.MatchRemoteIP, *caddyhttp.MatchClientIP, *caddyhttp.MatchExpression:
		if text, err := json.Marshal(*m); err == nil {
			return fmt.Sprintf("%T %s", *m, text)
		}
	}
	return fmt.Sprintf("%p", m)
}

// textOf describes a matcher; paths are what one can recognise it by.
func textOf(m any) string {
	switch m := m.(type) {
	case *caddyhttp.MatchPath:
		return "path " + strings.Join(*m, " ")
	case caddyhttp.MatchPath:
		return "path " + strings.Join(m, " ")
	case caddy.Module:
		return "a matcher '" + m.CaddyModule().ID.Name() + "'"
	}
	return "a matcher"
}
