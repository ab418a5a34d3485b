package uma_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// public are the packages that other programs import. Nobody outside of the
// module can name a type of `internal`, so none may stand in what they export.
var public = []string{"caddyuma/rqp", "caddyuma/policy"}

func TestPublicAPI(t *testing.T) {
	for _, f := range goFiles(t) {
		if slices.Contains(public, path.Dir(f.path)) && !strings.HasSuffix(f.path, "_test.go") {
			for _, leak := range leaks(t, f) {
				t.Error(leak)
			}
		}
	}
}

// TestPublicAPICatches plants leaks, each beside a neighbour that is none.
func TestPublicAPICatches(t *testing.T) {
	tests := []struct {
		name, code string
		leaks      int
	}{
		{"parameter", "func F(e *oauth.Error) {}", 1},
		{"parameter of a private function", "func f(e *oauth.Error) {}", 0},
		{"result", "func F() (x []oauth.Error) { return nil }", 1},
		{"body", "func F() { var e oauth.Error; _ = e }", 0},
		{"field", "type T struct { E oauth.Error }", 1},
		{"embedded field", "type T struct { oauth.Error }", 1},
		{"private field", "type T struct { e oauth.Error }", 0},
		{"private type", "type t struct { E oauth.Error }", 0},
		{"definition", "type T oauth.Error", 1},
		{"alias", "type T = map[string]oauth.Error", 1},
		{"method of an exported type", "type T int\nfunc (T) M() oauth.Error { panic(0) }", 1},
		{"method of a private type", "type t int\nfunc (t) M() oauth.Error { panic(0) }", 0},
		{"private method", "type T int\nfunc (T) m() oauth.Error { panic(0) }", 0},
		{"interface", "type T interface { M(oauth.Error) }", 1},
		{"variable", "var V oauth.Error", 1},
		{"value", "const C = string(oauth.X)", 0},
		{"standard library", "func F(r *http.Request) {}", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf("package rqp\n\nimport (\n%q\n%q\n)\n\n%s\n", "net/http", module+"/internal/oauth", tt.code)
			if got := leaks(t, source{"caddyuma/rqp/x.go", text}); len(got) != tt.leaks {
				t.Errorf("leaks = %q, want %d", got, tt.leaks)
			}
		})
	}
}

// leaks gives the exported declarations of a file in whose types an internal
// package stands.
func leaks(t *testing.T, f source) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := internalNames(file)
	var found []string
	for _, decl := range file.Decls {
		for _, typ := range exportedTypes(decl) {
			ast.Inspect(typ, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && slices.Contains(names, x.Name) {
						found = append(found, fmt.Sprintf("%s: %s.%s is exported", f.path, x.Name, s.Sel.Name))
					}
				}
				dropPrivateFields(n)
				return true
			})
		}
	}
	return found
}

// internalNames gives the names under which a file knows internal packages.
func internalNames(file *ast.File) []string {
	var names []string
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if !strings.HasPrefix(p, module+"/internal/") {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names = append(names, name)
	}
	return names
}

// exportedTypes gives the type expressions of what a declaration exports.
func exportedTypes(decl ast.Decl) []ast.Node {
	var types []ast.Node
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d.Recv) {
			types = append(types, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					types = append(types, s.Type)
				}
			case *ast.ValueSpec:
				if s.Type != nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
					types = append(types, s.Type)
				}
			}
		}
	}
	return types
}

// exportedReceiver: methods of a private type are not part of the interface.
func exportedReceiver(recv *ast.FieldList) bool {
	if recv == nil {
		return true
	}
	typ := recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// dropPrivateFields keeps the walk out of the private fields of a struct. An
// embedded field has no name, and counts.
func dropPrivateFields(n ast.Node) {
	if s, ok := n.(*ast.StructType); ok {
		s.Fields.List = slices.DeleteFunc(s.Fields.List, func(f *ast.Field) bool {
			return len(f.Names) > 0 && !slices.ContainsFunc(f.Names, (*ast.Ident).IsExported)
		})
	}
}
