package sites_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/sites"
)

// fake is a handler with the name of a module.
type fake string

func (f fake) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID("http.handlers." + string(f))}
}

func (fake) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { return nil }

type protect struct{ fake }

func (protect) Protects() bool { return true }

func (protect) Host(context.Context) string { return "" }

// guard is of the same module and protects nothing.
type guard struct{ fake }

func (guard) Protects() bool { return false }

func (guard) Host(context.Context) string { return "elsewhere.example" }

// at is where clients think that it is.
type at struct {
	protect
	host string
}

func (a at) Host(context.Context) string { return a.host }

type wrap struct{ fake }

func (wrap) Wraps() bool { return true }

// when makes a route with paths, group one of alternatives.
func when(paths []string, handlers ...caddyhttp.MiddlewareHandler) caddyhttp.Route {
	r := caddyhttp.Route{Handlers: handlers}
	if len(paths) > 0 {
		match := caddyhttp.MatchPath(paths)
		r.MatcherSets = caddyhttp.MatcherSets{{&match}}
	}
	return r
}

// with makes a route with a matcher.
func with(m any, handlers ...caddyhttp.MiddlewareHandler) caddyhttp.Route {
	return caddyhttp.Route{Handlers: handlers, MatcherSets: caddyhttp.MatcherSets{{m}}}
}

func method(name string) *caddyhttp.MatchMethod { return &caddyhttp.MatchMethod{name} }

func invoke(name string) *caddyhttp.Invoke { return &caddyhttp.Invoke{Name: name} }

func group(r caddyhttp.Route) caddyhttp.Route {
	r.Group = "group1"
	return r
}

func sub(routes ...caddyhttp.Route) *caddyhttp.Subroute { return &caddyhttp.Subroute{Routes: routes} }

func site(name string, routes ...caddyhttp.Route) caddyhttp.Route {
	host := caddyhttp.MatchHost{name}
	return caddyhttp.Route{Handlers: []caddyhttp.MiddlewareHandler{sub(routes...)}, MatcherSets: caddyhttp.MatcherSets{{&host}}, Terminal: true}
}

const (
	proxy   = fake("reverse_proxy")
	respond = fake("static_response")
	rewrite = fake("rewrite")
)

