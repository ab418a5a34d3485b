package policy

import (
	"context"
	"strings"
)

// Explainer is a Policy that can tell why it decided as it did. It decides as
// Evaluate does, within the same budget, but may take longer: it is asked by
// the administrator (`caddy uma explain`), never by a token request.
type Explainer interface {
	Policy
	Explain(ctx context.Context, in *Input, how Detail) Explanation
}

// Detail says how much an explanation tells.
type Detail struct {
	// Values adds the values that were looked at. Without it an explanation holds
	// names, types and sizes only: the claims are other people's.
	Values bool
}

// Explanation is the outcome of a policy and the parts of it that decided.
type Explanation struct {
	// Result and Err are what Evaluate gives.
	Result bool
	Err    error
	// Parts decided, in the order in which they are written. Without parts the
	// policy as a whole did.
	Parts []Part
}

// Part is a part of a condition.
type Part struct {
	// Source is its text.
	Source string
	// Result is its value; with an Err it has none.
	Result bool
	Err    error
	// Names are what it looks at, e.g. claims.groups or email.domain.
	Names []Name
}

// Name is something that a part looks at.
type Name struct {
	Name string
	// Missing: there is nothing of this name.
	Missing bool
	// Kind is the type, in JSON's words with the size of what has one: "text",
	// "number", "3 entries". It is empty where the type is always the same.
	Kind string
	// Value is the value as JSON, cut when it is long; empty unless Detail.Values.
	Value string
}

// String is one line, e.g.
// `"auditor" in claims.groups is false (claims.groups has 3 entries)`.
func (e Explanation) String() string {
	if len(e.Parts) == 0 {
		return "the condition " + verdict(e.Result, e.Err)
	}
	lines := make([]string, len(e.Parts))
	for i, p := range e.Parts {
		lines[i] = p.String()
	}
	return strings.Join(lines, "; ")
}

// String is what the part says, and why.
func (p Part) String() string {
	text := p.Source + " " + verdict(p.Result, p.Err)
	var notes []string
	for _, n := range p.Names {
		switch note := n.String(); {
		case n.Missing && p.Err != nil:
			return note
		case note != "":
			notes = append(notes, note)
		}
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// verdict says what a condition came to.
func verdict(result bool, err error) string {
	switch {
	case err != nil:
		return "cannot be evaluated: " + err.Error()
	case result:
		return "is true"
	default:
		return "is false"
	}
}

// String is what is known of the name, or "".
func (n Name) String() string {
	switch {
	case n.Missing:
		return n.Name + " is missing"
	case n.Value != "":
		return n.Name + " = " + n.Value
	case strings.HasSuffix(n.Kind, "entries"), strings.HasSuffix(n.Kind, "entry"):
		return n.Name + " has " + n.Kind
	case n.Kind == "null":
		return n.Name + " is null"
	case n.Kind != "":
		return n.Name + " is a " + n.Kind
	default:
		return ""
	}
}

// Explain asks a policy why. One that cannot tell is evaluated, and stands as a
// whole.
func Explain(ctx context.Context, p Policy, in *Input, how Detail) Explanation {
	if e, ok := p.(Explainer); ok {
		return e.Explain(ctx, in, how)
	}
	result, err := p.Evaluate(ctx, in)
	return Explanation{Result: result && err == nil, Err: err}
}
