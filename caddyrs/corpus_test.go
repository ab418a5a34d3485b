package caddyrs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// corpus reads a file of testdata/bypass.
func corpus(t testing.TB, name string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "bypass", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		if strings.HasPrefix(line, `"`) {
			if line, err = strconv.Unquote(line); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, line)
	}
	if len(all) < 10 {
		t.Fatalf("%s has %d lines", name, len(all))
	}
	return all
}

// corpusSite is a site with resources by path. reads gives the resource at which
// an upstream arrives that has read the path; the tokens of a resource must open
// no other. Where a resource is public, it needs none.
type corpusSite struct {
	body      string
	resources []string
	public    string
	reads     func(path string) string
}

// mayAlias: who may use a resource may use other names of its pages, also those
// that belong to a resource after it.
func (s corpusSite) mayAlias(upstream, holder, arrives string) bool {
	return slices.Contains([]string{"php", "slash end"}, upstream) &&
		holder != "" && slices.Index(s.resources, holder) < slices.Index(s.resources, arrives)
}

func below(prefix, name, other string) func(string) string {
	return func(path string) string {
		if strings.HasPrefix(strings.ToLower(path), prefix) {
			return name
		}
		return other
	}
}

func corpusSites() map[string]corpusSite {
	matcher := func(m string) string {
		return "\tuma_protect " + m + " " + issuer + " {\n\t\tclient_id api\n\t\tresource admin\n\t\trate_limit off\n\t}\n"
	}
	byPath := func(m string) string {
		return protect("\t\tresource admin {\n\t\t\tmatch {\n\t\t\t\t" + m + "\n\t\t\t}\n\t\t}\n\t\tresource rest")
	}
	admin := below("/admin/", "admin", "rest")
	both := []string{"admin", "rest"}
	return map[string]corpusSite{
		"single":    {protect("\t\tresource all") + proxy, []string{"all"}, "", func(string) string { return "all" }},
		"resources": {protect("\t\tresource admin /admin/*\n\t\tresource rest") + proxy, both, "", admin},
		"reversed": {protect("\t\tresource rest /x/* /public/*\n\t\tresource admin") + proxy, []string{"rest", "admin"}, "", func(p string) string {
			if below("/x/", "rest", "")(p) == "" && below("/public/", "rest", "")(p) == "" {
				return "admin"
			}
			return "rest"
		}},
		"regexp": {byPath("path_regexp ^/admin/") + proxy, both, "", admin},
		"exact": {protect("\t\tresource admin /admin/x\n\t\tresource rest") + proxy, both, "", func(p string) string {
			if strings.EqualFold(p, "/admin/x") {
				return "admin"
			}
			return "rest"
		}},
		"guard": {matcher("/admin/*") + proxy, []string{"admin"}, "rest", admin},
		"guard, not": {"\t@private not path /x/* /public/*\n" + matcher("@private") + proxy, []string{"admin"}, "rest", func(p string) string {
			if below("/x/", "rest", "")(p) == "" && below("/public/", "rest", "")(p) == "" {
				return "admin"
			}
			return "rest"
		}},
		"guard, regexp": {"\t@private path_regexp ^/admin/\n" + matcher("@private") + proxy, []string{"admin"}, "rest", admin},
		"guard, exact": {matcher("/admin/x") + proxy, []string{"admin"}, "rest", func(p string) string {
			if strings.EqualFold(p, "/admin/x") {
				return "admin"
			}
			return "rest"
		}},
		"front controller": {matcher("/admin/*") + "\troute {\n\t\ttry_files {path} /index.php\n\t" + proxy + "\t}\n", []string{"admin"}, "rest", admin},
	}
}

// TestSEC_21_BypassCorpus sends every target over every protocol to every site,
// with the token of each resource and without one.
func TestSEC_21_BypassCorpus(t *testing.T) {
	targets := corpus(t, "targets.txt")
	for name, site := range corpusSites() {
		t.Run("SEC-21 "+name, func(t *testing.T) {
			f := newFront(t, site.body)
			for protocol, w := range wires(f.address) {
				w.send(t, wired{method: "GET", target: "/admin/x", host: "x"}) // registers the resources
				tokens := map[string]string{"": ""}
				for _, r := range site.resources {
					tokens[r] = f.as.rpt(r, []string{"get"}, nil)
				}
				for _, target := range targets {
					for holder, token := range tokens {
						f.try(t, site, protocol, w, target, holder, token)
					}
				}
				w.close()
			}
		})
	}
}

// try sends a target and looks at what reached the backend.
func (f *front) try(t *testing.T, site corpusSite, protocol string, w wire, target, holder, token string) {
	t.Helper()
	f.backend.taken()
	q := wired{method: "GET", target: target, host: "x"}
	if token != "" {
		q.header = []string{"Authorization", "Bearer " + token}
	}
	w.send(t, q)
	for _, h := range f.backend.taken() {
		for upstream, read := range upstreams {
			arrives := site.reads(read(h.target()))
			if arrives != holder && arrives != site.public && !site.mayAlias(upstream, holder, arrives) {
				t.Errorf("%s, %q with the token of %q: %q reached the backend, which (%s) reads it as one of %s",
					protocol, target, holder, h.line, upstream, arrives)
			}
		}
	}
}
