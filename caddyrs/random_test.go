package caddyrs

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"pgregory.net/rapid"
)

// parsed is a request with a target, as a server gets it; nil if it refuses it.
func parsed(target string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
	if err != nil {
		return nil
	}
	ctx := context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{})
	return r.WithContext(context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer()))
}

// randomTarget composes a target of what attacks are made of.
func randomTarget() *rapid.Generator[string] {
	pieces := []string{
		"admin", "ADMIN", "aDmin", "adm", "in", "x", "public", "users", "index.php", "..", ".", "...", "", ";", ";a=b", "..;", ".;",
		"(S(a))", " ", "%20", "%2e", "%2E", "%252e", "%2f", "%2F", "%252f", "%25", "%61", "%2561", "%5c", "%255c", "\\", "%3b", "%3f", "?", "#",
		"%23", "%00", "%0a", "%09", "%c0%ae", "%ef%bc%8f", "%ef%bc%8e", "%ef%bd%81dmin", "%e2%80%8b", "%c4%b1", "ı", "%c2%ad", ".php", "%u002f", "+",
	}
	segment := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 4), func(p []string) string { return strings.Join(p, "") })
	separator := rapid.SampledFrom([]string{"/", "/", "/", "//", "%2f", "\\", "/./", "/../", "%5c", "/;/"})
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for range rapid.IntRange(1, 5).Draw(t, "segments") {
			b.WriteString(separator.Draw(t, "separator"))
			b.WriteString(segment.Draw(t, "segment"))
		}
		return rapid.SampledFrom([]string{"", "", "http://x"}).Draw(t, "form") + strings.ReplaceAll(b.String(), " ", "%20")
	})
}

// manyTargets tries targets; if none passes, the test shows nothing.
func manyTargets(t *testing.T, try func(*rapid.T, string) (passes bool)) {
	t.Helper()
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		for _, target := range rapid.SliceOfN(randomTarget(), 1, 40).Draw(t, "targets") {
			if try(t, target) {
				passed++
			}
		}
	})
	if passed == 0 {
		t.Error("no target passed")
	}
}

// TestSEC_21_OrdinaryPathsHaveNoReadings: the short way out is right.
func TestSEC_21_OrdinaryPathsHaveNoReadings(t *testing.T) {
	short := 0
	random := func(t *rapid.T) {
		target := rapid.OneOf(randomTarget(), rapid.StringMatching(`(/{1,2}[a-zA-Z0-9._~-]{0,6}){1,4}`)).Draw(t, "target")
		r := parsed(target)
		if r == nil {
			return
		}
		if all, err := readings(r.URL); err != nil || all != nil {
			return
		}
		short++
		if all, err := allReadings(r.URL); err != nil || len(all) != 0 {
			t.Fatalf("allReadings(%q) = %q, %v, want none", target, all, err)
		}
	}
	rapid.Check(t, random)
	if short == 0 {
		t.Error("no path is ordinary")
	}
}

func paths(p ...string) caddyhttp.MatcherSets { return caddyhttp.MatcherSets{{caddyhttp.MatchPath(p)}} }

// TestSEC_21_RandomTargets: the resource that decides is the one at which every
// upstream arrives.
func TestSEC_21_RandomTargets(t *testing.T) {
	h := &Handler{byPath: true, Resources: []*Resource{
		{Name: "admin", matchers: paths("/admin/*")}, {Name: "users", matchers: paths("/users/x")}, {Name: "rest"},
	}}
	site := corpusSite{resources: []string{"admin", "users", "rest"}, reads: func(p string) string {
		switch {
		case strings.HasPrefix(strings.ToLower(p), "/admin/"):
			return "admin"
		case strings.EqualFold(p, "/users/x"):
			return "users"
		}
		return "rest"
	}}
	manyTargets(t, func(t *rapid.T, target string) (passes bool) {
		r := parsed(target)
		if r == nil || unclear(r) != nil {
			return false
		}
		at, err := h.placeOf(r)
		if err != nil || at.index < 0 {
			return false
		}
		holder := h.Resources[at.index].Name
		for upstream, read := range upstreams {
			if arrives := site.reads(read(r.URL.RequestURI())); arrives != holder && !site.mayAlias(upstream, holder, arrives) {
				t.Fatalf("%q is decided as %s; %s reads %q as %s", target, holder, upstream, r.URL.RequestURI(), arrives)
			}
		}
		return true
	})
}

// TestSEC_21_RandomPublicTargets: what the guard lets through is public for every
// upstream.
func TestSEC_21_RandomPublicTargets(t *testing.T) {
	h := &Handler{guard: paths("/admin/*", "/users/x"), named: true}
	manyTargets(t, func(t *rapid.T, target string) (passes bool) {
		r := parsed(target)
		if r == nil {
			return false
		}
		if protected, err := h.guard.AnyMatchWithError(r); err != nil || protected || !h.publicInAllReadings(r) {
			return false
		}
		for upstream, read := range upstreams {
			p := read(r.URL.RequestURI())
			if strings.HasPrefix(strings.ToLower(p), "/admin/") || strings.EqualFold(p, "/users/x") {
				t.Fatalf("%q is public; %s reads %q", target, upstream, p)
			}
		}
		return true
	})
}
