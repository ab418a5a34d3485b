package documents_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// value is a default in the code: the expression that the pattern finds in the file.
type value struct{ file, pattern string }

// standard is a line of the reference whose comment names defaults, in their order.
type standard struct {
	block, line string
	values      []value
}

func standards() []standard {
	settings := func(field string) value { return value{"caddyuma/settings.go", `or\(h\.` + field + `, ([^)]+)\)`} }
	server := func(name string) (n, window value) {
		pattern := `\{"` + name + `", h\.RateLimit\.\w+(?:\.Times\(10\))?, `
		return value{"caddyuma/build.go", pattern + `([^,]+),`}, value{"caddyuma/build.go", pattern + `[^,]+, ([^,]+),`}
	}
	token, tokenWindow := server("token")
	ticket, ticketWindow := server("ticket")
	registration, registrationWindow := server("registration")
	app := func(name string) value { return value{"internal/umaapp/defaults.go", `\b` + name + ` += (.+)`} }
	engine := func(field string) value { return value{"internal/rs/config.go", `c\.` + field + `, ([^)]+)\)+\n`} }
	rs := func(name string) value { return value{"caddyrs/provision.go", `\b` + name + ` += (.+)`} }
	sts := func(name string) value { return value{"caddysts/config.go", `\b` + name + ` += (.+)`} }
	claims := func(name string) value { return value{"internal/sts/config.go", `\b` + name + ` += (.+)`} }
	login := `return h\.RateLimit\.Login\.Limiter\(`
	return []standard{
		{"uma/store", "max_conns", []value{{"internal/store/postgres/open.go", `DefaultMaxConns += (.+)`}}},
		{"uma", "key_rotation", []value{app("defaultRotation")}},
		{"uma", "cache", []value{app("defaultIssuers"), app("defaultMaxAge")}},
		{"uma", "refetch_pause", []value{app("defaultPause")}},

		{"uma_protect", "revocation", []value{engine("Revocation")}},
		{"uma_protect", "max_rpt_lifetime", []value{engine("MaxRPTLifetime")}},
		{"uma_protect", "leeway", []value{engine("Leeway")}},
		{"uma_protect", "cache", []value{engine("Cache")}},
		{"uma_protect", "max_instances", []value{{"internal/uma/instance.go", `defaultInstances = (.+)`}}},
		{"uma_protect", "rate_limit", []value{rs("defaultTickets"), rs("defaultWindow")}},

		{"uma_server", "need_info_rounds", []value{{"internal/uma/config.go", `defaultTo\(&c\.Rounds, (\d+)\)`}}},
		{"uma_server", "refresh_tokens", []value{{"caddyuma/caddyfile_words.go", `refreshLifetime = (.+)`}}},
		{"uma_server", "pct", []value{{"caddyuma/caddyfile_words.go", `pctLifetime += (.+)`}}},
		{"uma_server", "lifetime", []value{settings(`Lifetime\.Ticket`), settings(`Lifetime\.RPT`), settings(`Lifetime\.PAT`)}},
		{"uma_server", "replay_grace", []value{settings("ReplayGrace")}},
		{"uma_server", "leeway", []value{settings("Leeway")}},
		{"uma_server", "rate_limit token", []value{token, tokenWindow, ticket, ticketWindow}},
		{"uma_server", "rate_limit registration", []value{registration, registrationWindow}},

		{"uma_sts/upstream", "cache", []value{
			{"internal/upstream/config.go", `defaultCache = (.+)`}, {"internal/upstream/config.go", `maxCache += (.+)`},
		}},
		{"uma_sts/provider", "session_lifetime", []value{sts("defaultSession")}},
		{"uma_sts", "lifetime", []value{claims("DefaultClaimsLifetime"), claims("MaxClaimsLifetime"), sts("defaultAccess"), sts("defaultRefresh")}},
		{"uma_sts", "leeway", []value{sts("defaultLeeway")}},
		{"uma_sts", "rate_limit exchange", []value{
			{"caddysts/build.go", `\{"exchange", h\.RateLimit\.Exchange, (\d+),`},
			{"caddysts/build.go", `return l\.set\.Limiter\(l\.n, (.+)\) \}\)`},
			{"caddysts/provider.go", login + `(\d+),`},
			{"caddysts/provider.go", login + `\d+, (.+)\)\n`},
		}},
	}
}

// number finds what may be a default in a comment: 60, 5m, 90d.
var number = regexp.MustCompile(`\b[0-9]+[smhd]?\b`)

// TestReferenceDefaults: the defaults in the reference are those of the code.
func TestReferenceDefaults(t *testing.T) {
	text := read(t, "docs/reference.md")
	for _, s := range standards() {
		comment, found := commentOf(text, s.block, s.line)
		if !found {
			t.Errorf("the reference has no line %s: %s", s.block, s.line)
			continue
		}
		documented := number.FindAllString(comment, -1)
		if len(documented) < len(s.values) {
			t.Errorf("%s: %s: the reference names the defaults %v, want %d", s.block, s.line, documented, len(s.values))
			continue
		}
		for i, v := range s.values {
			want := v.read(t)
			if got := quantity(t, documented[i]); got != want {
				t.Errorf("%s: %s: the reference says %s, the code %v", s.block, s.line, documented[i], want)
			}
		}
	}
}

// commentOf finds the comment of a line by its first words, with alternatives.
func commentOf(text, block, line string) (comment string, found bool) {
	first, second, _ := strings.Cut(line, " ")
	eachLine(text, func(at string, words []string, c string) {
		if at != block || words[0] != first || found {
			return
		}
		if second != "" && (len(words) < 2 || !strings.HasPrefix(words[1], second)) {
			return
		}
		comment, found = c, true
	})
	return comment, found
}

// quantity is a number, or a duration in nanoseconds.
func quantity(t *testing.T, text string) int64 {
	t.Helper()
	if days, ok := strings.CutSuffix(text, "d"); ok {
		return 24 * quantity(t, days+"h")
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return int64(d)
}

// read finds the expression and works it out.
func (v value) read(t *testing.T) int64 {
	t.Helper()
	all := regexp.MustCompile(v.pattern).FindAllStringSubmatch(read(t, v.file), -1)
	if len(all) != 1 {
		t.Fatalf("%s: %d places fit %s, want 1", v.file, len(all), v.pattern)
	}
	expr, err := parser.ParseExpr(strings.TrimSpace(all[0][1]))
	if err != nil {
		t.Fatalf("%s: %s: %v", v.file, all[0][1], err)
	}
	return workOut(t, expr)
}

// workOut gives the value of a product of numbers and units of time.
func workOut(t *testing.T, expr ast.Expr) int64 {
	t.Helper()
	switch e := expr.(type) {
	case *ast.BinaryExpr:
		if e.Op != token.MUL {
			t.Fatalf("%s is no product", e.Op)
		}
		return workOut(t, e.X) * workOut(t, e.Y)
	case *ast.BasicLit:
		n, err := strconv.ParseInt(e.Value, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	case *ast.SelectorExpr:
		unit, ok := map[string]time.Duration{"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}[e.Sel.Name]
		if !ok {
			t.Fatalf("%s is no unit of time", e.Sel.Name)
		}
		return int64(unit)
	}
	t.Fatalf("%T is neither a number nor a unit", expr)
	return 0
}
