package uma_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This test is the import table of the project. It parses the import lines
// itself: a child `go list` is invisible to the test cache, and the test would
// stay `ok (cached)` after a violation.

const module = "github.com/caddy-uma/caddy-uma"

// pkg is a row of the table: what the files of a package that are no tests may
// import, of ours and of other people's. The standard library is free.
type pkg struct {
	ours    []string
	foreign []string
}

// Other people's libraries, by the prefix of their import paths.
const (
	caddyserver = "github.com/caddyserver"
	zap         = "go.uber.org/zap"
	goJose      = "github.com/go-jose/go-jose/v4"
	lru         = "github.com/hashicorp/golang-lru/v2"
	xSync       = "golang.org/x/sync"
)

// shared may be imported by several packages; every other library by one.
var shared = []string{caddyserver, zap, goJose, lru, xSync}

// vocabulary is level 0, tools is level 1.
var (
	vocabulary = []string{"internal/oauth", "internal/event", "internal/suggest", "internal/finding", "caddyuma/policy"}
	tools      = []string{
		"internal/seal", "internal/limit", "internal/jose", "internal/outbound", "internal/store", "internal/cel",
		"internal/clientauth", "internal/dpop", "internal/statuslist", "internal/discovery", "internal/keystore", "internal/chain",
	}
	low = slices.Concat(vocabulary, tools)
	// below the app are parts of it that stand alone; they know Caddy.
	below = []string{"internal/umaapp/syntax", "internal/umaapp/logs", "internal/umaapp/health", "internal/umaapp/sites"}
)

// engines are separate trust domains. They meet, in code as on the wire, only
// through HTTP messages; not even their tests import another one.
var engines = []string{"internal/uma", "internal/sts", "internal/op", "internal/rs", "internal/upstream", "internal/wrap"}

// everything may be imported by the packages that show the whole.
var everything = []string{"*"}

