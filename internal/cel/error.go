package cel

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// Error is a compile error. Line and Column (from 1) are inside the expression.
type Error struct {
	Line, Column int
	Message      string // one line, e.g. "undeclared reference to 'claim', did you mean 'claims'?"
	Snippet      string // source line and caret line
}

// Error is "line:column: message".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

// newError makes an Error with its snippet.
func newError(expression string, line, column int, message string) *Error {
	e := &Error{Line: max(line, 1), Column: max(column, 1), Message: message}
	if source := sourceLine(expression, e.Line); source != "" {
		e.Snippet = source + "\n" + indent(source, e.Column-1) + "^"
	}
	return e
}

// atNode makes an Error that points to a node.
func atNode(expression string, tree *ast.AST, e ast.Expr, message string) *Error {
	at := tree.SourceInfo().GetStartLocation(e.ID())
	return newError(expression, at.Line(), at.Column()+1, message)
}

// fromIssues makes an Error of the first thing that CEL complained of.
func fromIssues(expression string, issues *cel.Issues, l language) *Error {
	all := issues.Errors()
	if len(all) == 0 {
		return newError(expression, 1, 1, oneLine(issues.Err().Error()))
	}
	first := all[0]
	line, column := first.Location.Line(), first.Location.Column()
	return newError(expression, line, column+1, rewrite(first.Message, sourceLine(expression, line), column, l))
}

// sourceLine is a line of the expression, from 1, fit for a terminal.
func sourceLine(expression string, line int) string {
	lines := strings.Split(expression, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, lines[line-1])
}

// indent is as wide as the first n characters of the line.
func indent(line string, n int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		switch {
		case i >= n:
			return b.String()
		case r == '\t':
			b.WriteByte('\t')
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// How CEL says what we say in our own words.
var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	undefined  = regexp.MustCompile(`^undefined field '([^']*)'`)
	lastWord   = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)\s*$`)
)

// rewrite makes one line of a message of CEL and adds what was probably meant.
func rewrite(message, source string, column int, l language) string {
	if m := undeclared.FindStringSubmatch(message); m != nil {
		return "undeclared reference to " + quoted(m[1]) + didYouMean(m[1], l.names())
	}
	if m := undefined.FindStringSubmatch(message); m != nil {
		return "undefined field " + quoted(m[1]) + didYouMean(m[1], fields(wordBefore(source, column)))
	}
	// The parser lists every token it would have liked: longer than helpful.
	message, _, _ = strings.Cut(message, " expecting {")
	return strings.Replace(oneLine(message), "Syntax error", "syntax error", 1)
}

// wordBefore is the name that ends at a column (from 0, in characters) of a
// line.
func wordBefore(line string, column int) string {
	runes := []rune(line)
	m := lastWord.FindStringSubmatch(string(runes[:min(max(column, 0), len(runes))]))
	if m == nil {
		return ""
	}
	return m[1]
}

// quoted puts a word into quotation marks.
func quoted(word string) string { return "'" + word + "'" }

// oneLine makes one line of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
