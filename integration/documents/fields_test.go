package documents_test

import (
	"go/ast"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// structs are the struct types of a package, and which of them are modules.
type structs struct {
	types   map[string]*ast.StructType
	modules []string
}

// TestJSONFields: whoever writes JSON has nothing but the doc comments of the
// fields, which Caddy's documentation is made of. Every field that can be reached
// from a module has one.
func TestJSONFields(t *testing.T) {
	all := map[string]structs{}
	var queue []string
	for _, dir := range adapters() {
		all[dir] = structsOf(t, dir)
		for _, name := range all[dir].modules {
			queue = append(queue, dir+"."+name)
		}
	}
	seen := 0
	for i := 0; i < len(queue); i++ { // it grows on the way
		dir, name, _ := strings.Cut(queue[i], ".")
		s, ok := all[dir].types[name]
		if !ok {
			continue // not of ours, or no struct
		}
		for _, field := range s.Fields.List {
			json, ok := jsonName(field)
			if !ok {
				continue
			}
			for _, next := range typesIn(dir, field.Type) {
				if !slices.Contains(queue, next) {
					queue = append(queue, next)
				}
			}
			seen++
			if json != "" && len(strings.Fields(field.Doc.Text())) < 3 {
				t.Errorf("%s: the field %q has no doc comment", queue[i], json)
			}
		}
	}
	if seen < 120 {
		t.Errorf("only %d fields seen", seen)
	}
}

func structsOf(t *testing.T, dir string) structs {
	t.Helper()
	s := structs{types: map[string]*ast.StructType{}}
	_, files := sources(t, dir)
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if typ, ok := n.Type.(*ast.StructType); ok {
					s.types[n.Name.Name] = typ
				}
			case *ast.FuncDecl:
				if n.Name.Name == "CaddyModule" {
					s.modules = append(s.modules, strings.TrimSuffix(receiver(n), "."))
				}
			}
			return true
		})
	}
	return s
}

// typesIn names the types in the type of a field, as directory and name.
func typesIn(dir string, typ ast.Expr) []string {
	var names []string
	ast.Inspect(typ, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); ok {
				names = append(names, adapterNamed(of.Name)+"."+n.Sel.Name)
			}
			return false
		case *ast.Ident:
			names = append(names, dir+"."+n.Name)
		}
		return true
	})
	return names
}

// adapterNamed is the directory of a package of ours that another one imports.
func adapterNamed(name string) string {
	for _, dir := range adapters() {
		if path.Base(dir) == name {
			return dir
		}
	}
	return ""
}

// jsonName is the name of a field in JSON, "" if it is embedded, and whether it has
// a place there.
func jsonName(field *ast.Field) (string, bool) {
	if len(field.Names) == 0 {
		return "", true
	}
	if field.Tag == nil || !field.Names[0].IsExported() {
		return "", false
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return "", false
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return name, name != "-" && name != ""
}
