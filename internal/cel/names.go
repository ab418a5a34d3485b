package cel

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

// maxShown is how much of a value an explanation shows.
const maxShown = 200

// names describes what a part looks at, each name once.
func (t *trace) names(e ast.Expr) []policy.Name {
	var out []policy.Name
	seen := map[string]bool{}
	for _, path := range paths(e) {
		name := strings.Join(path, ".")
		if !seen[name] {
			seen[name] = true
			out = append(out, t.describe(name, path))
		}
	}
	return out
}

// paths finds the longest references below e that start at a variable. A part
// in which a loop gives a name of its own to something may show that name, too.
func paths(e ast.Expr) [][]string {
	if path := pathOf(e); path != nil {
		if known(path[0]) {
			return [][]string{path}
		}
		return nil
	}
	var out [][]string
	for _, child := range children(e) {
		out = append(out, paths(child)...)
	}
	return out
}

// pathOf reads a chain of names: claims.org.unit, claims["org"].unit.
func pathOf(e ast.Expr) []string {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{strings.TrimPrefix(e.AsIdent(), ".")}
	case ast.SelectKind:
		return extend(pathOf(e.AsSelect().Operand()), e.AsSelect().FieldName())
	case ast.CallKind:
		args := e.AsCall().Args()
		if e.AsCall().FunctionName() != operators.Index {
			return nil
		}
		if key, ok := literalText(args[1]); ok {
			return extend(pathOf(args[0]), key)
		}
	default:
	}
	return nil
}

// extend adds a name to a path, if there is one.
func extend(path []string, name string) []string {
	if path == nil {
		return nil
	}
	return append(path, name)
}

// children are the parts of an expression.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		out := e.AsCall().Args()
		if e.AsCall().IsMemberFunction() {
			return append([]ast.Expr{e.AsCall().Target()}, out...)
		}
		return out
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var out []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			out = append(out, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return out
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return []ast.Expr{c.IterRange(), c.LoopCondition(), c.LoopStep(), c.Result()}
	default:
		return nil
	}
}

// known tells a variable from what a loop calls its elements.
func known(name string) bool { return root(name, &policy.Input{}) != nil }

// describe says what a name holds: of claims the kind, of anything the value if
// that was asked for.
func (t *trace) describe(name string, path []string) policy.Name {
	value, there := follow(root(path[0], t.in), path[1:])
	out := policy.Name{Name: name, Missing: !there}
	if there && path[0] == nameClaims {
		out.Kind = kind(value)
	}
	if there && t.how.Values {
		out.Value = shown(value)
	}
	return out
}

// root is the value of a variable as JSON has it, or nil.
func root(name string, in *policy.Input) any {
	switch name {
	case "email":
		return map[string]any{"address": in.Email.Address, "local": in.Email.Local, "domain": in.Email.Domain}
	case "iss":
		return in.Issuer
	case "sub":
		return in.Subject
	case nameClaims:
		return in.Claims
	case "resource":
		r := in.Resource
		return map[string]any{"id": r.ID, "name": r.Name, "type": r.Type, "owner": r.Owner, "server": r.Server, "scopes": r.Scopes, "captures": texts(r.Captures)}
	case "scopes":
		return in.Scopes
	case "client":
		return in.Client
	case "request":
		return map[string]any{"method": in.Request.Method, "ip": in.Request.IP}
	case "now":
		return in.Now.UTC().Format(time.RFC3339)
	default:
		return nil
	}
}

// texts is a map of texts as JSON has it.
func texts(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for name, text := range m {
		out[name] = text
	}
	return out
}

// follow walks along the names.
func follow(value any, path []string) (any, bool) {
	for _, name := range path {
		object, _ := value.(map[string]any)
		next, there := object[name]
		if !there {
			return nil, false
		}
		value = next
	}
	return value, true
}

// kind is the type of a value in JSON's words, never the value.
func kind(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "text"
	case []any:
		return entries(len(v))
	case []string:
		return entries(len(v))
	case map[string]any:
		return entries(len(v))
	default:
		return "number"
	}
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// shown is the value as JSON on one line, with escapes for whatever could move
// a cursor or turn the line around, cut between characters.
func shown(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "(unreadable)"
	}
	var b strings.Builder
	for i, r := range []rune(string(text)) {
		switch {
		case i == maxShown:
			return b.String() + "…"
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
