// Package sites looks at the routes of a running configuration: what stands before
// uma_protect and takes requests away, and what stands behind uma_sts with wrap.
package sites

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

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

// Bounds of a walk. Named routes may invoke each other.
const (
	// maxDepth is how deep routes are looked into.
	maxDepth = 32
	// maxInvoked is how often named routes are gone into.
	maxInvoked = 1000
)

// Examine looks at the routes of all servers.
func Examine(ctx context.Context, servers map[string]*caddyhttp.Server) []finding.Finding {
	var all []finding.Finding
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server := servers[name]
		w := &walk{ctx: ctx, named: server.NamedRoutes, site: strings.Join(server.Listen, " ")}
		w.routes(server.Routes, 0, func() bool { return false }) //nolint:contextcheck // the walk has it
		all = append(all, w.findings...)
	}
	return finding.Sort(all)
}

// walk goes through the routes of a server as a request does.
type walk struct {
	ctx      context.Context //nolint:containedctx // of one examination
	named    map[string]*caddyhttp.Route
	invoked  int
	site     string
	hosts    []caddyhttp.MatchHost // of the site; none = all
	findings []finding.Finding
	before   []met
	// when are the conditions of where we are, groups the alternatives (`handle`) that
	// were taken, by number.
	when   []condition
	groups []int
	number int
}

// met is a handler that a request meets, if it matches.
type met struct {
	handler string
	some    bool        // it lets others on
	when    []condition // empty = all do
	groups  []int
}

// proxied tells whether a proxy stands behind where we are.
type proxied func() bool

func (w *walk) routes(list caddyhttp.RouteList, depth int, behind proxied) {
	if depth > maxDepth {
		return
	}
	for i, route := range list {
		w.route(route, depth, func() bool { return !route.Terminal && (w.leadsOn(route, list[i+1:], depth) || behind()) })
	}
}

func (w *walk) route(route caddyhttp.Route, depth int, behind proxied) {
	site, of, groups, when, known := w.site, w.hosts, w.groups, w.when, w.before
	hosts, conditions := matched(route.MatcherSets)
	if len(hosts) > 0 {
		w.site, w.hosts, w.before = strings.Join(slices.Concat(hosts...), " "), hosts, slices.Clone(known)
	}
	if route.Group != "" {
		w.number++
		w.groups = append(slices.Clone(groups), w.number)
	}
	w.when = append(slices.Clone(when), conditions...)
	for i, h := range route.Handlers {
		w.handler(h, depth, func() bool { return w.proxy(route.Handlers[i+1:], depth, map[string]bool{}) || behind() })
	}
	if len(hosts) > 0 {
		w.before = known // another site does not meet them
	}
	w.site, w.hosts, w.groups, w.when = site, of, groups, when
}

func (w *walk) handler(h caddyhttp.MiddlewareHandler, depth int, behind proxied) {
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		w.routes(h.Routes, depth+1, behind)
		return
	case *caddyhttp.Invoke:
		if route := w.named[h.Name]; route != nil && w.invoked < maxInvoked {
			w.invoked++
			w.routes(caddyhttp.RouteList{*route}, depth+1, behind)
		}
		return
	}
	l := finding.List{Subject: "site " + w.site}
	if p, ok := h.(Protector); ok {
		if p.Protects() {
			w.protected(&l)
			w.located(&l, p.Host(w.ctx))
		}
	} else if takes(nameOf(h)) {
		w.before = append(w.before, met{nameOf(h), letsOn(h), w.when, w.groups})
	}
	if p, ok := h.(Wrapper); ok && p.Wraps() {
		wrapped(&l, behind())
	}
	w.findings = append(w.findings, l.All...)
}

// takes tells whether a handler answers requests, or leads them elsewhere.
func takes(handler string) bool {
	return answers(handler) || handler == rewrite
}

// letsOn tells whether a handler answers some of its requests alone: forward_auth is a
// proxy of this kind.
func letsOn(h caddyhttp.MiddlewareHandler) bool {
	switch h := h.(type) {
	case *reverseproxy.Handler:
		return len(h.HandleResponse) > 0
	case *fileserver.FileServer:
		return h.PassThru
	}
	return false
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
		case same == len(m.when) && !m.some:
			l.Fail("routes", "no request reaches uma_protect", word+" stands before it and answers every request", cure)
		case m.some && common(m.groups, w.groups) == len(m.groups):
			l.Warn("routes", "some requests"+m.whose()+" are answered before uma_protect sees them", word+" stands before uma_protect and does not let all of them on",
				"leave it if both are meant to look at requests; else "+cure)
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
	var all []string
	for _, c := range m.when {
		all = append(all, c.text)
	}
	return " with " + strings.Join(all, " and ")
}

func wrapped(l *finding.List, behind bool) {
	if behind {
		l.OK("wrap", "behind uma_sts with wrap there is a reverse_proxy")
		return
	}
	l.Fail("wrap", "the provider that uma_sts wraps does not answer", "there is no reverse_proxy behind uma_sts in this site", "write behind it: reverse_proxy ADDRESS_OF_THE_PROVIDER")
}
