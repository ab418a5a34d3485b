package rs

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// Diff is what the configuration declares against what the authorization server
// has.
type Diff struct {
	// Create are declared and not registered, Undeclared the other way round.
	Create     []Registered `json:"create"`
	Update     []Changed    `json:"update"`
	Undeclared []Registered `json:"undeclared"`
	// InStep is how many are registered as they are declared.
	InStep int `json:"in_step"`
}

// Registered is a resource that is registered, or would be.
type Registered struct {
	ID     string   `json:"resource_id,omitempty"`
	Name   string   `json:"name"`
	Type   string   `json:"type,omitempty"`
	Owner  string   `json:"owner,omitempty"`
	Scopes []string `json:"scopes"`
}

// Changed is a resource that is declared otherwise than it is registered.
type Changed struct {
	Registered
	Changes []Change `json:"changes"`
}

// Change is one member of a description. Scopes are parted by spaces.
type Change struct {
	Member string `json:"member"`
	Was    string `json:"was"`
	Is     string `json:"is"`
}

// Diff compares. It reads what is registered now and changes nothing.
func (s *Server) Diff(ctx context.Context) (*Diff, error) {
	l, err := s.currentLearned(ctx)
	if err != nil {
		return nil, err
	}
	e, err := s.currentEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	have, err := s.list(ctx, e)
	if err != nil {
		return nil, err
	}
	return compare(s.declared(l), have), nil
}

func compare(declared, have []*description) *Diff {
	out := &Diff{Create: []Registered{}, Update: []Changed{}, Undeclared: []Registered{}}
	for _, d := range declared {
		h := find(have, d)
		switch {
		case h == nil:
			out.Create = append(out.Create, d.registered(""))
		case h.equal(d):
			out.InStep++
		default:
			out.Update = append(out.Update, Changed{d.registered(h.ID), h.changes(d)})
		}
	}
	for _, h := range undeclared(have, declared) {
		out.Undeclared = append(out.Undeclared, h.registered(h.ID))
	}
	return out
}

// JoinDiffs makes one of those of resource servers that share a client: what one
// of them declares is not undeclared.
func JoinDiffs(diffs ...*Diff) *Diff {
	out := &Diff{Create: []Registered{}, Update: []Changed{}, Undeclared: []Registered{}}
	for i, d := range diffs {
		out.Create, out.Update = append(out.Create, d.Create...), append(out.Update, d.Update...)
		out.InStep += d.InStep
		if i == 0 {
			out.Undeclared = append(out.Undeclared, d.Undeclared...)
			continue
		}
		out.Undeclared = slices.DeleteFunc(out.Undeclared, func(r Registered) bool {
			return !slices.ContainsFunc(d.Undeclared, func(o Registered) bool { return o.ID == r.ID })
		})
	}
	return out
}

func (d *description) registered(id string) Registered {
	return Registered{
		ID: id, Name: d.Name, Type: d.Type, Owner: or(d.Owner.text(), d.ofOwner),
		Scopes: append([]string{}, d.Scopes...),
	}
}

// changes are the members that differ: d is registered, o is declared.
func (d *description) changes(o *description) []Change {
	var all []Change
	member := func(name, was, is string) {
		if was != is {
			all = append(all, Change{name, was, is})
		}
	}
	member("type", d.Type, o.Type)
	member("description", d.Description, o.Description)
	member("icon_uri", d.IconURI, o.IconURI)
	if !sameSet(d.Scopes, o.Scopes) {
		member("scopes", strings.Join(d.Scopes, " "), strings.Join(o.Scopes, " "))
	}
	if !d.pattern.equal(o.pattern) {
		member("captures", d.pattern.String(), o.pattern.String())
	}
	return all
}

// ownerText is the owner of a resource. Other authorization servers may have a
// member of this name that is no text: it names nobody to us.
type ownerText string

// UnmarshalJSON implements json.Unmarshaler.
func (o *ownerText) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*o = ownerText(text)
	}
	return nil
}

func (o ownerText) text() string { return string(o) }
