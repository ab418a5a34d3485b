package cel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
)

func compile(t testing.TB, expression string) policy.Policy {
	t.Helper()
	p, _, err := cel.Compile(expression)
	if err != nil {
		t.Fatalf("Compile(%s) = %v", expression, err)
	}
	return p
}

// of is an input with one claim x.
func of(value any) *policy.Input {
	in := input()
	in.Claims = map[string]any{"x": value}
	return in
}

func repeat(n int, value any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = value
	}
	return out
}

// nested is a list in a list in a list …
func nested(depth int) any {
	var v any = "x"
	for range depth {
		v = []any{v}
	}
	return v
}

// Conditions that an administrator could write, on claims that a hostile
// provider would send for them. Each of these took up to two seconds, or was
// charged next to nothing, with the library's own costs.
func TestHostile_Cost(t *testing.T) {
	list, text := repeat(8000, "a"), strings.Repeat("é", 2048)
	tree := repeat(1600, map[string]any{"a": map[string]any{"b": map[string]any{"c": "x"}}})
	for _, tc := range []struct {
		expression string
		x, y       any
	}{
		{`claims.x.all(e, e == "a")`, list, nil},
		{`claims.x.all(a, claims.x.all(b, claims.x.all(c, a == b && b == c)))`, list, nil},
		{`claims.x.all(e, type(e) == type(claims.y))`, list, text},
		{`claims.x.map(a, claims.x.map(b, claims.x)) != []`, list, nil},
		{`claims.x.all(e, size(claims.y) > 1)`, list, text},
		{`claims.x.all(e, e != claims.y)`, list, text},
		{`claims.x.all(e, claims.y >= claims.y)`, list, text},
		{`claims.x.all(e, !claims.y.contains(e + "b"))`, list, text},
		{`claims.x.all(e, string(claims.y) != e)`, list, text},
		{`claims.x.all(e, bytes(claims.y) != b"")`, list, text},
		{`claims.x.all(e, claims.y + e != "")`, list, text},
		{`claims.x.all(e, claims.y + claims.y + claims.y + claims.y != e)`, list, text},
		{`claims.x.all(e, double(claims.y) == 1.0)`, list, strings.Repeat("0", 4000) + "1"},
		{`claims.x.all(e, duration(claims.y) > duration("1s"))`, list, "2." + strings.Repeat("0", 4000) + "s"},
		{`claims.x.all(e, now.getHours(claims.y) > 1)`, list, "Europe/Berlin"},
		{`claims.x.all(e, now.getHours(claims.y) > 1 || true)`, list, text},
		{`claims.x.all(e, claims.y.matches("^(a|b)*$"))`, list, strings.Repeat("ab", 500)},
		{`claims.y.matches("([a-z]+ ?){40}!") || true`, nil, strings.Repeat("ab", 2000)},
		{`claims.x.all(e, !("zz" in claims.x))`, list, nil},
		{`claims.x.all(e, !(["zz"] in claims.x))`, tree, nil},
		{`claims.x.all(e, e in claims.x)`, tree, nil},
		{`claims.x.all(e, claims.x == claims.y)`, tree, tree},
		{`claims.x.all(e, claims.x + claims.x == claims.x + claims.x)`, list, nil},
		{`claims.x.all(e, claims.x + claims.x != [])`, list, nil},
		{`claims.x.all(e, [claims.x, claims.x] == [claims.x, claims.x])`, list, nil},
		{`claims.x.all(e, {"a": claims.x} == {"a": claims.x})`, list, nil},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			p, in := compile(t, tc.expression), of(tc.x)
			in.Claims["y"] = tc.y
			used, err := cost(t, p, in, policy.DefaultBudget)
			if tc.x != nil && (!errors.Is(err, cel.ErrCost) || used != cel.CostLimit) {
				t.Errorf("Evaluate = %v for %d units, want ErrCost for %d", err, used, cel.CostLimit)
			}
			if tc.x == nil && !errors.Is(err, cel.ErrCost) && err != nil {
				t.Errorf("Evaluate = %v", err)
			}
		})
	}
}

// Each bound, and the neighbour that just passes.
func TestHostile_Size(t *testing.T) {
	wide := func(n int) map[string]any {
		m := map[string]any{}
		for i := range n {
			m[strconv.Itoa(i)] = true
		}
		return m
	}
	for _, tc := range []struct {
		name       string
		good, evil any
	}{
		{"text", strings.Repeat("a", 4096), strings.Repeat("a", 4097)},
		{"bytes", repeat(16, strings.Repeat("a", 4096)), repeat(17, strings.Repeat("a", 4096))},
		{"list", repeat(8191, nil), repeat(8192, nil)},
		{"object", wide(8191), wide(8192)},
		{"names", map[string]any{strings.Repeat("a", 4096): 1.0}, map[string]any{strings.Repeat("a", 4097): 1.0}},
		{"depth", nested(15), nested(16)},
		{"objects", map[string]any{"a": nested(14)}, map[string]any{"a": nested(15)}},
		{"abyss", nested(1), nested(100_000)},
		{"number", json.Number(strings.Repeat("1", 4096)), json.Number(strings.Repeat("1", 4097))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, expression := range []string{`claims.x != 1`, `claims["x"] != 1`, `has(claims.x)`, `"x" in claims`} {
				p := compile(t, expression)
				if ok, err := p.Evaluate(t.Context(), of(tc.good)); !ok || err != nil {
					t.Errorf("%s within the bound = %v, %v, want true", expression, ok, err)
				}
				if ok, err := p.Evaluate(t.Context(), of(tc.evil)); ok || !errors.Is(err, cel.ErrCost) {
					t.Errorf("%s above the bound = %v, %v, want ErrCost", expression, ok, err)
				}
			}
		})
	}
}