// packages is the table. A package that does not exist yet may stand here; one
// that exists and does not stand here is a violation.
var packages = map[string]pkg{
	"internal/oauth":   {foreign: []string{goJose}},
	"internal/event":   {},
	"internal/suggest": {},
	"internal/finding": {},
	"internal/chain":   {},
	"caddyuma/policy":  {},

	"internal/seal":            {foreign: []string{"golang.org/x/crypto"}},
	"internal/limit":           {foreign: []string{"golang.org/x/time", lru}},
	"internal/jose":            {ours: []string{"internal/oauth"}, foreign: []string{"github.com/lestrrat-go/jwx/v2", zap, lru, xSync}},
	"internal/outbound":        {foreign: []string{"code.dny.dev/ssrf", zap}},
	"internal/store":           {foreign: []string{"go.etcd.io/bbolt"}},
	"internal/store/storetest": {ours: []string{"internal/store"}, foreign: []string{"pgregory.net/rapid"}},
	// Beside its module, so that the suite and the race detector run without Caddy.
	"internal/store/postgres": {ours: []string{"internal/store"}, foreign: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}},
	"internal/keystore":       {ours: []string{"internal/seal", "internal/jose", "internal/store"}, foreign: []string{zap}},
	"internal/cel":            {ours: []string{"caddyuma/policy", "internal/suggest"}, foreign: []string{"cel.dev/cel-go"}},
	"internal/clientauth":     {ours: []string{"internal/oauth", "internal/jose", "internal/store"}},
	"internal/dpop":           {ours: []string{"internal/oauth", "internal/jose", "internal/seal"}, foreign: []string{lru}},
	"internal/statuslist":     {ours: []string{"internal/jose"}, foreign: []string{lru}},
	"internal/discovery": {
		ours:    []string{"internal/oauth", "internal/event", "internal/jose", "internal/limit", "internal/outbound"},
		foreign: []string{"github.com/coreos/go-oidc/v3", "golang.org/x/net/publicsuffix", zap, lru, xSync},
	},

	"internal/uma": {ours: low, foreign: []string{zap, lru, xSync}},
	"internal/sts": {ours: low, foreign: []string{zap, lru, xSync}},
	"internal/op": {
		ours:    []string{"internal/oauth", "internal/event", "internal/seal", "internal/limit", "internal/jose", "internal/store", "internal/clientauth", "internal/dpop"},
		foreign: []string{zap},
	},
	// Where the users of a security token service come from: other people's
	// providers. Caddy-free, like the engine that they serve.
	"internal/upstream": {ours: []string{"internal/oauth", "internal/jose", "internal/limit", "internal/clientauth"}, foreign: []string{zap, lru, xSync}},
	"internal/wrap":     {ours: []string{"internal/oauth", "internal/jose"}, foreign: []string{zap, xSync}},
	"internal/rs":       {ours: low, foreign: []string{zap, lru, xSync}},
	"caddyuma/rqp":      {ours: []string{"internal/oauth", "internal/jose", "internal/dpop", "internal/outbound"}},

	"internal/umaapp/syntax": {
		ours:    []string{"internal/oauth", "internal/suggest", "internal/limit", "internal/cel"},
		foreign: []string{caddyserver, zap},
	},
	"internal/umaapp/logs":   {ours: []string{"internal/chain", "internal/umaapp/syntax"}, foreign: []string{caddyserver, zap}},
	"internal/umaapp/health": {ours: []string{"internal/oauth", "internal/suggest", "internal/umaapp/syntax"}, foreign: []string{caddyserver, zap}},
	"internal/umaapp/sites":  {ours: []string{"internal/finding"}, foreign: []string{caddyserver}},
	"internal/umaapp":        {ours: slices.Concat(below, low), foreign: []string{caddyserver, zap, "github.com/prometheus/client_golang", "go.opentelemetry.io/otel"}},
	"internal/umaapp/cli": {
		ours:    slices.Concat([]string{"internal/umaapp", "caddyuma/rqp"}, below, low),
		foreign: []string{caddyserver, zap, "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"},
	},

	"caddyuma":          {ours: adapter("internal/uma"), foreign: []string{caddyserver, zap}},
	"caddysts":          {ours: adapter("internal/sts", "internal/op", "internal/upstream", "internal/wrap"), foreign: []string{caddyserver, zap}},
	"caddyrs":           {ours: adapter("internal/rs"), foreign: []string{caddyserver, zap, "golang.org/x/net/http/httpguts", "golang.org/x/text/unicode/norm", "github.com/dunglas/go-urlpattern"}},
	"caddyuma/postgres": {ours: []string{"internal/umaapp", "internal/umaapp/syntax", "internal/store", "internal/store/postgres"}, foreign: []string{caddyserver, zap}},

	".":                        {ours: []string{"caddyuma", "caddysts", "caddyrs", "caddyuma/postgres"}},
	"integration":              {ours: everything, foreign: []string{caddyserver, zap}},
	"integration/bench":        {ours: everything, foreign: []string{caddyserver, zap}},
	"integration/caddy":        {ours: []string{"."}, foreign: []string{caddyserver}},
	"integration/requirements": {},
	"integration/simulation":   {ours: []string{"internal/oauth", "internal/outbound", "internal/jose", "internal/limit", "internal/discovery"}},
	"integration/documents":    {}, // tests only

	// Imported from tests only: no row names them.
	"internal/golden":        {foreign: []string{caddyserver, "github.com/google/go-cmp"}},
	"internal/jose/josetest": {ours: []string{"internal/oauth", "internal/jose"}},
	"internal/fakeop":        {ours: []string{"internal/oauth", "internal/jose"}, foreign: []string{goJose}},
	"internal/pgtest":        {},
}

// adapter may import its own engine, the app, the command line and what lies
// below; never another adapter or its engine.
func adapter(engine ...string) []string {
	return slices.Concat(engine, []string{"internal/umaapp", "internal/umaapp/cli"}, below, low)
}

// source is a Go file; a nil text is read from the path.
type source struct {
	path string
	text any
}

