package cel_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
)

func release() cel.ReleaseInput {
	return cel.ReleaseInput{
		Email:   policy.Email{Address: "bob@bob.example", Local: "bob", Domain: "bob.example"},
		Subject: "s-1",
		Claims: map[string]any{
			"groups": []string{"staff"}, "level": 3, "exact": json.Number("9007199254740993"), "manager": true,
			"nan": math.NaN(), "odd": make(chan int), "secret": "hunter2",
			"many": make([]any, 9_000), "text": strings.Repeat("a", 5_000),
		},
		Target: "https://api.corp/photos", Client: "web", Now: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC),
	}
}

func decide(t *testing.T, expression string, in cel.ReleaseInput) (bool, error) {
	t.Helper()
	r, err := cel.CompileRelease(expression)
	if err != nil {
		t.Fatalf("CompileRelease(%q) = %v", expression, err)
	}
	return r.Evaluate(t.Context(), in)
}

func TestRelease(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       bool
	}{
		{`"staff" in claims.groups`, true},
		{`"admin" in claims.groups`, false},
		{`claims.level >= 3 && claims.exact == 9007199254740993`, true},
		{`claims.exact == 9007199254740992`, false},
		{`claims.manager == true`, true},
		{`target.startsWith("https://api.corp/") && client == "web"`, true},
		{`target == "https://api.corp"`, false},
		{`email.domain == "bob.example" && email.local == "bob" && email.address == "bob@bob.example"`, true},
		{`email.domain == "alice.example"`, false},
		{`sub == "s-1"`, true},
		{`sub == "s-2"`, false},
		{`now < timestamp("2026-11-24T09:30:01Z")`, true},
		{`now < timestamp("2026-11-24T09:30:00Z")`, false},
		{`!has(claims.nickname)`, true},
	} {
		if got, err := decide(t, tc.expression, release()); err != nil || got != tc.want {
			t.Errorf("%s = %v, %v, want %v", tc.expression, got, err, tc.want)
		}
	}
}

func TestRelease_Error(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       error
	}{
		{`claims.nickname == "b"`, cel.ErrMissing},
		{`claims.groups > 3`, cel.ErrType},
		{`claims.nan > 3`, cel.ErrType},
		{`claims.odd == 1`, nil},
		{`int(claims.secret) == 1`, cel.ErrEvaluate},
		{`1 in claims.many`, cel.ErrCost},
		{`claims.text == ""`, cel.ErrCost},
		{`claims.map(c, c).size() > 0`, cel.ErrCost},
	} {
		got, err := decide(t, tc.expression, release())
		if got || err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s = %v, %v, want %v", tc.expression, got, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds a claim: %v", tc.expression, err)
		}
	}
	r, err := cel.CompileRelease(`true`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := r.Evaluate(ctx, release()); got || err == nil {
		t.Errorf("cancelled: %v, %v", got, err)
	}
}

// A release rule speaks of what the service knows, a policy of what the
// authorization server knows.
func TestRelease_Names(t *testing.T) {
	for expression, want := range map[string]string{
		`targt == "x"`:            "1:1: undeclared reference to 'targt', did you mean 'target'?",
		`resource.name == "x"`:    "1:1: undeclared reference to 'resource'",
		`request.method == "GET"`: "1:1: undeclared reference to 'request'",
		`iss == "x"`:              "1:1: undeclared reference to 'iss'",
		`email.domian == "x"`:     "1:6: undefined field 'domian', did you mean 'domain'?",
		`claims.manager`:          "1:1: the expression yields a value of unknown type, not true/false; write a comparison",
		`target`:                  "1:1: the expression yields a value of type string, not true/false; write a comparison",
		``:                        "1:1: the expression is empty",
		`target.matches(client)`:  "1:16: the pattern of matches() must be a literal text",
	} {
		if _, err := cel.CompileRelease(expression); err == nil || err.Error() != want {
			t.Errorf("CompileRelease(%q) = %v, want %s", expression, err, want)
		}
	}
	if _, _, err := cel.Compile(`target == "x"`); err == nil {
		t.Error("a policy knows the target")
	}
}
