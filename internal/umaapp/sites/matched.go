package sites

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// matched gives the hosts of a route, which name its site, and its other conditions.
func matched(sets caddyhttp.MatcherSets) (hosts caddyhttp.MatchHost, conditions []string) {
	var alternatives []string
	for _, set := range sets {
		var all []string
		for _, m := range set {
			switch m := m.(type) {
			case *caddyhttp.MatchHost:
				hosts = slices.Concat(hosts, *m)
			case caddyhttp.MatchHost:
				hosts = slices.Concat(hosts, m)
			default:
				all = append(all, condition(m))
			}
		}
		if len(all) == 0 {
			return hosts, nil // this set is for every request
		}
		alternatives = append(alternatives, strings.Join(all, " and "))
	}
	if len(alternatives) == 0 {
		return hosts, nil
	}
	return hosts, []string{strings.Join(slices.Compact(alternatives), " or ")}
}

// condition describes a matcher; paths are what one can recognise it by.
func condition(m any) string {
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
