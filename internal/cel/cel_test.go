package cel_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
)

func input() *policy.Input {
	return &policy.Input{
		Email:   policy.Email{Address: "Bob@bob.example", Local: "Bob", Domain: "bob.example"},
		Issuer:  "https://op.bob.example",
		Subject: "248289761001",
		Claims: map[string]any{
			"groups": []any{"staff", "editors"},
			"level":  json.Number("3"),
			"large":  json.Number("9007199254740993"),
			"share":  2.5,
			"admin":  true,
			"org":    map[string]any{"unit": "rd", "size": json.Number("12")},
			"none":   nil,
			"secret": "hunter2",
			"text":   strings.Repeat("a", 4_000),
			"odd":    struct{}{},
			"many":   make([]any, 6_000),
		},
		Resource: policy.Resource{ID: "NHRqxiSBPtVxr6zkGqV_Ag", Name: "RS API", Type: "https://types.example/api", Owner: "alice", Server: "api", Scopes: []string{"get", "put"}, Captures: map[string]string{"user": "Bob", "id": "7"}},
		Scopes:   []string{"get"},
		Client:   "caddy-uma",
		Request:  policy.Request{Method: "POST", IP: "192.0.2.1"},
		Now:      time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC),
	}
}

func TestEvaluate(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       bool
	}{
		{`email.address == "Bob@bob.example" && email.local == "Bob" && email.domain == "bob.example"`, true},
		{`email.address == "bob@bob.example"`, false},
		{`iss == "https://op.bob.example" && sub == "248289761001"`, true},
		{`sub == "248289761002"`, false},
		{`resource.name == "RS API" && resource.type.startsWith("https://") && resource.owner == "alice" && resource.server == "api"`, true},
		{`resource.id == "NHRqxiSBPtVxr6zkGqV_Ag"`, true},
		{`resource.scopes == ["get", "put"] && scopes == ["get"]`, true},
		{`resource.captures.user == email.local && resource.captures["id"] == "7"`, true},
		{`resource.captures.id == email.local`, false},
		{`resource.captures.user == "bob"`, false},
		{`has(resource.captures.user) && !has(resource.captures.photo) && "id" in resource.captures && size(resource.captures) == 2`, true},
		{`scopes.all(s, s in ["get", "read"])`, true},
		{`scopes.all(s, s in ["put"])`, false},
		{`client == "caddy-uma" && request.method == "POST" && request.ip == "192.0.2.1"`, true},
		{`now.getHours() >= 8 && now.getHours() < 18`, true},
		{`now < timestamp("2026-11-24T09:30:00Z")`, false},
		{`now <= timestamp("2026-11-24T09:30:00Z")`, true},
		{`"editors" in claims.groups`, true},
		{`"owners" in claims.groups`, false},
		{`claims.level >= 3 && claims.level == 3 && claims.share > 2`, true},
		{`claims.level > 3`, false},
		{`claims.large == 9007199254740993`, true},
		{`claims.large == 9007199254740992`, false},
		{`claims.org.unit == "rd" && claims.org.size == 12`, true},
		{`claims.admin == true`, true},
		{`claims.none == null`, true},
		{`has(claims.department)`, false},
		{`has(claims.groups)`, true},
		{`email.domain == "bob.example" || claims.department == "x"`, true},
		{`email.local.matches("^[A-Z][a-z]+$")`, true},
		{`true`, true},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			p, _, err := cel.Compile(tc.expression)
			if err != nil {
				t.Fatalf("Compile = %v", err)
			}
			got, err := p.Evaluate(t.Context(), input())
			if err != nil || got != tc.want {
				t.Errorf("Evaluate = %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestEvaluate_Nothing(t *testing.T) {
	p, _, err := cel.Compile(`size(scopes) == 0 && size(claims) == 0 && email.address == "" && size(resource.scopes) == 0 && size(resource.captures) == 0 && !has(resource.captures.user)`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Evaluate(t.Context(), &policy.Input{}); err != nil || !got {
		t.Errorf("Evaluate of an empty input = %v, %v, want true", got, err)
	}
}

// An error must come out, not false: a deny rule matches on it (SEC-26).
func TestEvaluate_Error(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       error
		text       string
	}{
		{`claims.department == "rd"`, cel.ErrMissing, "no such key: department"},
		{`claims["department"] == "rd"`, cel.ErrMissing, "no such key: department"},
		{`resource.captures.photo == "7"`, cel.ErrMissing, "no such key: photo"},
		{`claims.org.floor == 1`, cel.ErrMissing, "no such key: floor"},
		{`claims[claims.secret] == "rd"`, cel.ErrMissing, "no such key"},
		{`int(claims.secret) == 1`, cel.ErrEvaluate, cel.ErrEvaluate.Error()},
		{`timestamp(claims.secret) < now`, cel.ErrEvaluate, cel.ErrEvaluate.Error()},
		{`claims.secret > 3`, cel.ErrType, cel.ErrType.Error()},
		{`claims.groups.startsWith("x")`, cel.ErrType, cel.ErrType.Error()},
		{`claims.odd == null`, cel.ErrType, cel.ErrType.Error()}, // not JSON
		{`claims.many.exists(x, x == 1)`, cel.ErrCost, cel.ErrCost.Error()},
		{`claims.text.matches("(a|b|ab){20}c")`, cel.ErrCost, cel.ErrCost.Error()},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			p, _, err := cel.Compile(tc.expression)
			if err != nil {
				t.Fatalf("Compile = %v", err)
			}
			got, err := p.Evaluate(t.Context(), input())
			if got || !errors.Is(err, tc.want) || err.Error() != tc.text {
				t.Errorf("Evaluate = %v, %v, want false, %q", got, err, tc.text)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows the value of a claim")
			}
		})
	}
}

