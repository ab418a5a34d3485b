package rs

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// resource is a Resource with its mapping worked out.
type resource struct {
	Resource
	scopes  []string          // names in the written order, each once
	methods map[string]string // method → scope
	other   string            // scope of every other method, "" = none
	also    []alsoRef
	wants   map[string][]want // by the scope of the request
}

type alsoRef struct {
	index  int
	scopes []string // nil: the scope of the request
}

// want is a permission that a request needs.
type want struct {
	index  int
	scopes []string
	of     *instance // nil = the resource is no pattern
}

// compile works out the mapping of each resource. CONFORMANCE CA-05, A30: the
// scope of a request follows from its method and is never on the wire.
func compile(resources []Resource, fallback []Scope) ([]resource, error) {
	compiled := make([]resource, len(resources))
	for i, r := range resources {
		if r.Name == "" && len(resources) > 1 {
			return nil, fmt.Errorf("resource %d has no name", i+1)
		}
		if slices.ContainsFunc(resources[:i], func(o Resource) bool { return o.Name == r.Name }) {
			return nil, fmt.Errorf("resource '%s' is declared twice", r.Name)
		}
		if err := r.checkCaptures(); err != nil {
			return nil, err
		}
		scopes := r.Scopes
		if len(scopes) == 0 {
			scopes = fallback
		}
		c := resource{Resource: r, methods: map[string]string{}}
		if err := c.mapMethods(scopes); err != nil {
			return nil, err
		}
		compiled[i] = c
	}
	if err := linkAlso(compiled); err != nil {
		return nil, err
	}
	for i := range compiled {
		compiled[i].setWants(i)
	}
	return compiled, nil
}

func (r *resource) mapMethods(scopes []Scope) error {
	for _, s := range scopes {
		if s.Name == "" || strings.ContainsAny(s.Name, " \t\"\\") {
			return fmt.Errorf("resource '%s': '%s' is no scope", r.Name, s.Name)
		}
		if !slices.Contains(r.scopes, s.Name) {
			r.scopes = append(r.scopes, s.Name)
		}
		for _, m := range Methods(s) {
			if err := r.mapMethod(m, s.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *resource) mapMethod(method, scope string) error {
	have := r.methods[method]
	if method == "*" {
		have = r.other
	}
	if have != "" && have != scope {
		return fmt.Errorf("resource '%s': method %s is mapped to both '%s' and '%s'", r.Name, method, have, scope)
	}
	if method == "*" {
		r.other = scope
	} else {
		r.methods[method] = scope
	}
	return nil
}

// Methods gives the methods a scope stands for, defaults filled in.
func Methods(s Scope) []string {
	if len(s.Methods) > 0 {
		return s.Methods
	}
	if strings.EqualFold(s.Name, "get") {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{strings.ToUpper(s.Name)}
}

func linkAlso(all []resource) error {
	for i := range all {
		r := &all[i]
		for _, a := range r.Also {
			ref := alsoRef{index: slices.IndexFunc(all, func(o resource) bool { return o.Name == a.Resource }), scopes: a.Scopes}
			if ref.index < 0 {
				return fmt.Errorf("resource '%s': no resource '%s' for 'also'", r.Name, a.Resource)
			}
			if ref.index == i {
				return fmt.Errorf("resource '%s': 'also' names the resource itself", r.Name)
			}
			if err := r.checkAlso(&all[ref.index].Resource); err != nil {
				return err
			}
			needed := a.Scopes
			if len(needed) == 0 {
				needed = r.scopes
			}
			for _, scope := range needed {
				if !slices.Contains(all[ref.index].scopes, scope) {
					return fmt.Errorf("resource '%s': '%s' has no scope '%s' for 'also'", r.Name, a.Resource, scope)
				}
			}
			r.also = append(r.also, ref)
		}
	}
	return nil
}

// wants gives the permissions that a request needs, its own first; ok is false
// for a method that no scope stands for.
func (s *Server) wants(index int, method string) (all []want, ok bool) {
	if index < 0 || index >= len(s.resources) {
		return nil, false
	}
	r := &s.resources[index]
	scope, ok := r.methods[method]
	if !ok {
		scope = r.other
	}
	return r.wants[scope], scope != ""
}

// setWants works out what requests need, so that none has to.
func (r *resource) setWants(index int) {
	r.wants = map[string][]want{}
	for _, scope := range r.scopes {
		all := []want{{index: index, scopes: []string{scope}}}
		for _, a := range r.also {
			scopes := a.scopes
			if len(scopes) == 0 {
				scopes = []string{scope}
			}
			all = append(all, want{index: a.index, scopes: scopes})
		}
		r.wants[scope] = all
	}
}

// allScopes gives the scopes of all resources, each once.
func (s *Server) allScopes() []string {
	var all []string
	for _, r := range s.resources {
		for _, scope := range r.scopes {
			if !slices.Contains(all, scope) {
				all = append(all, scope)
			}
		}
	}
	return all
}

// MappedMethods gives the methods of a resource that lead to a scope, sorted,
// for a preflight answer.
func (s *Server) MappedMethods(index int) []string {
	if index < 0 || index >= len(s.resources) {
		return nil
	}
	var all []string
	for m := range s.resources[index].methods {
		all = append(all, m)
	}
	if s.resources[index].other != "" {
		for _, m := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	slices.Sort(all)
	return all
}
