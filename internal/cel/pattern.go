package cel

import (
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

const (
	maxPattern     = 256 // bytes of a regular expression
	maxPatternSize = 512 // instructions of its program

	// tooLong is how a match that would cost too much ends before it begins.
	tooLong = "text too long for the pattern"
)

// pattern wants a short literal: a pattern taken from a claim would be a
// program that a stranger wrote.
func (f *facts) pattern(expression string, tree *ast.AST, e ast.Expr) error {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != overloads.Matches {
		return nil
	}
	args := e.AsCall().Args()
	at := args[len(args)-1]
	pattern, literal := literalText(at)
	if !literal {
		return atNode(expression, tree, at, "the pattern of matches() must be a literal text")
	}
	if len(pattern) > maxPattern {
		return atNode(expression, tree, at, fmt.Sprintf("the pattern of matches() is longer than %d bytes", maxPattern))
	}
	size := patternSize(pattern)
	if size > maxPatternSize {
		return atNode(expression, tree, at, "the pattern of matches() is too costly: fewer or smaller repetitions are allowed")
	}
	f.patterns[pattern] = uint64(size)
	return nil
}

// patternSize counts the instructions of a pattern. (types.RegexProgramSize of
// cel-go v0.32 panics on a{2}: it compiles without Simplify.)
func patternSize(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return math.MaxInt // CEL has refused it already
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return math.MaxInt
	}
	return len(program.Inst)
}

// matchCost is what a match costs at most, in CEL's units. CEL itself takes the
// length of the pattern for its size, and a{1000} for something small.
func (f *facts) matchCost(text, pattern string) uint64 {
	perByte := max(f.patterns[pattern]/2, uint64(len(pattern))/4, 1)
	return (uint64(len(text))/10 + 1) * perByte
}

// boundedMatches are the options that refuse a match above CostLimit before it
// runs: every other step of CEL is short.
func (f *facts) boundedMatches() cel.ProgramOption {
	var bounded []*interpreter.RegexOptimization
	for _, overload := range []string{overloads.Matches, overloads.MatchesString} {
		bounded = append(bounded, &interpreter.RegexOptimization{
			Function: overloads.Matches, OverloadID: overload, RegexIndex: 1, Factory: f.match,
		})
	}
	return cel.OptimizeRegex(bounded...)
}

// match makes the call of one pattern.
func (f *facts) match(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	run := func(values ...ref.Val) ref.Val {
		text, ok := values[0].Value().(string)
		switch {
		case !ok:
			return types.NoSuchOverloadErr()
		case f.matchCost(text, pattern) > CostLimit:
			return types.NewErr(tooLong)
		}
		return types.Bool(compiled.MatchString(text))
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), run), nil
}

// isTooLong recognises the error of match.
func isTooLong(text string) bool { return strings.HasPrefix(text, tooLong) }
