package cel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// condition is a compiled expression. It may be evaluated concurrently.
type condition struct {
	env      *cel.Env
	checked  *cel.Ast
	facts    facts
	programs programs
}

// What Evaluate says. An allow rule then does not match, a deny rule does
// (CONFORMANCE SEC-26). The first three are those of the public contract.
var (
	// ErrMissing: the expression looks at a claim that is not there.
	ErrMissing = policy.ErrMissing
	// ErrCost: the evaluation was stopped because it cost too much, or more than
	// is left of the budget; or the claims are too large to begin with.
	ErrCost = policy.ErrCost
	// ErrType: a claim is of another type than the expression expects.
	ErrType = policy.ErrType
	// ErrEvaluate: any other failure.
	ErrEvaluate = errors.New("the condition could not be evaluated")
)

// Evaluate runs the expression. Its errors hold no value of a claim.
func (c *condition) Evaluate(ctx context.Context, in *policy.Input) (bool, error) {
	return c.evaluate(ctx, in, variables(in, c.facts.claims))
}

// evaluate runs the expression with the values of its variables.
func (c *condition) evaluate(ctx context.Context, in *policy.Input, vars map[string]any) (bool, error) {
	if err := c.begin(ctx, in); err != nil {
		return false, err
	}
	out, err := c.programs.run(ctx, in, vars)
	return c.outcome(ctx, out, err)
}

// begin refuses what should not even be tried.
func (c *condition) begin(ctx context.Context, in *policy.Input) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if in.Budget.Left() == 0 {
		return errBudget()
	}
	return c.facts.weigh(in)
}

// errBudget: it is not this condition that costs too much.
func errBudget() error {
	return fmt.Errorf("%w: nothing is left of what the request may cost", ErrCost)
}

// outcome is the result of an evaluation.
func (c *condition) outcome(ctx context.Context, out ref.Val, err error) (bool, error) {
	if err != nil {
		return false, c.failure(ctx, err)
	}
	result, ok := out.(types.Bool)
	if !ok {
		return false, ErrType
	}
	return bool(result), nil
}

// failure makes an error of our own of the library's, whose text may quote
// claims (int("…"), claims[claims.x]).
func (c *condition) failure(ctx context.Context, err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, ErrCost):
		return err
	case isStopped(err), isTooLong(text):
		return ErrCost
	case ctx.Err() != nil:
		return ctx.Err()
	case strings.HasPrefix(text, noSuchKey):
		if key := strings.TrimPrefix(text, noSuchKey); c.facts.words[key] {
			return fmt.Errorf("%w: %s", ErrMissing, key)
		}
		return ErrMissing
	case strings.HasPrefix(text, "no such overload"), strings.HasPrefix(text, "unsupported"):
		return ErrType
	default:
		return ErrEvaluate
	}
}

// noSuchKey is how the library says that a map lacks a key.
const noSuchKey = "no such key: "

var _ policy.Explainer = (*condition)(nil)

// LooksAt gives the claims that the expression names, and whether it looks at the
// claims as such.
func (c *condition) LooksAt() (names []string, whole bool) { return c.facts.named, c.facts.whole }