func TestEvaluate_Context(t *testing.T) {
	p, _, err := cel.Compile(`claims.groups.exists(g, g == "staff")`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if got, err := p.Evaluate(ctx, input()); err != nil || !got {
		t.Errorf("Evaluate = %v, %v, want true", got, err)
	}
	cancel()
	if got, err := p.Evaluate(ctx, input()); got || !errors.Is(err, context.Canceled) {
		t.Errorf("Evaluate after cancel = %v, %v, want context.Canceled", got, err)
	}
}

const unknownType = "the expression yields a value of unknown type, not true/false; write a comparison"

func TestCompile_Error(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       cel.Error
	}{
		{`'x' in claim.groups`, cel.Error{Line: 1, Column: 8, Message: "undeclared reference to 'claim', did you mean 'claims'?", Snippet: "'x' in claim.groups\n       ^"}},
		{`foo == "x"`, cel.Error{Line: 1, Column: 1, Message: "undeclared reference to 'foo'", Snippet: "foo == \"x\"\n^"}},
		{`resource.nam == "x"`, cel.Error{Line: 1, Column: 9, Message: "undefined field 'nam', did you mean 'name'?", Snippet: "resource.nam == \"x\"\n        ^"}},
		{`email.name == "x"`, cel.Error{Line: 1, Column: 6, Message: "undefined field 'name'", Snippet: "email.name == \"x\"\n     ^"}},
		{"email.domain == 'x' &&\n\temial.local == 'y'", cel.Error{Line: 2, Column: 2, Message: "undeclared reference to 'emial', did you mean 'email'?", Snippet: "\temial.local == 'y'\n\t^"}},
		{`iss.startWith("x")`, cel.Error{Line: 1, Column: 14, Message: "undeclared reference to 'startWith', did you mean 'startsWith'?", Snippet: "iss.startWith(\"x\")\n             ^"}},
		{`claims.email`, cel.Error{Line: 1, Column: 1, Message: unknownType, Snippet: "claims.email\n^"}},
		{`iss == "x" ? claims.admin : true`, cel.Error{Line: 1, Column: 1, Message: unknownType, Snippet: "iss == \"x\" ? claims.admin : true\n^"}},
		{`dyn(true)`, cel.Error{Line: 1, Column: 1, Message: unknownType, Snippet: "dyn(true)\n^"}},
		{`iss`, cel.Error{Line: 1, Column: 1, Message: "the expression yields a value of type string, not true/false; write a comparison", Snippet: "iss\n^"}},
		{`email`, cel.Error{Line: 1, Column: 1, Message: "the expression yields a value of type email, not true/false; write a comparison", Snippet: "email\n^"}},
		{`resource.captures == "x"`, cel.Error{Line: 1, Column: 19, Message: "found no matching overload for '_==_' applied to '(map(string, string), string)'", Snippet: "resource.captures == \"x\"\n                  ^"}},
		{`iss == 1`, cel.Error{Line: 1, Column: 5, Message: "found no matching overload for '_==_' applied to '(string, int)'", Snippet: "iss == 1\n    ^"}},
		{`iss.matches(claims.pattern)`, cel.Error{Line: 1, Column: 19, Message: "the pattern of matches() must be a literal text", Snippet: "iss.matches(claims.pattern)\n                  ^"}},
		{`matches(iss, sub)`, cel.Error{Line: 1, Column: 14, Message: "the pattern of matches() must be a literal text", Snippet: "matches(iss, sub)\n             ^"}},
		{``, cel.Error{Line: 1, Column: 1, Message: "the expression is empty"}},
		{strings.Repeat(" ", 4090) + " true  ", cel.Error{Line: 1, Column: 1, Message: "the expression has 4097 characters, at most 4096 are allowed"}},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			_, _, err := cel.Compile(tc.expression)
			var got *cel.Error
			if !errors.As(err, &got) {
				t.Fatalf("Compile = %v, want an *Error", err)
			}
			if diff := cmp.Diff(tc.want, *got); diff != "" {
				t.Errorf("Compile (-want +got):\n%s", diff)
			}
		})
	}
}

