package caddyrs

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-uma/caddy-uma/internal/rs"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// scopeKey finds the line at which a method of a resource was mapped.
type scopeKey struct{ resource, method string }

func (p *parser) resource() error {
	line := p.Line()
	if p.CountRemainingArgs() == 0 {
		return p.ArgErr()
	}
	p.NextArg()
	r := &Resource{Name: p.Val()}
	if r.Name == "" || strings.ContainsAny(r.Name, "\r\n") {
		return p.Errf("uma_protect: resource: the name is missing")
	}
	if i := slices.IndexFunc(p.h.Resources, func(o *Resource) bool { return o.Name == r.Name }); i >= 0 {
		return p.Errf("uma_protect: resource '%s' is declared twice (line %d and line %d)", r.Name, p.resourceLines[i], line)
	}
	if err := p.matchers(r); err != nil {
		return err
	}
	p.h.Resources = append(p.h.Resources, r)
	p.resourceLines = append(p.resourceLines, line)
	once := p.lines
	p.lines = map[string]int{} // scalars of the block
	defer func() { p.lines = once }()
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		if err := p.resourceWord(r); err != nil {
			return err
		}
	}
	return nil
}

// matchers reads the paths and @names behind the name: all paths are one set of
// matchers, each @name is one.
func (p *parser) matchers(r *Resource) error {
	var paths caddyhttp.MatchPath
	for p.CountRemainingArgs() > 0 {
		set, isMatcher, err := p.MatcherToken()
		if err != nil {
			return p.WrapErr(err)
		}
		text := p.Val()
		switch {
		case strings.HasPrefix(text, "@") && isMatcher:
			r.MatcherSetsRaw = append(r.MatcherSetsRaw, set)
		case strings.ContainsAny(text, "{}"):
			return p.Errf("resource '%s': '%s' in a pattern; write a capture as :name", r.Name, text)
		case hasCaptures(text):
			r.Patterns = append(r.Patterns, text)
		case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "*"):
			return p.Errf("uma_protect: resource '%s': '%s' is neither a path nor a @matcher; quote a name of several words", r.Name, text)
		default:
			paths = append(paths, text)
		}
	}
	if err := p.patterns(r, paths); err != nil {
		return err
	}
	if len(paths) > 0 && !slices.Contains(paths, "*") {
		r.MatcherSetsRaw = append(r.MatcherSetsRaw, caddy.ModuleMap{"path": p.JSON(paths)})
	} else if len(paths) > 0 {
		r.MatcherSetsRaw = nil // everything
	}
	return nil
}

// patterns checks the paths with captures; paths are those without.
func (p *parser) patterns(r *Resource, paths []string) error {
	switch {
	case len(r.Patterns) == 0:
		return nil
	case len(r.MatcherSetsRaw) > 0:
		return p.Errf("uma_protect: resource '%s': captures and @matchers cannot stand together", r.Name)
	case len(paths) > 0:
		return p.Errf("uma_protect: resource '%s': '%s' lacks the captures of '%s'", r.Name, paths[0], r.Patterns[0])
	}
	if err := new(Handler).checkResource(r); err != nil {
		return p.Errf("uma_protect: %v", err)
	}
	return nil
}

func (p *parser) resourceWord(r *Resource) error {
	words := map[string]func() error{
		"match":       func() error { return p.match(r) },
		"scope":       func() error { return p.scope(r.Name, &r.Scopes) },
		"type":        func() error { return p.scalar(&r.Type) },
		"description": func() error { return p.scalar(&r.Description) },
		"icon_uri":    func() error { return p.scalar(&r.IconURI) },
		"owner":       func() error { return p.scalar(&r.Owner) },
		"also":        func() error { return p.also(r) },
		"require":     func() error { return p.binding(&r.Require) },
	}
	if parse, ok := words[p.Val()]; ok {
		return parse()
	}
	return syntax.Unknown(p.Dispenser, directive, slices.Sorted(maps.Keys(words))...)
}

func (p *parser) match(r *Resource) error {
	if err := p.once("match"); err != nil {
		return err
	}
	if len(r.MatcherSetsRaw)+len(r.Patterns) > 0 {
		return p.Errf("uma_protect: resource '%s' has paths or @matchers and a match block; write one of them", r.Name)
	}
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(p.Dispenser)
	if err != nil {
		return err
	}
	if len(set) == 0 {
		return p.Errf("uma_protect: resource '%s': the match block is empty", r.Name)
	}
	r.MatcherSetsRaw = caddyhttp.RawMatcherSets{set}
	return nil
}

