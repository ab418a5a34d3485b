package caddyrs

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func init() {
	httpcaddyfile.RegisterDirective("uma_protect", parseDirective)
	// Behind basic_auth come handle, route, respond and reverse_proxy: nothing
	// of the site answers before the protection.
	httpcaddyfile.RegisterDirectiveOrder("uma_protect", httpcaddyfile.After, "basic_auth")
}

const wellKnown = "/.well-known/" + oauth.WellKnownResource

// parseDirective reads the directive
//
//	uma_protect [<matcher>] <as_issuer> {
//		client_id       <id>
//		client_secret   <secret>
//		private_key_jwt <key_file>
//		tls_client_auth <cert_file> <key_file>
//		resource_uri    <uri>
//		owner           <id>
//
//		resource <name> [<paths...|@matchers...>] { # paths may hold captures: /users/:user/photos/:id
//			match {
//				<matcher> ...
//			}
//			scope       <scope> [<methods...>|*]
//			type        <uri>
//			description <text>
//			icon_uri    <uri>
//			owner       <id>
//			also        <resource> [<scopes...>]
//			require     dpop|mtls
//		}
//		scope   <scope> [<methods...>|*]
//		require dpop|mtls
//		dpop_nonces
//		delete_undeclared
//
//		check            local|introspection
//		revocation       <max_age> [fail_open]
//		max_rpt_lifetime <duration>
//		cache            <n>
//		max_instances    <n>
//		leeway           <duration>
//
//		header_up <field> <value>
//		assertion <field> <audience>
//		forward_authorization
//
//		cors       <origins...>|*|pass
//		rate_limit <n> <window>|off
//		errors     pass
//		metadata   off
//		realm      <text>
//		trust_pool <module> ...
//	}
//
// and makes up to three routes of it: the document of RFC 9728 and the keys of
// assertions, which the matcher does not restrict; the protection, in one group with those of the
// same block, so that the most specific path wins and two are never stacked;
// and, behind a protection with a matcher, the guard of what it leaves public.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	matcherText := ""
	if h.NextArg() {
		matcherText = h.Val()
	}
	h.Reset()
	h.Next()
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	isMatcher := matcherText != "" && strings.Contains("/@*", matcherText[:1])
	p := parser{Helper: h, lines: map[string]int{}}
	if err := p.parse(isMatcher, matcherText); err != nil {
		return nil, err
	}
	if err := checkNesting(h, &p.h); err != nil {
		return nil, err
	}
	return p.routes(matchers), nil
}

func (p *parser) routes(matchers caddy.ModuleMap) []httpcaddyfile.ConfigValue {
	var all []httpcaddyfile.ConfigValue
	add := func(r caddyhttp.Route, h Handler) {
		r.HandlersRaw = []json.RawMessage{caddyconfig.JSONModuleObject(&h, "handler", "uma_protect", nil)}
		all = append(all, httpcaddyfile.ConfigValue{Class: "route", Value: r})
	}
	if paths, documents := p.h.documents(); len(paths) > 0 {
		match := caddy.ModuleMap{"path": p.JSON(paths)}
		add(caddyhttp.Route{MatcherSetsRaw: caddyhttp.RawMatcherSets{match}}, documents)
	}
	protection := caddyhttp.Route{Group: groupOf(p.Helper)}
	if matchers != nil {
		protection.MatcherSetsRaw = caddyhttp.RawMatcherSets{matchers}
	}
	add(protection, p.h)
	if matchers != nil {
		add(caddyhttp.Route{}, Handler{GuardRaw: caddyhttp.RawMatcherSets{matchers}, HeaderUp: p.h.HeaderUp, Assertion: p.h.Assertion})
	}
	return all
}

// documents gives the places of what is public, and the handler for them.
func (h *Handler) documents() (caddyhttp.MatchPath, Handler) {
	var paths caddyhttp.MatchPath
	handler := *h
	handler.Metadata = metadataKeys
	if h.Metadata != metadataOff {
		paths = append(paths, wellKnown, wellKnown+"/*")
		handler.Metadata = metadataOnly
	}
	if h.Assertion != nil {
		paths = append(paths, rs.WellKnownKeys, rs.WellKnownKeys+"/*")
	}
	return paths, handler
}

// groupOf gives the route group of the block. Its name is unique in the whole
// configuration: groups are per request, and a second block with the same name
// that the request comes to would be skipped.
func groupOf(h httpcaddyfile.Helper) string {
	type group struct {
		block uintptr // nested blocks start with a copy of the outer state
		name  string
	}
	block := reflect.ValueOf(h.BlockState).Pointer()
	if g, ok := h.BlockState["uma_protect.group"].(group); ok && g.block == block {
		return g.name
	}
	two := []httpcaddyfile.ConfigValue{{Value: caddyhttp.Route{}}, {Value: caddyhttp.Route{}}}
	h.GroupRoutes(two)
	g := group{block, two[0].Value.(caddyhttp.Route).Group}
	h.BlockState["uma_protect.group"] = g
	return g.name
}

// checkNesting refuses a protection inside a block of a site that has one at
// its top: the outer one would take away the token that the inner one needs.
func checkNesting(h httpcaddyfile.Helper, settings *Handler) error {
	nested := reflect.ValueOf(h.BlockState).Pointer() != reflect.ValueOf(h.State).Pointer()
	if nested && settings.Metadata != metadataOff {
		h.JSON(warning("uma_protect inside handle: " + documentOf(settings) + " is not served unless it comes to this block; write 'uma_protect <matcher> " + settings.Issuer + "' at site level"))
	}
	site := siteOf(h)
	if site == "" {
		return nil
	}
	mine, other := "uma_protect.top."+site, "uma_protect.nested."+site
	if nested {
		mine, other = other, mine
	}
	h.State[mine] = true
	if h.State[other] == nil {
		return nil
	}
	return h.Errf("uma_protect: a uma_protect inside handle or route cannot stand below one of the same site; write both at site level, with matchers")
}

// documentOf gives the place of the RFC 9728 document as far as it is known.
func documentOf(h *Handler) string {
	if uri, err := oauth.ParseResource(h.ResourceURI); err == nil {
		return wellKnown + strings.TrimSuffix(uri.Path, "/")
	}
	return wellKnown
}

// siteOf names the site block of a directive. Caddy keeps the block to itself
// and shares State among all sites, so its keys are read by reflection; if
// Caddy renames the field, the check above is lost and nothing else: stacked
// protections refuse everything.
func siteOf(h httpcaddyfile.Helper) string {
	block := reflect.ValueOf(h).FieldByName("parentBlock")
	if block.Kind() != reflect.Struct {
		return ""
	}
	keys := block.FieldByName("Keys")
	if keys.Kind() != reflect.Slice {
		return ""
	}
	var b strings.Builder
	for i := range keys.Len() {
		key := keys.Index(i)
		if key.Kind() != reflect.Struct || key.FieldByName("Text").Kind() != reflect.String {
			return ""
		}
		fmt.Fprintf(&b, "%s\x00", key.FieldByName("Text").String())
	}
	return b.String()
}

// warning becomes a warning of the adapter by failing to become JSON: the
// helper offers no other way.
type warning string

// MarshalJSON implements json.Marshaler.
func (w warning) MarshalJSON() ([]byte, error) { return nil, errors.New(string(w)) }