// What is refused with whatever words the library has for it.
func TestCompile_Refused(t *testing.T) {
	for name, expression := range map[string]string{
		"syntax":            `iss ==`,
		"brackets":          strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500),
		"bad pattern":       `iss.matches("(")`,
		"long pattern":      `iss.matches("` + strings.Repeat("a", 257) + `")`,
		"huge repetition":   `iss.matches("((a{1000}){1000}){1000}")`,
		"bad time":          `now < timestamp("yesterday")`,
		"nested loops":      `scopes.all(a, scopes.all(b, scopes.all(c, scopes.all(d, a == d))))`,
		"unknown function":  `iss.replace("a", "b") == ""`,
		"assignment to now": `now = timestamp("2026-11-24T09:30:00Z")`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := cel.Compile(expression)
			var got *cel.Error
			if !errors.As(err, &got) {
				t.Fatalf("Compile = %v, want an *Error", err)
			}
			if got.Message == "" || strings.ContainsAny(got.Message, "\n\r") || got.Line < 1 || got.Column < 1 {
				t.Errorf("Compile = %+v, want one line and a position", got)
			}
			if !strings.Contains(got.Error(), got.Message) {
				t.Errorf("Error() = %q", got.Error())
			}
		})
	}
	if _, _, err := cel.Compile(`iss.matches("` + strings.Repeat("a", 256) + `")`); err != nil {
		t.Errorf("a pattern of 256 bytes: %v", err)
	}
	if _, _, err := cel.Compile(strings.Repeat(" ", 4090) + " true "); err != nil {
		t.Errorf("an expression of 4096 characters: %v", err)
	}
}

func TestCompile_UsesClaims(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       bool
	}{
		{`claims.x == 1`, true},
		{`.claims.x == 1`, true},
		{`claims["x"] == 1`, true},
		{`has(claims.x)`, true},
		{`"x" in claims`, true},
		{`size(claims) > 0`, true},
		{`[claims].exists(c, c.x == 1)`, true},
		{`scopes.exists(s, claims.scope == s)`, true},
		{`claims.all(k, k != "x")`, true},
		{`[1].map(x, claims)[0].x == 1`, true},
		{`false && claims.x == 1`, true},
		{`{"a": claims}.a.x == 1`, true},
		{`email.domain == "claims"`, false},
		{`{"claims": 1}.claims == 1`, false},
		{`scopes.exists(c, c == "claims.x")`, false},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			_, got, err := cel.Compile(tc.expression)
			if err != nil || got != tc.want {
				t.Errorf("usesClaims = %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestEvaluate_Concurrent(t *testing.T) {
	p, _, err := cel.Compile(`"staff" in claims.groups && email.domain.endsWith(".example")`)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan bool)
	for range 8 {
		go func() {
			got, err := p.Evaluate(t.Context(), input())
			results <- got && err == nil
		}()
	}
	for range 8 {
		if !<-results {
			t.Error("Evaluate = false, want true")
		}
	}
}

// FuzzCompile: whatever is written, the answer is a policy or an *Error with a
// position, and running a policy does not fail in another way than false or an
// error.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`claims.x == 1`, `email.domain == "x" && scopes.all(s, s in ["get"])`, `iss.matches("a+")`, `'x' in claim`, "\t\n(", `[claims].exists(c, has(c.x))`, "é == '\x00'"} {
		f.Add(seed)
	}
	in := input()
	f.Fuzz(func(t *testing.T, expression string) {
		p, _, err := cel.Compile(expression)
		if err == nil {
			_, _ = p.Evaluate(t.Context(), in)
			_ = policy.Explain(t.Context(), p, in, policy.Detail{Values: true}).String()
			return
		}
		var e *cel.Error
		if !errors.As(err, &e) || e.Message == "" || strings.ContainsAny(e.Message, "\r\n") || e.Line < 1 || e.Column < 1 {
			t.Errorf("Compile(%q) = %#v", expression, err)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, _, err := cel.Compile(`email.domain == "bob.example" && "staff" in claims.groups`); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p, _, err := cel.Compile(`email.domain == "bob.example" && "staff" in claims.groups && now.getHours() < 18 && resource.type.startsWith("https://") && scopes.all(s, s in ["get"]) && client == "caddy-uma"`)
	if err != nil {
		b.Fatal(err)
	}
	in := input()
	delete(in.Claims, "many")
	for b.Loop() {
		if got, err := p.Evaluate(b.Context(), in); err != nil || !got {
			b.Fatal(got, err)
		}
	}
}
