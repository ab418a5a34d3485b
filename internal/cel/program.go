package cel

import (
	"context"
	"errors"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// program is a runnable expression whose limit can be set. The library fixes
// the limit when a program is made and reads it through a pointer, so each
// program here has a limit of its own and runs one evaluation at a time.
type program struct {
	cel.Program
	limit uint64
}

// newProgram makes one.
func newProgram(env *cel.Env, checked *cel.Ast, f *facts, options ...cel.ProgramOption) (*program, error) {
	p := &program{limit: CostLimit}
	options = append(options,
		cel.CostTracking(estimator{f}),
		cel.CostTrackerOptions(func(tracker *interpreter.CostTracker) error {
			tracker.Limit = &p.limit
			return nil
		}),
		cel.InterruptCheckFrequency(interruptedBy))
	made, err := env.Program(checked, append(options, f.boundedMatches())...)
	p.Program = made
	return p, err
}

// run evaluates within what is left of the budget and charges it. An evaluation
// costs one unit at least; one that was stopped costs all that it was granted.
func (p *program) run(ctx context.Context, in *policy.Input, vars map[string]any) (ref.Val, *cel.EvalDetails, error) {
	granted, settle := in.Budget.Reserve(CostLimit)
	if granted == 0 {
		return nil, nil, errBudget()
	}
	used := granted
	defer func() { settle(used) }()
	p.limit = granted
	out, details, err := p.ContextEval(ctx, vars)
	if cost := details.ActualCost(); cost != nil {
		used = max(1, min(*cost, granted))
	}
	if isStopped(err) && granted < CostLimit {
		err = errBudget()
	}
	return out, details, err
}

// isStopped recognises an evaluation that reached its limit.
func isStopped(err error) bool {
	var cancelled interpreter.EvalCancelledError
	return errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded
}

// programs keeps programs of one expression for the next evaluation.
type programs struct {
	pool sync.Pool
	make func() (*program, error)
}

// run evaluates with a program that nobody else uses.
func (p *programs) run(ctx context.Context, in *policy.Input, vars map[string]any) (ref.Val, error) {
	one, ok := p.pool.Get().(*program)
	if !ok {
		made, err := p.make()
		if err != nil {
			return nil, ErrEvaluate
		}
		one = made
	}
	defer p.pool.Put(one)
	out, _, err := one.run(ctx, in, vars)
	return out, err
}
