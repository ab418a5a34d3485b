// Package sites looks at the routes of a running configuration: what stands before
// uma_protect and takes requests away, and what stands behind uma_sts with wrap.
package sites

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// Protector is a handler that protects what comes after it, if Protects says so. Host
// is where clients think that it is; "" = that is not known.
type Protector interface {
	Protects() bool
	Host(ctx context.Context) string
}

// Wrapper is a handler that needs a provider behind it, if Wraps says so.
type Wrapper interface{ Wraps() bool }

// maxDepth is how deep routes are looked into.
const maxDepth = 32

// Examine looks at the routes of all servers.
func Examine(ctx context.Context, servers map[string]*caddyhttp.Server) []finding.Finding {
	var all []finding.Finding
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server := servers[name]
		w := &walk{ctx: ctx, site: strings.Join(server.Listen, " ")}
		w.routes(server.Routes, 0, nil)
		all = append(all, w.findings...)
	}
	return finding.Sort(all)
}

// walk goes through the routes of a server as a request does.
type walk struct {
	ctx      context.Context //nolint:containedctx // of one examination
	site     string
	hosts    caddyhttp.MatchHost // of the site; none = all
	findings []finding.Finding
	before   []met
	// when are the conditions of where we are, groups the alternatives (`handle`) that
	// were taken, by number.
	when   []string
	groups []int
	number int
}

// met is a handler that a request meets, if it matches.
type met struct {
	handler string
	when    []string // empty = all do
	groups  []int
}

// routes goes through a list; behind are the names of handlers that come after it.
func (w *walk) routes(list caddyhttp.RouteList, depth int, behind []string) {
	if depth > maxDepth {
		return
	}
	for i, route := range list {
		w.route(route, depth, append(handlers(list[i+1:], depth+1), behind...))
	}
}

func (w *walk) route(route caddyhttp.Route, depth int, behind []string) {
	site, of, groups, when, known := w.site, w.hosts, w.groups, w.when, w.before
	hosts, conditions := matched(route.MatcherSets)
	if len(hosts) > 0 {
		w.site, w.hosts, w.before = strings.Join(hosts, " "), hosts, slices.Clone(known)
	}
	if route.Group != "" {
		w.number++
		w.groups = append(slices.Clone(groups), w.number)
	}
	w.when = append(slices.Clone(when), conditions...)
	for i, h := range route.Handlers {
		w.handler(h, depth, append(names(route.Handlers[i+1:], depth+1), behind...))
	}
	if len(hosts) > 0 {
		w.before = known // another site does not meet them
	}
	w.site, w.hosts, w.groups, w.when = site, of, groups, when
}

func (w *walk) handler(h caddyhttp.MiddlewareHandler, depth int, behind []string) {
	if sub, ok := h.(*caddyhttp.Subroute); ok {
		w.routes(sub.Routes, depth+1, behind)
		return
	}
	l := finding.List{Subject: "site " + w.site}
	if p, ok := h.(Protector); ok {
		if p.Protects() {
			w.protected(&l)
			w.located(&l, p.Host(w.ctx))
		}
	} else if takes(nameOf(h)) {
		w.before = append(w.before, met{nameOf(h), w.when, w.groups})
	}
	if p, ok := h.(Wrapper); ok && p.Wraps() {
		wrapped(&l, behind)
	}
	w.findings = append(w.findings, l.All...)
}

// takes tells whether a handler answers requests, or leads them elsewhere.
func takes(handler string) bool {
	return answers(handler) || handler == rewrite
}

const rewrite = "rewrite"

func answers(handler string) bool {
	return slices.Contains([]string{"static_response", "error", "file_server", "reverse_proxy", "acme_server", "metrics"}, handler)
}

// words are what handlers are called in a Caddyfile.
var words = map[string]string{"static_response": "'respond' or 'redir'"} //nolint:gochecknoglobals // a table of constants

// protected says what a request meets before it is protected.
func (w *walk) protected(l *finding.List) {
	const cure = "put uma_protect before it, for instance with both in a 'route' block in this order"
	n := len(l.All)
	for _, m := range w.before {
		word := cmp.Or(words[m.handler], "'"+m.handler+"'")
		switch same := common(m.when, w.when); {
		case m.handler == rewrite && same < len(w.when):
			l.Warn("routes", "requests"+m.whose()+" get another path before uma_protect sees them",
				"'rewrite', 'uri', 'try_files' or 'handle_path' stands before uma_protect, which has a matcher",
				"write the matcher and the resources of uma_protect for the new paths")
		case m.handler == rewrite:
		case same == len(m.when):
			l.Fail("routes", "no request reaches uma_protect", word+" stands before it and answers every request", cure)
		case common(m.groups, w.groups) < len(m.groups), m.handler == "static_response", m.handler == "error":
			l.OK("routes", "requests%s are answered by %s, not by what uma_protect protects", m.whose(), word)
		default:
			l.Warn("routes", "requests"+m.whose()+" are not protected", word+" stands before uma_protect and answers them",
				"leave it if they are meant to be public; else "+cure)
		}
	}
	if len(l.All) == n {
		l.OK("routes", "nothing before uma_protect takes its requests away")
	}
}

// common is how many elements two lists begin with alike.
func common[T comparable](a, b []T) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// whose says which requests are meant.
func (m met) whose() string {
	if len(m.when) == 0 {
		return ""
	}
	return " with " + strings.Join(m.when, " and ")
}

func wrapped(l *finding.List, behind []string) {
	if slices.ContainsFunc(behind, func(name string) bool { return strings.Contains(name, "proxy") }) {
		l.OK("wrap", "behind uma_sts with wrap there is a reverse_proxy")
		return
	}
	l.Fail("wrap", "the provider that uma_sts wraps does not answer", "there is no reverse_proxy behind uma_sts in this site", "write behind it: reverse_proxy ADDRESS_OF_THE_PROVIDER")
}

// nameOf is the name of a handler's module.
func nameOf(h caddyhttp.MiddlewareHandler) string {
	m, ok := h.(caddy.Module)
	if !ok {
		return ""
	}
	return m.CaddyModule().ID.Name()
}

// names are those of handlers, with what is in them.
func names(list []caddyhttp.MiddlewareHandler, depth int) []string {
	var all []string
	for _, h := range list {
		if sub, ok := h.(*caddyhttp.Subroute); ok {
			all = append(all, handlers(sub.Routes, depth+1)...)
			continue
		}
		all = append(all, nameOf(h))
	}
	return all
}

func handlers(list caddyhttp.RouteList, depth int) []string {
	if depth > maxDepth {
		return nil
	}
	var all []string
	for _, route := range list {
		all = append(all, names(route.Handlers, depth+1)...)
	}
	return all
}