// A large claim keeps only those out whose policies look at it; a policy that
// looks at the claims as such looks at each.
func TestHostile_Elsewhere(t *testing.T) {
	in := of(strings.Repeat("a", 100_000))
	in.Claims["groups"] = []any{"staff"}
	for expression, refused := range map[string]bool{
		`"staff" in claims.groups`:                        false,
		`has(claims.groups) && claims["groups"] != []`:    false,
		`email.domain == "bob.example"`:                   false,
		`[claims].exists(c, "staff" in c.groups)`:         true,
		`claims.exists(k, k == "groups")`:                 true,
		`claims.all(claims, claims != "")`:                true,
		`size(claims) == 2`:                               true,
		`claims[sub + ""] == 1 || true`:                   true,
		`claims == {"groups": ["staff"]} || true`:         true,
		`"staff" in claims.groups && claims.x != "hello"`: true,
		`"staff" in claims.groups || claims.x == "hello"`: true,
	} {
		ok, err := compile(t, expression).Evaluate(t.Context(), in)
		if refused != errors.Is(err, cel.ErrCost) || refused == ok {
			t.Errorf("%s = %v, %v, want ErrCost: %v", expression, ok, err, refused)
		}
	}
}

// What is asked a thousand times a day must work: a thousand groups.
func TestHostile_ManyGroups(t *testing.T) {
	groups := make([]any, 1000)
	for i := range groups {
		groups[i] = "cn=group" + strconv.Itoa(i) + ",ou=people,dc=bob,dc=example"
	}
	in := input()
	in.Claims["groups"] = groups
	for expression, want := range map[string]bool{
		`"cn=group999,ou=people,dc=bob,dc=example" in claims.groups`:  true,
		`"cn=group1000,ou=people,dc=bob,dc=example" in claims.groups`: false,
		`claims.groups.exists(g, g.startsWith("cn=group999,"))`:       true,
		`size(claims.groups) == 1000`:                                 true,
	} {
		if got, err := compile(t, expression).Evaluate(t.Context(), in); err != nil || got != want {
			t.Errorf("%s = %v, %v, want %v", expression, got, err, want)
		}
	}
}

// Numbers: none that is not finite, none that was rounded into another.
func TestHostile_Numbers(t *testing.T) {
	for _, tc := range []struct {
		x          any
		expression string
		want       bool
		err        error
	}{
		{json.Number("1e400"), `claims.x > 5`, false, cel.ErrType},
		{json.Number("1e999999999"), `claims.x > 5`, false, cel.ErrType},
		{json.Number("1e-999999999"), `claims.x == 0`, true, nil},
		{json.Number("1" + strings.Repeat("0", 64)), `claims.x > 5`, false, cel.ErrType},
		{json.Number("9223372036854775807"), `claims.x == 9223372036854775807`, true, nil},
		{json.Number("9223372036854775808"), `claims.x == 9223372036854775808u`, true, nil},
		{json.Number("9223372036854775809"), `claims.x == 9223372036854775808u`, false, nil},
		{json.Number("9223372036854775809"), `claims.x > 9223372036854775807`, true, nil},
		{json.Number("18446744073709551616"), `claims.x == 18446744073709551616.0`, false, nil},
		{json.Number("18446744073709551616"), `claims.x > 5`, false, cel.ErrType},
		{json.Number("-9223372036854775809"), `claims.x < 5`, false, cel.ErrType},
		{json.Number("3.0"), `claims.x == 3`, true, nil},
		{json.Number("NaN"), `claims.x < 5 || claims.x >= 5`, false, cel.ErrType},
		{json.Number("0x10"), `claims.x == 16`, false, nil},
		{json.Number(""), `claims.x == 0`, false, nil},
		{math.NaN(), `claims.x < 5 || claims.x >= 5`, false, cel.ErrType},
		{math.Inf(1), `claims.x > 5`, false, cel.ErrType},
		{9007199254740993.0, `claims.x == 9007199254740992`, true, nil}, // a double to begin with
	} {
		got, err := compile(t, tc.expression).Evaluate(t.Context(), of(tc.x))
		if got != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("%s for %v = %v, %v, want %v, %v", tc.expression, tc.x, got, err, tc.want, tc.err)
		}
	}
}

