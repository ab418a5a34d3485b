package documents_test

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// place is where the reference documents a table of words: a block, or the first
// arguments of a line in one.
type place struct {
	block string // uma_server/policy
	line  string // lifetime: the words are arguments of this line
	more  string // a table whose words this block has, too
}

// credentials are words that three blocks share.
const credentials = "internal/umaapp.Credentials.Words"

// places has every table of words in the parsers, by package and function. A new
// one must be told here where it is documented.
func places() map[string]place {
	return map[string]place{
		"internal/umaapp.App.words":                     {block: "uma"},
		"caddyuma/postgres.Postgres.UnmarshalCaddyfile": {block: "uma/store"},
		"caddyuma.Handler.words":                        {block: "uma_server"},
		"caddyuma.Handler.parseResourceServer":          {block: "uma_server/resource_server", more: credentials},
		"caddyuma.Handler.parseClient":                  {block: "uma_server/client", more: credentials},
		"caddyuma.Handler.parsePolicy":                  {block: "uma_server/policy"},
		"caddyuma.Handler.parseEmailDomain":             {block: "uma_server/email_domain"},
		"caddyuma.Handler.parseLifetime":                {block: "uma_server", line: "lifetime"},
		"caddyuma.Handler.parseRateLimit":               {block: "uma_server", line: "rate_limit"},
		"caddysts.Handler.words":                        {block: "uma_sts"},
		"caddysts.Upstream.words":                       {block: "uma_sts/upstream"},
		"caddysts.Handler.parseProvider":                {block: "uma_sts/provider"},
		"caddysts.Client.words":                         {block: "uma_sts/client", more: credentials},
		"caddysts.Handler.parseTarget":                  {block: "uma_sts/target"},
		"caddysts.Handler.parseLifetime":                {block: "uma_sts", line: "lifetime"},
		"caddysts.Handler.parseRateLimit":               {block: "uma_sts", line: "rate_limit"},
		"caddyrs.parser.words":                          {block: "uma_protect"},
		"caddyrs.parser.resourceWord":                   {block: "uma_protect/resource"},
		"internal/umaapp/health.Handler.Unmarshal":      {block: "uma_health"},

		"internal/umaapp/logs.ChainEncoder.UnmarshalCaddyfile":  {block: "uma_chain"},
		"internal/umaapp/logs.FilterEncoder.UnmarshalCaddyfile": {block: "uma_filter"},
	}
}

// odd are words that the parsers do not find in a table.
func odd() map[string][]string {
	return map[string][]string{
		"uma_sts/provider/user":      {"sub"}, // every other word is a claim
		"uma_protect/resource/match": {},      // Caddy's matchers
		"uma_sts/wrap":               {},      // that of upstream
	}
}

// TestReferenceWords: the reference documents every word that the parsers know,
// in its block, and no other.
func TestReferenceWords(t *testing.T) {
	tables := map[string][]string{}
	for _, dir := range adapters() {
		maps.Copy(tables, wordTables(t, dir))
	}
	blocks := referenceBlocks(read(t, "docs/reference.md"))
	at := places()
	for name, words := range tables {
		p, known := at[name]
		switch {
		case name == credentials:
			continue
		case !known:
			t.Errorf("%s has words (%s): say in places() where the reference documents them", name, strings.Join(words, " "))
			continue
		case p.more != "":
			words = slices.Concat(words, tables[p.more])
		}
		key := p.block
		if p.line != "" {
			key += " " + p.line
		}
		compare(t, key, blocks[key], words)
		delete(blocks, key)
		delete(at, name)
	}
	for name := range at {
		t.Errorf("%s has no table of words any more", name)
	}
	for block, words := range odd() {
		compare(t, block, blocks[block], words)
		delete(blocks, block)
	}
	for block, words := range blocks {
		if !strings.Contains(block, " ") { // other arguments are values
			t.Errorf("the reference has a block %s (%s) that no parser reads", block, strings.Join(words, " "))
		}
	}
}

func compare(t *testing.T, block string, documented, known []string) {
	t.Helper()
	for _, word := range known {
		if !slices.Contains(documented, word) {
			t.Errorf("docs/reference.md does not document %s: %s", block, word)
		}
	}
	for _, word := range documented {
		if !slices.Contains(known, word) {
			t.Errorf("docs/reference.md has %s: %s, which the parser does not know", block, word)
		}
	}
}