func (p *parser) scope(resource string, to *[]Scope) error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return p.ArgErr()
	}
	s := Scope{Name: args[0]}
	for _, m := range args[1:] {
		if m != "*" && !isToken(m) {
			return p.Errf("uma_protect: scope '%s': '%s' is no method", s.Name, m)
		}
		s.Methods = append(s.Methods, strings.ToUpper(m))
	}
	if len(s.Methods) == 0 && !isToken(strings.ToUpper(s.Name)) {
		return p.Errf("uma_protect: scope '%s' needs methods: its name is none", s.Name)
	}
	for _, m := range rs.Methods(rs.Scope(s)) {
		if err := p.mapped(resource, s.Name, m, *to); err != nil {
			return err
		}
	}
	*to = append(*to, s)
	return nil
}

// mapped refuses a method that another scope has.
func (p *parser) mapped(resource, scope, method string, before []Scope) error {
	for _, other := range before {
		if other.Name == scope || !slices.Contains(rs.Methods(rs.Scope(other)), method) {
			continue
		}
		prefix := "uma_protect"
		if resource != "" {
			prefix = "resource '" + resource + "'"
		}
		return p.Errf("%s: method %s is mapped to both '%s' (line %d) and '%s' (line %d)", prefix, method,
			other.Name, p.scopeLines[scopeKey{resource, method}], scope, p.Line())
	}
	p.scopeLines[scopeKey{resource, method}] = p.Line()
	return nil
}

func (p *parser) also(r *Resource) error {
	args := p.RemainingArgs()
	if len(args) == 0 {
		return p.ArgErr()
	}
	r.Also = append(r.Also, Also{Resource: args[0], Scopes: args[1:]})
	return nil
}

// checkReach refuses a resource that never decides because an earlier one
// covers all of its paths.
func (p *parser) checkReach() error {
	for i, r := range p.h.Resources {
		for j, earlier := range p.h.Resources[:i] {
			if what := covered(r.matcherSets(), earlier.matcherSets()); what != "" {
				return p.Errf("resource '%s' (line %d) can never match: '%s' (line %d) already covers %s",
					r.Name, p.resourceLines[i], earlier.Name, p.resourceLines[j], what)
			}
		}
	}
	return nil
}

// matcherSets are those of a resource, with its patterns in the place of paths.
func (r *Resource) matcherSets() caddyhttp.RawMatcherSets {
	if len(r.Patterns) == 0 {
		return r.MatcherSetsRaw
	}
	paths, _ := json.Marshal(r.Patterns) // texts
	return caddyhttp.RawMatcherSets{{"path": paths}}
}

// covered tells what of a covers b altogether, "" if nothing does.
func covered(b, a caddyhttp.RawMatcherSets) string {
	if len(a) == 0 {
		return "everything"
	}
	var patterns []string // of a, those that ask for nothing but a path
	for _, set := range a {
		if len(set) == 1 {
			patterns = append(patterns, pathsOf(set)...)
		}
	}
	var what []string
	for _, set := range b {
		paths := pathsOf(set)
		if len(paths) == 0 {
			return ""
		}
		for _, path := range paths {
			i := slices.IndexFunc(patterns, func(pattern string) bool { return covers(pattern, path) })
			if i < 0 {
				return ""
			}
			if !slices.Contains(what, patterns[i]) {
				what = append(what, patterns[i])
			}
		}
	}
	return strings.Join(what, " ")
}

func pathsOf(set caddy.ModuleMap) []string {
	var paths []string
	_ = json.Unmarshal(set["path"], &paths)
	return paths
}

// covers tells whether every path of one pattern is one of the other, for the
// forms that people write; Caddy compares paths without case.
func covers(a, b string) bool {
	if hasCaptures(a) {
		return patternCovers(a, b)
	}
	b = captureText.ReplaceAllString(b, "*")
	a, b = strings.ToLower(a), strings.ToLower(b)
	if a == b || a == "*" || a == "/*" {
		return true
	}
	prefix, isPrefix := strings.CutSuffix(a, "*")
	if !isPrefix || strings.ContainsAny(prefix, `*?[\%`) {
		return false
	}
	literal, _, _ := strings.Cut(b, "*")
	if strings.ContainsAny(literal, `?[\%`) {
		return false
	}
	return strings.HasPrefix(literal, prefix)
}

// patternCovers is covers for a pattern with captures.
func patternCovers(a, b string) bool {
	p, err := newPattern(a)
	all := samples(b)
	for _, sample := range all {
		if err != nil {
			return false
		}
		captures, _, matchErr := p.match(sample)
		if matchErr != nil || captures == nil {
			return false
		}
	}
	return len(all) > 0
}
