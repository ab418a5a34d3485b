package cel

import (
	"context"
	"testing"

	"cel.dev/cel-go/cel"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// BenchmarkTracking tells what counting the cost costs: the same expression
// with and without it, and with a budget.
func BenchmarkTracking(b *testing.B) {
	p, _, err := Compile(`email.domain == "bob.example" && "staff" in claims.groups && now.getHours() < 18 && client == "caddy-uma"`)
	if err != nil {
		b.Fatal(err)
	}
	c := p.(*condition)
	in := &policy.Input{Email: policy.Email{Domain: "bob.example"}, Client: "caddy-uma", Claims: map[string]any{"groups": []any{"editors", "staff"}}}
	plain, err := c.env.Program(c.checked, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(interruptedBy))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if out, _, err := plain.ContextEval(context.Background(), variables(in, true)); err != nil || out.Value() != true {
				b.Fatal(out, err)
			}
		}
	})
	for name, budget := range map[string]*policy.Budget{"limit": nil, "budget": policy.NewBudget(1 << 60)} {
		b.Run(name, func(b *testing.B) {
			in.Budget = budget
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := c.Evaluate(context.Background(), in); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
	}
	b.Run("program", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.programs.make(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
