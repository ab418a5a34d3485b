// Package cel compiles conditions written in CEL (https://cel.dev) into
// policies: typed, without loops that cost more than a budget.
package cel

import "github.com/caddy-uma/caddy-uma/caddyuma/policy"

// Error is a compile error. Line and Column (from 1) are inside the expression.
type Error struct {
	Line, Column int
	Message      string // one line, e.g. "undeclared reference to 'claim', did you mean 'claims'?"
	Snippet      string // source line and caret line
}

func (e *Error) Error() string { panic("later") }

// Compile makes a policy of an expression that must yield a bool.
// usesClaims: whether it looks at claims.* (a load error under `from anyone`).
func Compile(expression string) (p policy.Policy, usesClaims bool, err error) { panic("later") }
