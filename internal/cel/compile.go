// Package cel compiles conditions written in CEL (https://cel.dev) into
// policies: typed, without loops that cost more than a budget.
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
	"cel.dev/cel-go/common/overloads"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// Bounds of an expression.
const (
	// MaxExpression is the longest expression, in characters.
	MaxExpression = 4096
	// CostLimit is how much one evaluation may cost, in CEL's units.
	CostLimit = 10000

	maxDepth      = 50  // of brackets and calls
	maxNesting    = 3   // of all(), exists(), map(), filter()
	maxPattern    = 256 // bytes of a regular expression
	interruptedBy = 100 // steps of a loop between two looks at the context
)

// Compile makes a policy of an expression that must yield a bool. usesClaims
// tells whether it looks at claims.* (a load error under `from anyone`). The
// error is an *Error when the expression is at fault.
func Compile(expression string) (p policy.Policy, usesClaims bool, err error) {
	if err := checkLength(expression); err != nil {
		return nil, false, err
	}
	env, err := newEnv()
	if err != nil {
		return nil, false, fmt.Errorf("cel: environment: %w", err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, false, fromIssues(expression, issues)
	}
	facts, err := examine(expression, checked)
	if err != nil {
		return nil, false, err
	}
	program, err := env.Program(checked,
		cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(CostLimit),
		cel.InterruptCheckFrequency(interruptedBy))
	if err != nil {
		// The text of the library may quote the expression, never claims: there are none yet.
		return nil, false, newError(expression, 1, 1, "the expression cannot be run: "+oneLine(err.Error()))
	}
	return &condition{program: program, facts: facts}, facts.claims, nil
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

// facts are what is known of a checked expression.
type facts struct {
	// claims: it looks at the claims.
	claims bool
	// words are the member names and text literals of the expression: keys that
	// an error may name, because the administrator wrote them.
	words map[string]bool
}

// examine checks what CEL itself does not.
func examine(expression string, checked *cel.Ast) (facts, error) {
	tree := checked.NativeRep()
	f := facts{words: map[string]bool{}}
	var err error
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		f.note(tree, e)
		if err == nil {
			err = checkPattern(expression, tree, e)
		}
	}))
	if err != nil {
		return facts{}, err
	}
	return f, checkResult(expression, checked)
}

// note collects the facts of one node. A reference is to the claims when its
// name is theirs, wherever it stands: in has(), below an index, as the range
// of a loop. A loop variable that was called so counts, too; better one refused
// policy than one that believes a stranger.
func (f *facts) note(tree *ast.AST, e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		if ref := tree.ReferenceMap()[e.ID()]; ref != nil && ref.Name != "" {
			f.claims = f.claims || isClaims(ref.Name)
		}
		f.claims = f.claims || isClaims(name)
	case ast.SelectKind:
		f.words[e.AsSelect().FieldName()] = true
	case ast.LiteralKind:
		if s, ok := e.AsLiteral().Value().(string); ok {
			f.words[s] = true
		}
	case ast.CallKind, ast.ComprehensionKind, ast.ListKind, ast.MapKind, ast.StructKind, ast.UnspecifiedExprKind:
		// Their parts are visited by themselves.
	}
}

// isClaims recognises the variable, also when it is written from the root
// (".claims").
func isClaims(name string) bool { return strings.TrimPrefix(name, ".") == nameClaims }

// checkPattern wants a short literal: a pattern taken from a claim would be a
// program that a stranger wrote.
func checkPattern(expression string, tree *ast.AST, e ast.Expr) error {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != overloads.Matches {
		return nil
	}
	args := e.AsCall().Args()
	pattern := args[len(args)-1]
	if pattern.Kind() != ast.LiteralKind {
		return atNode(expression, tree, pattern, "the pattern of matches() must be a literal text")
	}
	if s, _ := pattern.AsLiteral().Value().(string); len(s) > maxPattern {
		return atNode(expression, tree, pattern, fmt.Sprintf("the pattern of matches() is longer than %d bytes", maxPattern))
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
