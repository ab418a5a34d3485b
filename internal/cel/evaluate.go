package cel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// condition is a compiled expression. It may be evaluated concurrently.
type condition struct {
	program cel.Program
	facts   facts
}

// What Evaluate says. An allow rule then does not match, a deny rule does
// (CONFORMANCE SEC-26).
var (
	// ErrMissing: the expression looks at a claim that is not there.
	ErrMissing = errors.New("no such key")
	// ErrCost: the evaluation was stopped because it cost too much.
	ErrCost = errors.New("the condition costs too much for these claims")
	// ErrType: a claim is of another type than the expression expects.
	ErrType = errors.New("a value has another type than the condition expects")
	// ErrEvaluate: any other failure.
	ErrEvaluate = errors.New("the condition could not be evaluated")
)

// Evaluate runs the expression. Its errors hold no value of a claim.
func (c *condition) Evaluate(ctx context.Context, in *policy.Input) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	out, _, err := c.program.ContextEval(ctx, variables(in, c.facts.claims))
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
	var cancelled interpreter.EvalCancelledError
	text := err.Error()
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
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

var _ policy.Policy = (*condition)(nil)
