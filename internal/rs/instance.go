package rs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// A resource with captures is a pattern: it is registered once and stands for as
// many resources as there are values. Their ids are computed (oauth.InstanceID), so
// nothing is kept or asked for an instance; the authorization server registers it
// when it is first granted.

// instance is what tells an instance of a pattern from the others.
type instance struct {
	owner    string // "" = the pattern's
	captures []oauth.Capture
}

// isPattern tells whether requests are for instances of a resource.
func (r *Resource) isPattern() bool { return len(r.Captures) > 0 || r.OwnerTemplate != "" }

// instantiate fills in which instances a request is for. It fails if the adapter
// has not found out all that tells them.
func (s *Server) instantiate(wants []want, to Target) ([]want, bool) {
	copied := false
	for i, w := range wants {
		r := &s.resources[w.index]
		if !r.isPattern() {
			continue
		}
		of, ok := r.instance(to)
		if !ok {
			return nil, false
		}
		if !copied {
			wants, copied = slices.Clone(wants), true
		}
		wants[i].of = of
	}
	return wants, true
}

func (r *Resource) instance(to Target) (*instance, bool) {
	of := &instance{captures: make([]oauth.Capture, 0, len(r.Captures))}
	if r.OwnerTemplate != "" {
		of.owner = to.Owner
		if !oauth.IsCaptureValue(of.owner) || of.owner == "*" { // CONFORMANCE A41: the * is nobody
			return nil, false
		}
	}
	for _, name := range r.Captures {
		i := slices.IndexFunc(to.Captures, func(c oauth.Capture) bool { return c.Name == name })
		if i < 0 || !oauth.IsCaptureValue(to.Captures[i].Value) {
			return nil, false
		}
		of.captures = append(of.captures, to.Captures[i])
	}
	return of, true
}

// atInstances is the state with the ids of the instances in the place of those of
// their patterns.
func (st *state) atInstances(wants []want) *state {
	if !slices.ContainsFunc(wants, func(w want) bool { return w.of != nil }) {
		return st
	}
	c := *st
	c.ids = slices.Clone(st.ids)
	for _, w := range wants {
		if pattern := st.ids[w.index]; w.of != nil && pattern != "" {
			c.ids[w.index] = oauth.InstanceID(pattern, w.of.owner, w.of.captures)
		}
	}
	return &c
}

// permissionRequest is an entry of a permission request (UMA Fed §4.1) with the
// extension members captures and owner for an instance.
type permissionRequest struct {
	oauth.Permission
	Captures map[string]string `json:"captures,omitzero"`
	Owner    string            `json:"owner,omitempty"`
}

func (w want) request(id string) permissionRequest {
	p := permissionRequest{Permission: oauth.Permission{ResourceID: id, ResourceScopes: w.scopes}}
	if w.of == nil {
		return p
	}
	p.Owner, p.Captures = w.of.owner, w.of.values()
	return p
}

// values are those of the captures by their names.
func (i *instance) values() map[string]string {
	all := make(map[string]string, len(i.captures))
	for _, c := range i.captures {
		all[c.Name] = c.Value
	}
	return all
}

// pattern are the extension members of a description that declare a pattern.
type pattern struct {
	Captures     []string `json:"captures,omitzero"`
	MaxInstances int      `json:"max_instances,omitempty"`
}

func (p pattern) equal(o pattern) bool {
	return (p.Captures == nil) == (o.Captures == nil) && sameSet(p.Captures, o.Captures) && p.MaxInstances == o.MaxInstances
}

// String shows it in a Diff: "user id, 500 instances".
func (p pattern) String() string {
	text := strings.Join(p.Captures, " ")
	if p.MaxInstances > 0 {
		text += fmt.Sprintf(", %d instances", p.MaxInstances)
	}
	return text
}

func (s *Server) patternOf(r *resource) pattern {
	if !r.isPattern() {
		return pattern{}
	}
	return pattern{append([]string{}, r.Captures...), s.cfg.MaxInstances}
}

func (r *Resource) checkCaptures() error {
	if len(r.Captures) > oauth.MaxCaptures {
		return fmt.Errorf("resource '%s': at most %d captures are possible", r.Name, oauth.MaxCaptures)
	}
	for i, name := range r.Captures {
		if !oauth.IsCaptureName(name) || slices.Contains(r.Captures[:i], name) {
			return fmt.Errorf("resource '%s': the capture ':%s' is there twice, or its name is more than letters, digits and _", r.Name, name)
		}
	}
	return nil
}

// checkAlso: a ticket is of one owner (UMA Fed §4), and the values of another
// pattern can only be those of the request.
func (r *Resource) checkAlso(other *Resource) error {
	if other.isPattern() || r.OwnerTemplate != "" {
		if other.OwnerTemplate != r.OwnerTemplate {
			return fmt.Errorf("resource '%s': 'also %s' needs the same owner: a ticket cannot be of two", r.Name, other.Name)
		}
	}
	for _, name := range other.Captures {
		if !slices.Contains(r.Captures, name) {
			return fmt.Errorf("resource '%s': 'also %s' needs the capture :%s, which requests for '%s' do not have", r.Name, other.Name, name, r.Name)
		}
	}
	return nil
}
