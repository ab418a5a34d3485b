package documents_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// form is how a line is read, by the function that reads it, and the texts that it
// may have.
type form struct {
	reader string
	values []string
}

// TestReferenceForms: a line of the reference has the arguments that its parser wants:
// none, one, several, `off`, or one of a few words.
func TestReferenceForms(t *testing.T) {
	lines := map[string][][]string{} // arguments of each line, by block and word
	eachLine(read(t, "docs/reference.md"), func(block string, words []string, _ string) {
		key := block + " " + words[0]
		lines[key] = append(lines[key], words[1:])
	})
	checked := 0
	for _, dir := range adapters() {
		for table, words := range wordForms(t, dir) {
			blocks := []string{places()[table].block}
			if table == credentials {
				blocks = []string{"uma_server/resource_server", "uma_server/client", "uma_sts/client"}
			}
			if places()[table].line != "" {
				continue // the words are arguments themselves
			}
			for word, f := range words {
				for _, block := range blocks {
					for _, args := range lines[block+" "+word] {
						checked++
						if want := f.wants(args); want != "" {
							t.Errorf("%s: %s %s: its parser takes %s", block, word, strings.Join(args, " "), want)
						}
					}
				}
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d lines were checked", checked)
	}
}

// wants says what the parser takes if that is not what the reference says.
func (f form) wants(args []string) string {
	several := len(args) == 1 && strings.HasSuffix(args[0], "...>")
	switch f.reader {
	case "Flag", "flag":
		if len(args) > 0 {
			return "no argument"
		}
	case "Off":
		if !slices.Equal(args, []string{"off"}) {
			return "off"
		}
	case "List", "targets", "releases":
		if !several {
			return "several values"
		}
	case "Text", "scalar", "duration", "Duration", "positive":
		if len(args) != 1 || several {
			return "one value"
		}
	case "choice", "binding", "only":
		if len(f.values) > 0 && (len(args) != 1 || args[0] != strings.Join(f.values, "|")) {
			return strings.Join(f.values, "|")
		}
	}
	return ""
}

// wordForms finds how the words of each table are read.
func wordForms(t *testing.T, dir string) map[string]map[string]form {
	t.Helper()
	forms := map[string]map[string]form{}
	_, files := sources(t, dir)
	texts := textConstants(files)
	for _, f := range files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				lit, ok := n.(*ast.CompositeLit)
				if !ok || !isWordTable(lit) {
					return true
				}
				name := dir + "." + receiver(fn) + fn.Name.Name
				if forms[name] == nil {
					forms[name] = map[string]form{}
				}
				for i, word := range keysOf(t, lit) {
					forms[name][word] = formOf(lit.Elts[i].(*ast.KeyValueExpr).Value, texts)
				}
				return true
			})
		}
	}
	return forms
}

// formOf finds the first call in the value of a table.
func formOf(value ast.Expr, texts map[string]string) form {
	var f form
	ast.Inspect(value, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || f.reader != "" {
			return f.reader == ""
		}
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			f.reader = fun.Name
		case *ast.SelectorExpr:
			f.reader = fun.Sel.Name
		}
		for _, arg := range call.Args {
			switch a := arg.(type) {
			case *ast.BasicLit:
				if text, err := strconv.Unquote(a.Value); a.Kind == token.STRING && err == nil {
					f.values = append(f.values, text)
				}
			case *ast.Ident:
				if text := texts[a.Name]; text != "" {
					f.values = append(f.values, text)
				}
			}
		}
		return false
	})
	if f.reader == "binding" {
		f.values = []string{"dpop", "mtls"}
	}
	return f
}

// textConstants are the constants of a package that are texts.
func textConstants(files []*ast.File) map[string]string {
	texts := map[string]string{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					texts[spec.Names[0].Name] = text
				}
			}
			return true
		})
	}
	return texts
}
