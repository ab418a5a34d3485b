package cel

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// facts are what is known of a checked expression.
type facts struct {
	// claims: it looks at the claims.
	claims bool
	// named are the claims that it looks at by name; whole: it looks at the
	// claims as such, too, so that any of them may count.
	named []string
	whole bool
	// words are the member names and text literals of the expression: keys that
	// an error may name, because the administrator wrote them.
	words map[string]bool
	// patterns are the costs of the patterns of matches().
	patterns map[string]uint64
}

// examine checks what CEL itself does not.
func examine(expression string, checked *cel.Ast) (facts, error) {
	tree := checked.NativeRep()
	f := facts{words: map[string]bool{}, patterns: map[string]uint64{}}
	var err error
	mentions, byName := 0, 0
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		f.note(e)
		if mentionsClaims(tree, e) {
			mentions++
		}
		if name, ok := namedClaim(tree, e); ok {
			byName++
			f.named = append(f.named, name)
		}
		if err == nil {
			err = f.pattern(expression, tree, e)
		}
	}))
	if err != nil {
		return facts{}, err
	}
	slices.Sort(f.named)
	f.named = slices.Compact(f.named)
	f.claims, f.whole = mentions > 0, mentions > byName
	return f, checkResult(expression, checked)
}

// note collects the words of one node.
func (f *facts) note(e ast.Expr) {
	switch e.Kind() {
	case ast.SelectKind:
		f.words[e.AsSelect().FieldName()] = true
	case ast.LiteralKind:
		if s, ok := e.AsLiteral().Value().(string); ok {
			f.words[s] = true
		}
	default:
		// Their parts are visited by themselves.
	}
}

// mentionsClaims: a reference is to the claims when its name is theirs,
// wherever it stands: in has(), below an index, as the range of a loop. A loop
// variable that was called so counts, too; better one refused policy than one
// that believes a stranger.
func mentionsClaims(tree *ast.AST, e ast.Expr) bool {
	if e.Kind() != ast.IdentKind {
		return false
	}
	if ref := tree.ReferenceMap()[e.ID()]; ref != nil && ref.Name != "" && isClaims(ref.Name) {
		return true
	}
	return isClaims(e.AsIdent())
}

// isClaims recognises the variable, also when it is written from the root
// (".claims").
func isClaims(name string) bool { return strings.TrimPrefix(name, ".") == nameClaims }

// namedClaim recognises claims.x, has(claims.x), claims["x"] and "x" in claims.
func namedClaim(tree *ast.AST, e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().FieldName(), mentionsClaims(tree, e.AsSelect().Operand())
	case ast.CallKind:
		args := e.AsCall().Args()
		switch e.AsCall().FunctionName() {
		case operators.Index:
			name, ok := literalText(args[1])
			return name, ok && mentionsClaims(tree, args[0])
		case operators.In:
			name, ok := literalText(args[0])
			return name, ok && mentionsClaims(tree, args[1])
		}
	default:
	}
	return "", false
}

// literalText is the text of a literal.
func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().Value().(string)
	return s, ok
}
