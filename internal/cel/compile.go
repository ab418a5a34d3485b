// Package cel compiles conditions written in CEL (https://cel.dev) into
// policies of an authorization server and release rules of a security token
// service: typed, without loops that cost more than a budget.
//
// An expression is checked twice: by CEL against the types of the variables,
// and here: its result must be known to be true or false, the pattern of
// matches() must be a literal, and there are bounds on length, depth, nesting
// and, when it runs, cost. Nothing of what a stranger's claims hold appears in
// an error.
package cel

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// Bounds of an expression.
const (
	// MaxExpression is the longest expression, in characters.
	MaxExpression = 4096
	// CostLimit is how much one evaluation may cost, in CEL's units, whatever is
	// left of the budget of the request. The cost of a step is known when it is
	// done: an evaluation is charged with CostLimit at most, and works for at most
	// one step more. matches() is refused before it runs; for the other steps the
	// bounds of the claims hold (weigh.go).
	CostLimit = 10000

	maxDepth      = 50  // of brackets and calls
	maxNesting    = 3   // of all(), exists(), map(), filter()
	interruptedBy = 100 // steps of a loop between two looks at the context
)

// Compile makes a policy of an expression that must yield a bool. usesClaims
// tells whether it looks at claims.* (a load error under `from anyone`). The
// error is an *Error when the expression is at fault.
func Compile(expression string) (p policy.Policy, usesClaims bool, err error) {
	c, err := compile(expression, policies())
	if err != nil {
		return nil, false, err
	}
	return c, c.facts.claims, nil
}

// compile makes a condition in one of the languages.
func compile(expression string, l language) (*condition, error) {
	if err := checkLength(expression); err != nil {
		return nil, err
	}
	env, err := newEnv(l)
	if err != nil {
		return nil, fmt.Errorf("cel: environment: %w", err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fromIssues(expression, issues, l)
	}
	facts, err := examine(expression, checked)
	if err != nil {
		return nil, err
	}
	c := &condition{env: env, checked: checked, facts: facts}
	c.programs.make = func() (*program, error) {
		return newProgram(env, checked, &c.facts, cel.EvalOptions(cel.OptOptimize))
	}
	first, err := c.programs.make()
	if err != nil {
		// The text of the library may quote the expression, never claims: there are none yet.
		return nil, newError(expression, 1, 1, "the expression cannot be run: "+oneLine(err.Error()))
	}
	c.programs.pool.Put(first)
	return c, nil
}

// checkLength refuses what is not worth parsing.
func checkLength(expression string) error {
	switch n := len([]rune(expression)); {
	case strings.TrimSpace(expression) == "":
		return newError("", 1, 1, "the expression is empty")
	case n > MaxExpression:
		return newError("", 1, 1, fmt.Sprintf("the expression has %d characters, at most %d are allowed", n, MaxExpression))
	}
	return nil
}

// checkResult wants true or false, known before the first claims come: a
// claim that happens to hold true must not be a condition by itself.
func checkResult(expression string, checked *cel.Ast) error {
	switch t := checked.OutputType(); {
	case t.IsExactType(cel.BoolType) && !mayYieldDyn(checked.NativeRep()):
		return nil
	case t.IsExactType(cel.BoolType), t.IsExactType(cel.DynType):
		return newError(expression, 1, 1, "the expression yields a value of unknown type, not true/false; write a comparison")
	default:
		return newError(expression, 1, 1, fmt.Sprintf("the expression yields a value of type %s, not true/false; write a comparison", typeName(t)))
	}
}

// mayYieldDyn finds `x ? claims.a : true`, which CEL's checker counts as bool.
func mayYieldDyn(tree *ast.AST) bool {
	var dyn func(e ast.Expr) bool
	dyn = func(e ast.Expr) bool {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional {
			args := e.AsCall().Args()
			return dyn(args[1]) || dyn(args[2])
		}
		return tree.GetType(e.ID()).IsExactType(cel.DynType)
	}
	return dyn(tree.Expr())
}

// typeName is the name of a type without the package names of Go.
func typeName(t *cel.Type) string {
	name := strings.TrimPrefix(t.String(), "cel.")
	return strings.TrimSuffix(name, "Var")
}
