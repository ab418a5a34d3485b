// Package documents_test keeps the documents true: the reference is compared with
// the parsers, the threat model with the list of requirements, and every link is
// followed. It reads source text only, so that it needs no Caddy and no network.
package documents_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the top of the repository.
const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources parses the Go files of a package that are no tests.
func sources(t *testing.T, dir string) (*token.FileSet, []*ast.File) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, dir, e.Name()), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("%s has no Go files", dir)
	}
	return fset, files
}

// adapters are the packages whose fields and words people write.
func adapters() []string {
	return []string{
		"caddyuma", "caddyuma/postgres", "caddysts", "caddyrs",
		"internal/umaapp", "internal/umaapp/syntax", "internal/umaapp/logs", "internal/umaapp/health",
	}
}