func TestLayering(t *testing.T) {
	files := goFiles(t)
	if len(files) < 10 {
		t.Fatalf("only %d Go files found", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

func TestLayeringTable(t *testing.T) {
	by := map[string]string{}
	for name, p := range packages {
		for _, lib := range p.foreign {
			if other := by[lib]; other != "" && !slices.Contains(shared, lib) {
				t.Errorf("%s and %s both import %s", name, other, lib)
			}
			by[lib] = name
		}
		for _, o := range p.ours {
			if _, ok := packages[o]; !ok && o != "*" {
				t.Errorf("%s may import %s, which is not in the table", name, o)
			}
			if slices.Contains(engines, name) && slices.Contains(engines, o) {
				t.Errorf("the engine %s may import the engine %s", name, o)
			}
		}
	}
}

// TestLayeringCatches plants violations, each beside a neighbour that is none.
func TestLayeringCatches(t *testing.T) {
	tests := []struct{ name, path, imports, want string }{
		{"engine below", "internal/uma/x.go", module + "/internal/store", ""},
		{"engine to engine", "internal/uma/x.go", module + "/internal/sts", "internal/uma/x.go: internal/uma must not import internal/sts"},
		{"engine to Caddy", "internal/rs/x.go", "github.com/caddyserver/caddy/v2", "internal/rs must not import github.com/caddyserver/caddy/v2"},
		{"engine upwards", "internal/sts/x.go", module + "/internal/umaapp", "internal/sts must not import internal/umaapp"},
		{"adapter", "caddysts/x.go", module + "/internal/op", ""},
		{"adapter to adapter", "caddysts/x.go", module + "/caddyuma", "caddysts must not import caddyuma"},
		{"adapter to a foreign engine", "caddyrs/x.go", module + "/internal/uma", "caddyrs must not import internal/uma"},
		{"library in its package", "internal/jose/x.go", "github.com/lestrrat-go/jwx/v2/jws", ""},
		{"library elsewhere", "internal/uma/x.go", "github.com/lestrrat-go/jwx/v2/jws", "internal/uma must not import github.com/lestrrat-go/jwx/v2/jws"},
		{"library with a longer name", "internal/store/x.go", "go.etcd.io/bboltx", "internal/store must not import go.etcd.io/bboltx"},
		{"certmagic is Caddy", "internal/umaapp/x.go", "github.com/caddyserver/certmagic", ""},
		{"vocabulary", "internal/event/x.go", "context", ""},
		{"vocabulary to vocabulary", "internal/event/x.go", module + "/internal/oauth", "internal/event must not import internal/oauth"},
		{"fake in code", "internal/discovery/x.go", module + "/internal/fakeop", "internal/discovery must not import internal/fakeop"},
		{"fake in a test", "internal/discovery/x_test.go", module + "/internal/fakeop", ""},
		{"library in a test", "internal/sts/x_test.go", "github.com/google/go-cmp/cmp", ""},
		{"other engine in a test", "internal/rs/x_test.go", module + "/internal/uma", "internal/rs/x_test.go: internal/rs must not import internal/uma, not even in a test"},
		{"own engine in a test", "internal/rs/x_test.go", module + "/internal/rs", ""},
		{"end-to-end test", "integration/x_test.go", module + "/internal/uma", ""},
		{"unlisted package", "internal/misc/x.go", "fmt", "internal/misc/x.go: the package internal/misc is not in the table"},
		{"unlisted package of tests", "internal/misc/x_test.go", "fmt", "internal/misc is not in the table"},
		{"not our module", "internal/rs/x.go", module + "x/internal/oauth", "internal/rs must not import " + module + "x/internal/oauth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf("package x\n\nimport _ %q\n", tt.imports)
			got := strings.Join(violations([]source{{tt.path, text}}), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("violations = %q, want %q", got, tt.want)
			}
		})
	}
	if got := violations([]source{{"internal/rs/x.go", "pakage"}}); len(got) != 1 {
		t.Errorf("a file that is not Go: %q, want one violation", got)
	}
}

// goFiles lists the Go files of the module, apart from hidden folders and
// testdata.
func goFiles(t *testing.T) []source {
	t.Helper()
	var files []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != "." && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".go") {
			text, err := os.ReadFile(p) // so that the test cache sees the file
			if err != nil {
				return err
			}
			files = append(files, source{filepath.ToSlash(p), text})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func violations(files []source) []string {
	var found []string
	for _, f := range files {
		imports, err := importsOf(f)
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		dir := path.Dir(f.path)
		if _, listed := packages[dir]; !listed {
			found = append(found, fmt.Sprintf("%s: the package %s is not in the table", f.path, dir))
			continue
		}
		for _, i := range imports {
			if why := forbidden(dir, i, strings.HasSuffix(f.path, "_test.go")); why != "" {
				found = append(found, f.path+": "+why)
			}
		}
	}
	return found
}

func importsOf(f source) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var imports []string
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		imports = append(imports, p)
	}
	return imports, nil
}

// forbidden says why a package must not import a path, or "".
func forbidden(dir, imported string, test bool) string {
	ours, isOurs := relative(imported)
	if test {
		if isOurs && ours != dir && slices.Contains(engines, dir) && slices.Contains(engines, ours) {
			return fmt.Sprintf("%s must not import %s, not even in a test", dir, ours)
		}
		return ""
	}
	p := packages[dir]
	switch {
	case isOurs:
		if !slices.Contains(p.ours, ours) && !slices.Equal(p.ours, everything) {
			return fmt.Sprintf("%s must not import %s", dir, ours)
		}
	case isForeign(imported):
		if !slices.ContainsFunc(p.foreign, func(lib string) bool { return within(imported, lib) }) {
			return fmt.Sprintf("%s must not import %s", dir, imported)
		}
	}
	return ""
}

// relative gives the row of a package of ours.
func relative(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// isForeign tells other people's packages from the standard library, whose
// first path element has no dot.
func isForeign(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

func within(imported, lib string) bool {
	return imported == lib || strings.HasPrefix(imported, lib+"/")
}
