package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

func TestBudget(t *testing.T) {
	b := policy.NewBudget(10)
	if !b.Take(4) || b.Take(7) || !b.Take(6) || b.Take(1) || !b.Take(0) || b.Left() != 0 {
		t.Errorf("10 units did not last for 4 and 6 alone, %d left", b.Left())
	}
	var none *policy.Budget
	granted, settle := none.Reserve(7)
	settle(7)
	if !none.Take(math.MaxUint64) || none.Left() != math.MaxUint64 || granted != 7 {
		t.Error("a nil budget has a bound")
	}
	var zero policy.Budget
	if zero.Take(1) {
		t.Error("the zero budget has units")
	}
}

func TestBudget_Reserve(t *testing.T) {
	for _, tc := range []struct {
		name               string
		budget, most, used uint64
		granted, between   uint64
		after              uint64
	}{
		{"part", 100, 30, 10, 30, 70, 90},
		{"all", 100, 100, 100, 100, 0, 0},
		{"more than is left", 100, 300, 10, 100, 0, 90},
		{"nothing used", 100, 30, 0, 30, 70, 100},
		{"more used than granted", 100, 30, 31, 30, 70, 70},
		{"nothing left", 0, 30, 0, 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := policy.NewBudget(tc.budget)
			granted, settle := b.Reserve(tc.most)
			meanwhile := b.Left()
			settle(tc.used)
			settle(0) // counts once
			if granted != tc.granted || meanwhile != tc.between || b.Left() != tc.after {
				t.Errorf("Reserve = %d, %d left, then %d, want %d, %d, %d", granted, meanwhile, b.Left(), tc.granted, tc.between, tc.after)
			}
		})
	}
}

func TestBudget_Concurrent(t *testing.T) {
	b := policy.NewBudget(1000)
	taken := make(chan uint64, 400)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if b.Take(3) {
				taken <- 3
			}
		})
		wg.Go(func() {
			granted, settle := b.Reserve(10)
			settle(granted / 2)
			taken <- granted / 2
		})
	}
	wg.Wait()
	close(taken)
	var sum uint64
	for n := range taken {
		sum += n
	}
	if sum+b.Left() != 1000 {
		t.Errorf("%d taken and %d left, want 1000 together", sum, b.Left())
	}
}

func input() *policy.Input {
	return &policy.Input{
		Subject: "1", Scopes: []string{"get"}, Resource: policy.Resource{ID: "a", Scopes: []string{"get", "put"}, Captures: map[string]string{"user": "alice"}},
		Claims: map[string]any{"groups": []any{"a", map[string]any{"b": json.Number("1")}}, "names": []string{"x"}},
		Budget: policy.NewBudget(5),
	}
}

// What the guest does to its copy changes nothing.
func TestInput_Clone(t *testing.T) {
	in := input()
	c, err := in.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if c.Budget != in.Budget {
		t.Error("the copy has a budget of its own")
	}
	in.Budget, c.Budget = nil, nil
	if diff := cmp.Diff(in, c); diff != "" {
		t.Errorf("Clone (-want +got):\n%s", diff)
	}
	c.Scopes[0], c.Resource.Scopes[0], c.Claims["new"], c.Subject = "x", "x", 1, "2"
	c.Resource.Captures["user"] = "bob"
	c.Claims["names"].([]string)[0] = "y"
	groups := c.Claims["groups"].([]any)
	groups[1].(map[string]any)["b"], groups[0] = 2, "x"
	want := input()
	want.Budget = nil
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("a change of the copy shows (-want +got):\n%s", diff)
	}
}

func TestInput_CloneBounds(t *testing.T) {
	deep := func(n int) any {
		var v any
		for range n {
			v = []any{v}
		}
		return v
	}
	for name, tc := range map[string]struct {
		claim any
		ok    bool
	}{
		"depth 31":     {deep(31), true},
		"depth 32":     {deep(32), false},
		"65535 nodes":  {make([]any, 65534), true},
		"65537 nodes":  {make([]any, 65536), false},
		"an abyss":     {deep(100_000), false},
		"nothing":      {nil, true},
		"no JSON type": {struct{}{}, true},
	} {
		in := &policy.Input{Claims: map[string]any{"x": tc.claim}}
		if _, err := in.Clone(); (err == nil) != tc.ok || err != nil && !errors.Is(err, policy.ErrCost) {
			t.Errorf("%s: Clone = %v, want it copied: %v", name, err, tc.ok)
		}
	}
}

func TestExplanation_String(t *testing.T) {
	for _, tc := range []struct {
		e    policy.Explanation
		want string
	}{
		{policy.Explanation{Result: true}, "the condition is true"},
		{policy.Explanation{}, "the condition is false"},
		{policy.Explanation{Err: policy.ErrCost}, "the condition cannot be evaluated: " + policy.ErrCost.Error()},
		{policy.Explanation{Parts: []policy.Part{{Source: "a", Result: true}, {Source: "b"}}}, "a is true; b is false"},
		{policy.Explanation{Parts: []policy.Part{{Source: "a", Names: []policy.Name{{Name: "b"}, {Name: "c", Kind: "1 entry"}, {Name: "d", Kind: "text", Value: `"e"`}, {Name: "f", Kind: "null"}}}}}, `a is false (c has 1 entry, d = "e", f is null)`},
		{policy.Explanation{Parts: []policy.Part{{Source: "a", Err: policy.ErrMissing, Names: []policy.Name{{Name: "b", Kind: "text"}, {Name: "c", Missing: true}}}}}, "c is missing"},
	} {
		if got := tc.e.String(); got != tc.want {
			t.Errorf("String = %q, want %q", got, tc.want)
		}
	}
}

// guest is a policy made of a function.
type guest func(ctx context.Context, in *policy.Input) (bool, error)

func (g guest) Evaluate(ctx context.Context, in *policy.Input) (bool, error) { return g(ctx, in) }

// explaining is a guest that tells why.
type explaining struct{ guest }

func (explaining) Explain(context.Context, *policy.Input, policy.Detail) policy.Explanation {
	return policy.Explanation{Parts: []policy.Part{{Source: "because"}}}
}

func TestExplain_Guest(t *testing.T) {
	yes := guest(func(context.Context, *policy.Input) (bool, error) { return true, nil })
	broken := guest(func(context.Context, *policy.Input) (bool, error) { return true, errors.New("broken") })
	for _, p := range []policy.Policy{yes, policy.Guard(yes, 0)} {
		if got := policy.Explain(t.Context(), p, input(), policy.Detail{}).String(); got != "the condition is true" {
			t.Errorf("Explain = %q", got)
		}
	}
	for _, p := range []policy.Policy{explaining{yes}, policy.Guard(explaining{yes}, 0)} {
		if got := policy.Explain(t.Context(), p, input(), policy.Detail{}).String(); got != "because is false" {
			t.Errorf("Explain = %q", got)
		}
	}
	for _, p := range []policy.Policy{broken, policy.Guard(broken, 0)} {
		if got := policy.Explain(t.Context(), p, input(), policy.Detail{}); got.Result || got.Err == nil || !strings.Contains(got.String(), "broken") {
			t.Errorf("Explain of a guest that fails = %+v", got)
		}
	}
}
