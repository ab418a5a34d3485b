package rs_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// BenchmarkCold is a request whose RPT is new.
func BenchmarkCold(b *testing.B) {
	w := newQuiet(b, func(c *rs.Config) { c.Cache = 1 })
	w.rs.Check(request(b, "GET", ""), rs.Target{})
	claims := func(n int) func(map[string]any) {
		return func(c map[string]any) { real(n)(c); c["permissions"] = []any{permission("id-1", "get")} }
	}
	one, two := request(b, "GET", w.sign(b, claims(1))), request(b, "GET", w.sign(b, claims(2)))
	b.ReportAllocs()
	for b.Loop() {
		w.passes(b, one)
		w.passes(b, two)
	}
}
