package sites

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// leadsOn tells whether a proxy stands in the routes after one. Of the alternatives of a
// group a request takes one.
func (w *walk) leadsOn(route caddyhttp.Route, after caddyhttp.RouteList, depth int) bool {
	for _, next := range after {
		if (route.Group == "" || next.Group != route.Group) && w.proxy(next.Handlers, depth, map[string]bool{}) {
			return true
		}
	}
	return false
}

// proxy tells whether there is one in a list; seen are the named routes that were looked
// at.
func (w *walk) proxy(list []caddyhttp.MiddlewareHandler, depth int, seen map[string]bool) bool {
	if depth > maxDepth {
		return false
	}
	for _, h := range list {
		switch h := h.(type) {
		case *caddyhttp.Subroute:
			for _, route := range h.Routes {
				if w.proxy(route.Handlers, depth+1, seen) {
					return true
				}
			}
		case *caddyhttp.Invoke:
			if route := w.named[h.Name]; route != nil && !seen[h.Name] {
				seen[h.Name] = true
				if w.proxy(route.Handlers, depth+1, seen) {
					return true
				}
			}
		default:
			if strings.Contains(nameOf(h), "proxy") {
				return true
			}
		}
	}
	return false
}

// nameOf is the name of a handler's module.
func nameOf(h caddyhttp.MiddlewareHandler) string {
	m, ok := h.(caddy.Module)
	if !ok {
		return ""
	}
	return m.CaddyModule().ID.Name()
}