// Texts are compared byte by byte: what looks the same is not.
func TestHostile_Confusables(t *testing.T) {
	for _, x := range []string{"\u0430dmin", "admin\u200b", "\u202eadmin", "ADMIN", "admi\u0301n", "admin\x00", "\uff41dmin", "admin\xff"} {
		for _, expression := range []string{`claims.x == "admin"`, `claims.x in ["admin"]`, `claims.x.matches("^admin$")`, `claims.x.matches("^[a-z]+$")`} {
			if got, err := compile(t, expression).Evaluate(t.Context(), of(x)); got || err != nil {
				t.Errorf("%s for %q = %v, %v, want false", expression, x, got, err)
			}
		}
	}
	var e *cel.Error
	if _, _, err := cel.Compile("cl\u0430ims.x == 1"); !errors.As(err, &e) {
		t.Errorf("a name that looks like claims: %v, want an *Error", err)
	}
}

// Claims are read and never changed, at once by many.
func TestHostile_Untouched(t *testing.T) {
	in := input()
	delete(in.Claims, "odd") // not JSON
	before, err := json.Marshal(in.Claims)
	if err != nil {
		t.Fatal(err)
	}
	for _, expression := range []string{`claims.map(k, claims[k]) != []`, `claims.groups + ["x"] != []`, `claims.org == {"a": 1} || true`} {
		if ok, err := compile(t, expression).Evaluate(t.Context(), in); !ok || err != nil {
			t.Errorf("%s = %v, %v", expression, ok, err)
		}
	}
	if after, err := json.Marshal(in.Claims); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the claims have changed: %s, %v", after, err)
	}
}

// Patterns are bounded by what they compile to; a{2} must not bring down the
// counting of it.
func TestCompile_Patterns(t *testing.T) {
	for pattern, ok := range map[string]bool{
		`^[a-z]{2,20}$`: true, `(a{2}){3}`: true, `x*`: true, `(?i)^ab?$`: true,
		`(a?){600}`: false, `[a-z]{500}{2}`: false, `((a{10}){10}){10}`: false, `(a{1,100}b){10}`: false,
	} {
		_, _, err := cel.Compile(`iss.matches("` + pattern + `")`)
		var e *cel.Error
		if (err == nil) != ok || err != nil && !errors.As(err, &e) {
			t.Errorf("Compile of %s = %v, want it accepted: %v", pattern, err, ok)
		}
	}
}

// FuzzEvaluate: whatever the claims are, no panic, no result with an error, a
// bounded time and a bounded cost; and Explain says the same and no value.
func FuzzEvaluate(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"x":null,"y":{}}`, `{"x":["a",1,2.5,true,null],"y":"a"}`, `{"x":{"y":{"z":[[]]}},"y":1e400}`,
		`{"x":"2026-11-24T09:30:00Z","y":"Europe/Berlin"}`, `{"x":-0,"y":18446744073709551615}`, `{"x":{"a":[{"b":"\u202e"}]},"y":{"a":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	var policies []policy.Policy
	for _, expression := range []string{
		`claims.x == claims.y`, `claims.x > claims.y`, `claims.x in claims.y`, `claims.y in claims.x`, `claims.x + claims.y != claims.y`,
		`claims.x.all(e, e == claims.y)`, `claims.exists(k, claims[k] == claims.x)`, `claims.x.matches("^(a|b)*$") || claims.y.contains("a")`,
		`int(claims.x) == 1 || double(claims.y) < 2.0`, `timestamp(claims.x) < now`, `duration(claims.x) < duration("1s")`,
		`now.getHours(claims.y) > 3`, `claims[claims.x] == claims.y`, `claims.x[0] == claims.y[0]`, `claims.x.a.b == "c" && has(claims.y.z)`,
		`type(claims.x) == type(claims.y)`, `size(claims.x) > 3`, `claims.x.map(a, claims.x.map(b, [a, b])) != []`, `claims.x - claims.y > 0 || claims.x / claims.y > 1`,
		`claims == {"x": 1}`, `string(claims.x) == bytes(claims.y) + ""`,
	} {
		if p, _, err := cel.Compile(expression); err == nil {
			policies = append(policies, p)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		in := input()
		in.Claims = nil
		if decoder.Decode(&in.Claims) != nil {
			return
		}
		for i, p := range policies {
			evaluate(t, i, p, in)
		}
	})
}

// evaluate holds one evaluation to what FuzzEvaluate says.
func evaluate(t *testing.T, i int, p policy.Policy, in *policy.Input) {
	t.Helper()
	in.Budget = policy.NewBudget(policy.DefaultBudget)
	got, err := p.Evaluate(context.Background(), in)
	if used := policy.DefaultBudget - in.Budget.Left(); used > cel.CostLimit {
		t.Errorf("policy %d cost %d", i, used)
	}
	if got && err != nil {
		t.Errorf("policy %d = true and %v", i, err)
	}
	e := policy.Explain(context.Background(), p, in, policy.Detail{})
	if e.Result != got || (e.Err == nil) != (err == nil) {
		t.Errorf("policy %d: Explain = %v, %v, Evaluate = %v, %v", i, e.Result, e.Err, got, err)
	}
}
