package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// explanation is the answer of the admin API about one decision.
type explanation struct {
	DecisionID      string              `json:"decision_id"`
	At              time.Time           `json:"at"`
	Outcome         string              `json:"outcome"`
	Reason          string              `json:"reason"`
	Policy          string              `json:"policy"`
	PolicyRevision  string              `json:"policy_revision"`
	CurrentRevision string              `json:"current_revision"`
	ClientID        string              `json:"client_id"`
	ResourceServer  string              `json:"resource_server"`
	Owner           string              `json:"owner"`
	Evidence        string              `json:"evidence"`
	Person          explainedPerson     `json:"person"`
	Notes           []string            `json:"notes"`
	Resources       []explainedResource `json:"resources"`
}

type explainedPerson struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Email   string `json:"email"`
}

type explainedResource struct {
	ID       string            `json:"resource_id"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Captures map[string]string `json:"captures"`
	Scopes   []explainedScope  `json:"scopes"`
	Policies []explainedPolicy `json:"policies"`
}

type explainedScope struct {
	Scope   string `json:"scope"`
	Allowed bool   `json:"allowed"`
	Policy  string `json:"policy"`
	Shadow  string `json:"shadow"`
}

type explainedPolicy struct {
	Name   string `json:"name"`
	Effect string `json:"effect"`
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// text is the explanation for people: the verdict first, then what it is about,
// then each resource.
func (x *explanation) text() string {
	var b strings.Builder
	b.WriteString(x.verdict() + "\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range x.facts() {
		if row[1] != "" {
			_, _ = fmt.Fprintf(w, "  %s\t%s\n", row[0], printable(row[1]))
		}
	}
	_ = w.Flush() // a strings.Builder takes everything
	for _, r := range x.Resources {
		r.write(&b)
	}
	for _, note := range x.Notes {
		b.WriteString("\nNote: " + printable(note) + "\n")
	}
	return b.String()
}

// verdict is one sentence.
func (x *explanation) verdict() string {
	what := map[string]string{
		"granted": "Granted", "denied": "Denied", "need_info": "Not yet", "refused": "Refused", "failed": "Failed",
	}[x.Outcome]
	if what == "" {
		what = "Outcome " + printable(x.Outcome)
	}
	s := fmt.Sprintf("%s: %s with client '%s' at resource server '%s'", what, x.Person.name(), printable(x.ClientID), printable(x.ResourceServer))
	switch {
	case x.Policy != "":
		s += fmt.Sprintf("; policy '%s' decided", printable(x.Policy))
	case x.Outcome == "denied":
		s += "; no policy decided, and what no policy allows is denied"
	}
	return s + "."
}

func (p explainedPerson) name() string {
	switch {
	case p.Email != "":
		return printable(p.Email)
	case p.Subject != "":
		return printable(p.Subject)
	}
	return "somebody"
}

func (x *explanation) facts() [][2]string {
	revision := x.PolicyRevision
	if x.CurrentRevision != "" && x.CurrentRevision != x.PolicyRevision && x.PolicyRevision != "" {
		revision += " then, " + x.CurrentRevision + " now"
	}
	return [][2]string{
		{"reason", x.Reason},
		{"decision", x.DecisionID},
		{"when", precisely(x.At)},
		{"issuer", x.Person.Issuer},
		{"subject", x.Person.Subject},
		{"found by", x.Evidence},
		{"owner", x.Owner},
		{"revision", revision},
	}
}

// write shows what was decided about each scope, and how each policy stands to
// the resource.
func (r *explainedResource) write(b *strings.Builder) {
	b.WriteString("\n" + r.title() + "\n")
	for _, s := range r.Scopes {
		b.WriteString("  " + s.text() + "\n")
		if s.Shadow != "" {
			b.WriteString("    shadow: " + printable(s.Shadow) + "\n")
		}
	}
	if len(r.Policies) == 0 {
		return
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  POLICY\tEFFECT\tRESULT")
	for _, p := range r.Policies {
		result := printable(p.Result)
		if p.Detail != "" {
			result += ": " + printable(p.Detail)
		}
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", printable(p.Name), printable(p.Effect), result)
	}
	_ = w.Flush() // a strings.Builder takes everything
}

func (r *explainedResource) title() string {
	name := fmt.Sprintf("Resource '%s'", printable(r.Name))
	if r.Name == "" {
		name = "Resource " + printable(r.ID)
	}
	var more []string
	if r.Type != "" {
		more = append(more, "type "+printable(r.Type))
	}
	for _, capture := range slices.Sorted(maps.Keys(r.Captures)) {
		more = append(more, printable(capture)+"="+printable(r.Captures[capture]))
	}
	if r.ID != "" && r.Name != "" {
		more = append(more, "id "+printable(r.ID))
	}
	if len(more) > 0 {
		name += " (" + strings.Join(more, ", ") + ")"
	}
	return name
}

func (s explainedScope) text() string {
	what := "scope '" + printable(s.Scope) + "'"
	if s.Scope == "" {
		what = "the resource as such"
	}
	switch {
	case s.Allowed:
		return fmt.Sprintf("%s: allowed by policy '%s'", what, printable(s.Policy))
	case s.Policy != "":
		return fmt.Sprintf("%s: denied by policy '%s'", what, printable(s.Policy))
	}
	return what + ": denied, because no policy allows it"
}