func TestExamine(t *testing.T) {
	protected, all := protect{"uma_protect"}, []string(nil)
	routes := map[string]caddyhttp.Route{"protected": when(all, protected), "answered": when(all, sub(when(all, proxy))), "circle": when(all, invoke("circle"), invoke("circle"))}
	named := map[string]*caddyhttp.Route{}
	for name, route := range routes {
		named[name] = &route
	}
	api := func(routes ...caddyhttp.Route) []caddyhttp.Route {
		return []caddyhttp.Route{site("api.example", routes...)}
	}
	for _, tc := range []struct {
		name   string
		routes []caddyhttp.Route
		want   []string
	}{
		{"nothing of ours", api(when(all, proxy)), nil},
		{"protected", api(when(all, protected), when(all, proxy)), []string{"ok nothing before uma_protect takes its requests away"}},
		{"in one route", api(when(all, protected, proxy)), []string{"ok nothing before uma_protect takes its requests away"}},
		{"respond takes all", api(when(all, respond), when(all, protected), when(all, proxy)), []string{"failure no request reaches uma_protect"}},
		{"a proxy takes all", api(when(all, proxy, protected)), []string{"failure no request reaches uma_protect"}},
		{
			"respond for health", api(when([]string{"/health"}, respond), when(all, protected), when(all, proxy)),
			[]string{"ok requests with path /health are answered by 'respond' or 'redir', not by what uma_protect protects"},
		},
		{
			"a proxy for some", api(when([]string{"/public/*", "/p"}, proxy), when(all, protected), when(all, proxy)),
			[]string{"warning requests with path /public/* /p are not protected"},
		},
		{
			"alternatives", api(group(when([]string{"/public/*"}, sub(when(all, proxy)))), group(when(all, sub(when(all, protected), when(all, proxy))))),
			[]string{"ok requests with path /public/* are answered by 'reverse_proxy', not by what uma_protect protects"},
		},
		{
			"before it in the same alternative", api(group(when([]string{"/api/*"}, sub(when([]string{"/api/x"}, proxy), when(all, protected))))),
			[]string{"warning requests with path /api/* and path /api/x are not protected"},
		},
		{
			"all of the alternative", api(group(when([]string{"/api/*"}, sub(when(all, proxy), when(all, protected))))),
			[]string{"failure no request reaches uma_protect"},
		},
		{
			"rewritten before a matcher", api(when([]string{"/old/*"}, rewrite), when([]string{"/private/*"}, protected), when(all, proxy)),
			[]string{"warning requests with path /old/* get another path before uma_protect sees them"},
		},
		{"rewritten, and all are protected", api(when([]string{"/old/*"}, rewrite), when(all, protected)), []string{"ok nothing before uma_protect takes its requests away"}},
		{"handle_path", api(group(when([]string{"/api/*"}, sub(when(all, rewrite), when(all, sub(when(all, protected))))))), []string{"ok nothing before uma_protect takes its requests away"}},
		{"the guard is none", api(when(all, guard{"uma_protect"}), when(all, protected)), []string{"ok nothing before uma_protect takes its requests away"}},
		{"another site", append(api(when(all, respond)), site("b.example", when(all, protected))), []string{"ok nothing before uma_protect takes its requests away"}},
		{"of every site", append([]caddyhttp.Route{when(all, respond)}, api(when(all, protected))...), []string{"failure no request reaches uma_protect"}},
		{"wrap", api(when(all, wrap{"uma_sts"}), when(all, proxy)), []string{"ok behind uma_sts with wrap there is a reverse_proxy"}},
		{"wrap in a handle", api(when(all, sub(when(all, wrap{"uma_sts"}))), when(all, sub(when(all, proxy)))), []string{"ok behind uma_sts with wrap there is a reverse_proxy"}},
		{
			"other conditions of the same kind", api(with(method("OPTIONS"), respond), with(method("GET"), protected)),
			[]string{"ok requests with a matcher 'method' are answered by 'respond' or 'redir', not by what uma_protect protects"},
		},
		{"the same condition", api(with(method("GET"), respond), with(method("GET"), protected)), []string{"failure no request reaches uma_protect"}},
		{
			"conditions that cannot be compared", api(with(&caddyhttp.MatchNot{}, respond), with(&caddyhttp.MatchNot{}, protected)),
			[]string{"ok requests with a matcher 'not' are answered by 'respond' or 'redir', not by what uma_protect protects"},
		},
		{
			"before it under one that cannot be compared", api(with(&caddyhttp.MatchNot{}, sub(when(all, respond), when(all, protected)))),
			[]string{"failure no request reaches uma_protect"},
		},
		{
			"forward_auth", api(when(all, &reverseproxy.Handler{HandleResponse: make([]caddyhttp.ResponseHandler, 1)}), when(all, protected)),
			[]string{"warning some requests are answered before uma_protect sees them"},
		},
		{"a proxy that answers", api(when(all, &reverseproxy.Handler{}), when(all, protected)), []string{"failure no request reaches uma_protect"}},
		{
			"files, if there are any", api(when(all, &fileserver.FileServer{PassThru: true}), when(all, protected)),
			[]string{"warning some requests are answered before uma_protect sees them"},
		},
		{"files", api(when(all, &fileserver.FileServer{}), when(all, protected)), []string{"failure no request reaches uma_protect"}},
		{"invoked", api(when(all, invoke("protected"))), []string{"ok nothing before uma_protect takes its requests away"}},
		{"invoked behind what takes all", api(when(all, respond), when(all, invoke("protected"))), []string{"failure no request reaches uma_protect"}},
		{"invoked before it", api(when(all, invoke("answered")), when(all, protected)), []string{"failure no request reaches uma_protect"}},
		{"invoked, and not there", api(when(all, invoke("x")), when(all, protected)), []string{"ok nothing before uma_protect takes its requests away"}},
		{"wrap with an invoked proxy", api(when(all, wrap{"uma_sts"}), when(all, invoke("answered"))), []string{"ok behind uma_sts with wrap there is a reverse_proxy"}},
		{"wrap with an invoked circle", api(when(all, wrap{"uma_sts"}), when(all, invoke("circle"))), []string{"failure the provider that uma_sts wraps does not answer"}},
		{
			"wrap with the proxy of another site", append(api(when(all, wrap{"uma_sts"})), site("b.example", when(all, proxy))),
			[]string{"failure the provider that uma_sts wraps does not answer"},
		},
		{
			"wrap with the proxy of another alternative", api(group(when([]string{"/a/*"}, sub(when(all, wrap{"uma_sts"})))), group(when(all, sub(when(all, proxy))))),
			[]string{"failure the provider that uma_sts wraps does not answer"},
		},
		{
			"wrap in one of some alternatives", api(group(when([]string{"/a/*"}, sub(when(all, wrap{"uma_sts"})))), when(all, proxy)),
			[]string{"ok behind uma_sts with wrap there is a reverse_proxy"},
		},
		{"wrap with nothing behind", api(when(all, proxy), when(all, wrap{"uma_sts"}), when(all, respond)), []string{"failure the provider that uma_sts wraps does not answer"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range sites.Examine(t.Context(), map[string]*caddyhttp.Server{"srv0": {Listen: []string{":443"}, Routes: tc.routes, NamedRoutes: named}}) {
				got = append(got, string(f.Level)+" "+f.What)
				if (f.Level == "ok") != (f.Cause == "") || (f.Cause == "") != (f.Cure == "") {
					t.Errorf("%+v", f)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The site must answer for the host that clients are told.
func TestExamineHost(t *testing.T) {
	for _, tc := range []struct{ site, host, level string }{
		{"api.example", "api.example", "ok"},
		{"api.example", "api.example:8443", "ok"},
		{"API.example", "api.EXAMPLE", "ok"},
		{"*.example", "api.example", "ok"},
		{"*.example", "a.b.example", "warning"},
		{"api.example", "www.example", "warning"},
		{"::1", "[::1]", "ok"},
		{"::1", "[::1]:8443", "ok"},
		{"::1", "[::2]:8443", "warning"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example:8443", "ok"},
		{"api.example", "api.example.evil", "warning"},
		{"api.example", "", ""},
		{"", "api.example", ""},
	} {
		handler := when(nil, at{protect{"uma_protect"}, tc.host})
		if tc.site != "" {
			handler = site(tc.site, handler)
		}
		level := ""
		for _, f := range sites.Examine(t.Context(), map[string]*caddyhttp.Server{"srv0": {Routes: caddyhttp.RouteList{handler}}}) {
			if f.Check == "host" {
				level = string(f.Level)
			}
		}
		if level != tc.level {
			t.Errorf("%q at %q: %q, want %q", tc.host, tc.site, level, tc.level)
		}
	}
}

// The subject is the name of the site; without one, where the server listens.
func TestExamineSubject(t *testing.T) {
	for subject, routes := range map[string][]caddyhttp.Route{
		"site api.example": {site("api.example", when(nil, protect{"uma_protect"}))},
		"site :443":        {when(nil, protect{"uma_protect"})},
	} {
		got := sites.Examine(t.Context(), map[string]*caddyhttp.Server{"srv0": {Listen: []string{":443"}, Routes: routes}})
		if len(got) != 1 || got[0].Subject != subject {
			t.Errorf("%+v, want %s", got, subject)
		}
	}
}

// Hosts may be written in several sets, and in lists so long that they are sorted.
func TestExamineHostSets(t *testing.T) {
	one, two, long := caddyhttp.MatchHost{"z.example"}, caddyhttp.MatchHost{"api.example"}, caddyhttp.MatchHost{"api.example"}
	for i := range 150 {
		long = append(long, fmt.Sprintf("h%d.example", i))
	}
	if err := long.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	path := caddyhttp.MatchPath{"/x"}
	for name, tc := range map[string]struct {
		sets  caddyhttp.MatcherSets
		level string
	}{
		"two sets":           {caddyhttp.MatcherSets{{&one}, {&two}}, "ok"},
		"with a long one":    {caddyhttp.MatcherSets{{&one}, {&long}}, "ok"},
		"neither":            {caddyhttp.MatcherSets{{&one}, {&one}}, "warning"},
		"and for every host": {caddyhttp.MatcherSets{{&one}, {&path}}, ""},
	} {
		route := caddyhttp.Route{Handlers: []caddyhttp.MiddlewareHandler{at{protect{"uma_protect"}, "api.example"}}, MatcherSets: tc.sets}
		level := ""
		for _, f := range sites.Examine(t.Context(), map[string]*caddyhttp.Server{"srv0": {Routes: caddyhttp.RouteList{route}}}) {
			if f.Check == "host" {
				level = string(f.Level)
			}
		}
		if level != tc.level {
			t.Errorf("%s: %q, want %q", name, level, tc.level)
		}
	}
}

// Routes that never end are not gone through for ever.
func TestExamineDepth(t *testing.T) {
	deep := sub()
	deep.Routes = caddyhttp.RouteList{when(nil, deep)}
	if got := sites.Examine(t.Context(), map[string]*caddyhttp.Server{"srv0": {Routes: caddyhttp.RouteList{when(nil, deep)}}}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