// wordTables finds the maps from words to functions, by package and function.
func wordTables(t *testing.T, dir string) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	_, files := sources(t, dir)
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
				tables[name] = append(tables[name], keysOf(t, lit)...)
				return true
			})
		}
	}
	return tables
}

// isWordTable: a map from string to a function; the adapters call its type read.
func isWordTable(lit *ast.CompositeLit) bool {
	m, ok := lit.Type.(*ast.MapType)
	if !ok {
		return false
	}
	if key, ok := m.Key.(*ast.Ident); !ok || key.Name != "string" {
		return false
	}
	if value, ok := m.Value.(*ast.Ident); ok {
		return value.Name == "read"
	}
	fn, ok := m.Value.(*ast.FuncType)
	return ok && readsWords(fn)
}

// readsWords: func() error, or one that gets the dispenser.
func readsWords(fn *ast.FuncType) bool {
	if fn.Params.NumFields() == 0 {
		return fn.Results.NumFields() == 1
	}
	star, ok := fn.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := star.X.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "Dispenser"
}

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

func keysOf(t *testing.T, lit *ast.CompositeLit) []string {
	t.Helper()
	var keys []string
	for _, elt := range lit.Elts {
		pair, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			t.Fatal("a table of words with something else in it")
		}
		text, ok := pair.Key.(*ast.BasicLit)
		if !ok || text.Kind != token.STRING {
			t.Fatal("a table of words whose key is no text")
		}
		key, err := strconv.Unquote(text.Value)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

// referenceBlocks reads the code blocks of the reference: the words of each block
// by its place (uma_server/policy), and the first arguments of each line that has
// alternatives there (uma_server lifetime).
func referenceBlocks(text string) map[string][]string {
	blocks := map[string][]string{}
	eachLine(text, func(block string, words []string, _ string) {
		note(blocks, block, words[0])
		if len(words) > 1 && !isPlaceholder(words[1]) {
			for value := range strings.SplitSeq(words[1], "|") {
				note(blocks, block+" "+words[0], value)
			}
		}
	})
	return blocks
}

// eachLine calls do for each line of a block with its place, words and comment.
func eachLine(text string, do func(block string, words []string, comment string)) {
	inside := false
	var path []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			inside, path = !inside, nil
			continue
		}
		before, comment, _ := strings.Cut(" "+strings.TrimSpace(line), " #")
		words := strings.Fields(before)
		if !inside || len(words) == 0 {
			continue
		}
		if block := strings.Join(path, "/"); block != "" && words[0] != "}" && !isPlaceholder(words[0]) {
			do(block, words, comment)
		}
		path = inBlock(path, words)
	}
}

// inBlock is the place behind a line.
func inBlock(path, words []string) []string {
	switch {
	case words[0] == "}":
		return path[:max(len(path)-1, 0)]
	case words[0] != "{" && words[len(words)-1] == "{": // not the global options
		return append(slices.Clone(path), words[0])
	}
	return path
}

func note(blocks map[string][]string, block, word string) {
	if !slices.Contains(blocks[block], word) {
		blocks[block] = append(blocks[block], word)
	}
}

// isPlaceholder: <claim>, [<matcher>], …
func isPlaceholder(word string) bool { return strings.ContainsAny(word[:1], "<[.…") }

// TestReferenceBlocks: what the comparison rests on.
func TestReferenceBlocks(t *testing.T) {
	got := referenceBlocks("text\n```\n{\n\tuma {\n\t\tstore a [<path>] # x\n\t\tstore b <dsn> {\n\t\t\tschema <name>\n\t\t}\n\t}\n}\n```\n" +
		"more\n```\numa_x [<matcher>] <issuer> {\n\tlifetime a|b <duration>\n\tuser <name> {\n\t\t<claim> <values...>\n\t\tsub <text>\n\t}\n\tflag # no\n}\n```\n")
	want := map[string]string{
		"uma": "store", "uma store": "a b", "uma/store": "schema", "uma_x": "lifetime user flag", "uma_x lifetime": "a b", "uma_x/user": "sub",
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for block, words := range want {
		if strings.Join(got[block], " ") != words {
			t.Errorf("%s: %v, want %s", block, got[block], words)
		}
	}
}
