package cel_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
)

func explain(t *testing.T, expression string, in *policy.Input, how policy.Detail) policy.Explanation {
	t.Helper()
	p, _, err := cel.Compile(expression)
	if err != nil {
		t.Fatalf("Compile(%s) = %v", expression, err)
	}
	e := policy.Explain(t.Context(), p, in, how)
	result, err := p.Evaluate(t.Context(), in)
	if e.Result != result || (e.Err == nil) != (err == nil) || err != nil && e.Err.Error() != err.Error() {
		t.Errorf("Explain = %v, %v, but Evaluate = %v, %v", e.Result, e.Err, result, err)
	}
	return e
}

func TestExplain(t *testing.T) {
	for _, tc := range []struct{ expression, want string }{
		{`"auditor" in claims.groups`, `"auditor" in claims.groups is false (claims.groups has 2 entries)`},
		{`"staff" in claims.groups`, `"staff" in claims.groups is true (claims.groups has 2 entries)`},
		{`claims.department == "rd"`, `claims.department is missing`},
		{`claims["department"] == "rd"`, `claims.department is missing`},
		{`claims.org.floor == 1`, `claims.org.floor is missing`},
		{`claims.secret > 3`, `claims.secret > 3 cannot be evaluated: a value has another type than the condition expects (claims.secret is a text)`},
		{`has(claims.department)`, `has(claims.department) is false (claims.department is missing)`},
		{`has(claims.groups)`, `has(claims.groups) is true (claims.groups has 2 entries)`},
		{`claims.none == 1`, `claims.none == 1 is false (claims.none is null)`},
		{`email.domain == "x.example"`, `email.domain == "x.example" is false`},

		// && names the first that was false, or failed, or all.
		{`client == "caddy-uma" && claims.admin == false && sub == "x"`, `claims.admin == false is false (claims.admin is a boolean)`},
		{`claims.department == "rd" && sub == "x"`, `sub == "x" is false`},
		{`claims.department == "rd" && client == "caddy-uma"`, `claims.department is missing`},
		{`client == "caddy-uma" && claims.level == 3`, `client == "caddy-uma" is true; claims.level == 3 is true (claims.level is a number)`},
		{`true && false`, `false is false`},

		// || names all that were false, or the first that was true, or failed.
		{`sub == "x" || claims.level == 4 || client == "y"`, `sub == "x" is false; claims.level == 4 is false (claims.level is a number); client == "y" is false`},
		{`sub == "x" || claims.level == 3 || client == "y"`, `claims.level == 3 is true (claims.level is a number)`},
		{`claims.department == "rd" || sub == "x"`, `claims.department is missing`},
		{`claims.department == "rd" || client == "caddy-uma"`, `client == "caddy-uma" is true`},

		// Nested.
		{`iss == "https://op.bob.example" && (sub == "x" || client == "y")`, `sub == "x" is false; client == "y" is false`},
		{`!(sub == "248289761001" && "staff" in claims.groups)`, `sub == "248289761001" is true; "staff" in claims.groups is true (claims.groups has 2 entries)`},
		{`client == "y" ? true : claims.share > 3`, `client == "y" is false; claims.share > 3 is false (claims.share is a number)`},
		{`claims.department == "rd" ? true : false`, `claims.department is missing`},
		{`claims.groups.exists(g, g.startsWith("x"))`, `claims.groups.exists(g, g.startsWith("x")) is false (claims.groups has 2 entries)`},
		{`scopes.all(s, s in ["put"])`, `scopes.all(s, s in ["put"]) is false`},
		{`[claims.level, claims.share].exists(x, x > 5) || {"a": claims.level}.a > 4`, `[claims.level, claims.share].exists(x, x > 5) is false (claims.level is a number, claims.share is a number); {"a": claims.level}.a > 4 is false (claims.level is a number)`},
		{`email.local.matches("^x") || claims.org.unit.matches("^x")`, `email.local.matches("^x") is false; claims.org.unit.matches("^x") is false (claims.org.unit is a text)`},
		{`size(claims) == 3`, `size(claims) == 3 is false (claims has 11 entries)`},
		{`claims.many.exists(x, x == 1)`, `the condition cannot be evaluated: the condition costs too much for these claims`},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			if got := explain(t, tc.expression, input(), policy.Detail{}).String(); got != tc.want {
				t.Errorf("Explain:\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

// A long chain is balanced into a tree by the parser: the first false one must
// be found all the same.
func TestExplain_LongChain(t *testing.T) {
	var terms []string
	for i := range 40 {
		terms = append(terms, `claims.level != 1`+strings.Repeat("0", i%3+1))
	}
	terms[17] = `sub == "x"`
	terms[30] = `sub == "y"`
	if got := explain(t, strings.Join(terms, " && "), input(), policy.Detail{}).String(); got != `sub == "x" is false` {
		t.Errorf("Explain = %s", got)
	}
}

func TestExplain_Values(t *testing.T) {
	in := input()
	in.Claims["odd text"] = "a\u202eb\u009b\n\"" + strings.Repeat("x", 300)
	for _, tc := range []struct{ expression, want string }{
		{`claims.secret == "x"`, `claims.secret == "x" is false (claims.secret = "hunter2")`},
		{`email.domain == "x"`, `email.domain == "x" is false (email.domain = "bob.example")`},
		{`claims.org.size > 12`, `claims.org.size > 12 is false (claims.org.size = 12)`},
		{`now.getHours() == 3`, `now.getHours() == 3 is false (now = "2026-11-24T09:30:00Z")`},
		{`resource.id == "" || request.ip == "" || scopes == []`, `resource.id == "" is false (resource.id = "NHRqxiSBPtVxr6zkGqV_Ag"); request.ip == "" is false (request.ip = "192.0.2.1"); scopes == [] is false (scopes = ["get"])`},
	} {
		if got := explain(t, tc.expression, in, policy.Detail{Values: true}).String(); got != tc.want {
			t.Errorf("Explain:\n got %s\nwant %s", got, tc.want)
		}
	}
	got := explain(t, `claims["odd text"] == "x"`, in, policy.Detail{Values: true}).String()
	if !strings.Contains(got, `"a\u202eb\u009b\n\"xxx`) || !strings.Contains(got, "…") || len(got) > 400 {
		t.Errorf("Explain = %q, want it escaped and cut", got)
	}
}

// Without Values nothing of the claims is in an explanation, whatever happens.
func TestExplain_NoValues(t *testing.T) {
	for _, expression := range []string{
		`claims.secret == "x"`, `claims.secret > 3`, `int(claims.secret) == 1`, `claims[claims.secret] == "rd"`,
		`timestamp(claims.secret) < now`, `claims.exists(k, claims[k] == "q")`, `claims.secret.x == 1`, `claims.groups[7] == claims.secret`,
	} {
		e := explain(t, expression, input(), policy.Detail{})
		text, err := json.Marshal(e.Parts)
		if err != nil {
			t.Fatal(err)
		}
		if all := e.String() + string(text); strings.Contains(all, "hunter2") || strings.Contains(all, "editors") {
			t.Errorf("Explain(%s) shows a value: %s", expression, all)
		}
	}
}

func TestExplain_Parts(t *testing.T) {
	got := explain(t, `sub == "x" || claims.org.floor == 1`, input(), policy.Detail{})
	if !errors.Is(got.Err, cel.ErrMissing) || len(got.Parts) != 1 || !errors.Is(got.Parts[0].Err, policy.ErrMissing) {
		t.Fatalf("Explain = %+v", got)
	}
	got.Parts[0].Err = nil
	want := []policy.Part{{Source: `claims.org.floor == 1`, Names: []policy.Name{{Name: "claims.org.floor", Missing: true}}}}
	if diff := cmp.Diff(want, got.Parts); diff != "" {
		t.Errorf("Parts (-want +got):\n%s", diff)
	}
}

func TestExplain_Budget(t *testing.T) {
	p, _, err := cel.Compile(`"auditor" in claims.groups`)
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	in.Budget = policy.NewBudget(100)
	if e := policy.Explain(t.Context(), p, in, policy.Detail{}); e.Err != nil {
		t.Fatalf("Explain = %v", e)
	}
	if left := in.Budget.Left(); left == 100 {
		t.Error("an explanation costs nothing")
	}
	in.Budget = policy.NewBudget(0)
	if e := policy.Explain(t.Context(), p, in, policy.Detail{}); !errors.Is(e.Err, policy.ErrCost) || len(e.Parts) != 0 {
		t.Errorf("Explain without budget = %v", e)
	}
}
