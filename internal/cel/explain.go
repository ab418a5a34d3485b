package cel

import (
	"context"
	"errors"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// Explain evaluates once more, with the values of all parts kept, and tells
// which parts decided: for a && b the first that was false, for a || b each
// that was false or the first that was true, for an error the part that failed.
// It is charged as Evaluate is.
func (c *condition) Explain(ctx context.Context, in *policy.Input, how policy.Detail) policy.Explanation {
	if err := c.begin(ctx, in); err != nil {
		return policy.Explanation{Err: err}
	}
	// Not optimised: a part that was computed in advance would leave no trace.
	p, err := newProgram(c.env, c.checked, &c.facts, cel.EvalOptions(cel.OptTrackState))
	if err != nil {
		return policy.Explanation{Err: ErrEvaluate}
	}
	out, details, err := p.run(ctx, in, variables(in, c.facts.claims))
	var e policy.Explanation
	e.Result, e.Err = c.outcome(ctx, out, err)
	if errors.Is(e.Err, ErrCost) || ctx.Err() != nil {
		return e // what was stopped has not decided
	}
	t := trace{condition: c, state: details.State(), in: in, how: how}
	for _, part := range t.deciders(c.checked.NativeRep().Expr(), out) {
		e.Parts = append(e.Parts, t.part(ctx, part))
	}
	return e
}

// trace is what an evaluation left behind.
type trace struct {
	condition *condition
	state     interpreter.EvalState
	in        *policy.Input
	how       policy.Detail
}

// decider is a part that decided, and its value.
type decider struct {
	expr  ast.Expr
	value ref.Val
}

// deciders finds the smallest parts that made the value of e what it is.
func (t *trace) deciders(e ast.Expr, value ref.Val) []decider {
	if e.Kind() != ast.CallKind {
		return []decider{{e, value}}
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		return t.operands(e, operators.LogicalAnd, types.False, value)
	case operators.LogicalOr:
		return t.operands(e, operators.LogicalOr, types.True, value)
	case operators.LogicalNot:
		return t.inner(args[0])
	case operators.Conditional:
		return t.branches(args)
	default:
		return []decider{{e, value}}
	}
}

// operands finds the operand that settled the matter, or failed; without one
// all of them decided together.
func (t *trace) operands(e ast.Expr, operator string, settles types.Bool, value ref.Val) []decider {
	var all []decider
	for _, operand := range flatten(e, operator) {
		v, ran := t.valueOf(operand)
		if !ran {
			continue
		}
		result, isBool := v.(types.Bool)
		settled := isBool && value == ref.Val(settles) && result == settles
		failed := !isBool && !isBoolean(value)
		if settled || failed {
			return t.deciders(operand, v)
		}
		if isBool {
			all = append(all, t.deciders(operand, v)...)
		}
	}
	return all
}

// inner goes into the only operand.
func (t *trace) inner(e ast.Expr) []decider {
	v, _ := t.valueOf(e)
	return t.deciders(e, v)
}

// branches names the condition and the branch that it chose, which is not there
// when the condition failed.
func (t *trace) branches(args []ast.Expr) []decider {
	chosen, _ := t.valueOf(args[0])
	parts := t.deciders(args[0], chosen)
	switch chosen {
	case ref.Val(types.True):
		return append(parts, t.inner(args[1])...)
	case ref.Val(types.False):
		return append(parts, t.inner(args[2])...)
	default:
		return parts
	}
}

// valueOf is the value that a part had, if it ran.
func (t *trace) valueOf(e ast.Expr) (ref.Val, bool) {
	if e.Kind() == ast.LiteralKind {
		return e.AsLiteral(), true
	}
	return t.state.Value(e.ID())
}

func isBoolean(v ref.Val) bool {
	_, ok := v.(types.Bool)
	return ok
}

// flatten gives the operands of a chain of one operator, in the order in which
// they are written and run: the parser balances the chain into a tree.
func flatten(e ast.Expr, operator string) []ast.Expr {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operator {
		return []ast.Expr{e}
	}
	var out []ast.Expr
	for _, arg := range e.AsCall().Args() {
		out = append(out, flatten(arg, operator)...)
	}
	return out
}

// part describes one part.
func (t *trace) part(ctx context.Context, d decider) policy.Part {
	p := policy.Part{Source: t.source(d.expr), Names: t.names(d.expr)}
	var err error
	if failed, ok := d.value.(*types.Err); ok {
		err = failed
	}
	p.Result, p.Err = t.condition.outcome(ctx, d.value, err)
	return p
}

// source is the text of a part, as CEL writes it.
func (t *trace) source(e ast.Expr) string {
	text, err := cel.ExprToString(e, t.condition.checked.NativeRep().SourceInfo())
	if err != nil {
		return "a part of the condition"
	}
	return oneLine(text)
}
