package cel_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
)

// cost is what an evaluation takes from a budget.
func cost(t *testing.T, p policy.Policy, in *policy.Input, budget uint64) (uint64, error) {
	t.Helper()
	in.Budget = policy.NewBudget(budget)
	_, err := p.Evaluate(t.Context(), in)
	return budget - in.Budget.Left(), err
}

// The bound is exact: with what it costs a condition is evaluated, with one
// unit less it is not.
func TestBudget_Exact(t *testing.T) {
	for _, expression := range []string{
		`true`,
		`client == "caddy-uma"`,
		`"editors" in claims.groups && claims.level >= 3`,
		`claims.groups.exists(g, g == "editors") || sub == "x"`,
		`claims.text.contains("b")`,
		`claims.text.matches("^a+$")`,
		`matches(claims.text, "^a+$")`,
	} {
		t.Run(expression, func(t *testing.T) {
			p, _, err := cel.Compile(expression)
			if err != nil {
				t.Fatal(err)
			}
			in := input()
			all, err := cost(t, p, in, policy.DefaultBudget)
			if err != nil || all == 0 || all > cel.CostLimit {
				t.Fatalf("cost = %d, %v", all, err)
			}
			if got, err := cost(t, p, in, all); err != nil || got != all {
				t.Errorf("with %d units: cost = %d, %v", all, got, err)
			}
			if got, err := cost(t, p, in, all-1); !errors.Is(err, cel.ErrCost) || got != all-1 {
				t.Errorf("with %d units: cost = %d, %v, want all of them and ErrCost", all-1, got, err)
			}
		})
	}
}

// What the public contract says of the usual costs, and of whose fault it is.
func TestBudget_Usual(t *testing.T) {
	p, _, err := cel.Compile(`"staff" in claims.groups`)
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	if got, err := cost(t, p, in, policy.DefaultBudget); err != nil || got > 5 {
		t.Errorf("a few groups cost %d, %v, want 5 at most", got, err)
	}
	if _, err := cost(t, p, in, 1); err == nil || !strings.Contains(err.Error(), "the request may cost") {
		t.Errorf("one unit: %v, want an error that blames the budget", err)
	}
	in.Claims["groups"] = repeat(1000, "x")
	if got, err := cost(t, p, in, policy.DefaultBudget); err != nil || got < 90 || got > 110 {
		t.Errorf("a thousand groups cost %d, %v, want about 100", got, err)
	}
	p, _, err = cel.Compile(`claims.department == "rd"`)
	if err != nil {
		t.Fatal(err)
	}
	used, err := cost(t, p, in, policy.DefaultBudget)
	if _, again := cost(t, p, in, used); !errors.Is(err, cel.ErrMissing) || !errors.Is(again, cel.ErrMissing) {
		t.Errorf("a missing claim = %v, and with exactly what that costs %v", err, again)
	}
}

// One condition never takes more than CostLimit, however much there is.
func TestBudget_CostLimit(t *testing.T) {
	p, _, err := cel.Compile(`claims.many.exists(x, x == 1)`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cost(t, p, input(), 10*cel.CostLimit); !errors.Is(err, cel.ErrCost) || got != cel.CostLimit {
		t.Errorf("cost = %d, %v, want %d and ErrCost", got, err, cel.CostLimit)
	}
}

// Several conditions share a budget; when it is empty none is evaluated.
func TestBudget_Shared(t *testing.T) {
	dear, _, err := cel.Compile(`claims.many.exists(x, x == 1)`)
	if err != nil {
		t.Fatal(err)
	}
	cheap, _, err := cel.Compile(`true`)
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	in.Budget = policy.NewBudget(2*cel.CostLimit + 1)
	for range 2 {
		if _, err := dear.Evaluate(t.Context(), in); !errors.Is(err, cel.ErrCost) {
			t.Fatalf("Evaluate = %v, want ErrCost", err)
		}
	}
	if ok, err := cheap.Evaluate(t.Context(), in); !ok || err != nil || in.Budget.Left() != 0 {
		t.Errorf("the last unit: %v, %v, %d left", ok, err, in.Budget.Left())
	}
	if ok, err := cheap.Evaluate(t.Context(), in); ok || !errors.Is(err, cel.ErrCost) {
		t.Errorf("an empty budget: %v, %v, want ErrCost", ok, err)
	}
	in.Budget = nil
	if ok, err := cheap.Evaluate(t.Context(), in); !ok || err != nil {
		t.Errorf("a budget of its own: %v, %v", ok, err)
	}
}

// At once: limits of one evaluation do not leak into another, and the sum is
// never above the budget.
func TestBudget_Concurrent(t *testing.T) {
	p, _, err := cel.Compile(`claims.groups.exists(g, g == "editors")`)
	if err != nil {
		t.Fatal(err)
	}
	one, err := cost(t, p, input(), policy.DefaultBudget)
	if err != nil {
		t.Fatal(err)
	}
	const runs = 200
	poor, rich := policy.NewBudget(one-1), policy.NewBudget(runs*cel.CostLimit)
	var wg sync.WaitGroup
	for i := range runs {
		wg.Go(func() {
			in := input()
			in.Budget = rich
			if i%2 == 0 {
				in.Budget = poor
			}
			ok, err := p.Evaluate(t.Context(), in)
			if i%2 == 0 && !errors.Is(err, cel.ErrCost) || i%2 == 1 && (!ok || err != nil) {
				t.Errorf("Evaluate %d = %v, %v", i, ok, err)
			}
		})
	}
	wg.Wait()
	if used := runs*cel.CostLimit - rich.Left(); used != one*runs/2 {
		t.Errorf("%d evaluations cost %d, want %d each", runs/2, used, one)
	}
}
