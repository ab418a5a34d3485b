package rs_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// grown is by how many bytes the heap grows.
func grown(do func()) int {
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what the first one has only found
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	do()
	return heap() - before
}

// remember fills the cache with n tokens.
func (w *world) remember(t testing.TB, n int, change func(int) func(map[string]any)) {
	t.Helper()
	for i := range n {
		payload, err := json.Marshal(w.claims(change(i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.rs.Remember(fmt.Sprint("token", i), payload); err != nil {
			t.Fatal(err)
		}
	}
}

// bytesPerToken is what each of n remembered RPTs takes.
func bytesPerToken(t testing.TB, n int, change func(int) func(map[string]any)) int {
	t.Helper()
	w := newQuiet(t, func(c *rs.Config) { c.Cache = n })
	total := grown(func() { w.remember(t, n, change) })
	if got := w.rs.Remembered(); got != n {
		t.Fatalf("%d tokens are remembered, want %d", got, n)
	}
	runtime.KeepAlive(w)
	return total / n
}

func TestAT_05_CacheTakesLessThanOneKilobyteAnEntry(t *testing.T) {
	got := bytesPerToken(t, 10_000, real)
	t.Logf("%d bytes an entry", got)
	if got > 1024 {
		t.Errorf("%d bytes an entry, want at most 1024", got)
	}
}

// Large tokens push out others and do not multiply the memory.
func TestAT_05_CacheIsBoundedInBytes(t *testing.T) {
	const n = 200
	for name, change := range map[string]func(int) func(map[string]any){
		"many permissions": func(i int) func(map[string]any) {
			var all []any
			for j := range 100 {
				all = append(all, permission(fmt.Sprintf("%022d", j), "read", "write", "delete"))
			}
			return func(c map[string]any) { real(i)(c); c["permissions"] = all }
		},
		"many scopes": func(i int) func(map[string]any) {
			var scopes []any
			for j := range 1000 {
				scopes = append(scopes, fmt.Sprint(j))
			}
			return func(c map[string]any) { real(i)(c); c["permissions"] = []any{permission("id-1", scopes...)} }
		},
		"long claims": func(i int) func(map[string]any) {
			return func(c map[string]any) {
				real(i)(c)
				for j := range 10 {
					c[fmt.Sprint("claim", j)] = strings.Repeat("x", 1000)
				}
			}
		},
		"long subjects": func(i int) func(map[string]any) {
			return func(c map[string]any) { real(i)(c); c["sub"] = strings.Repeat("x", 10_000) }
		},
		"many audiences": func(i int) func(map[string]any) {
			var all []any
			for j := range 1000 {
				all = append(all, fmt.Sprint(j))
			}
			return func(c map[string]any) { real(i)(c); c["aud"] = all }
		},
		"large confirmations": func(i int) func(map[string]any) {
			return func(c map[string]any) { real(i)(c); c["cnf"] = map[string]any{"jkt": strings.Repeat("x", 10_000)} }
		},
		"too large": func(i int) func(map[string]any) {
			return func(c map[string]any) { real(i)(c); c["sub"] = strings.Repeat("x", 100_000) }
		},
	} {
		w := newQuiet(t, func(c *rs.Config) { c.Cache = n })
		w.remember(t, 10, real)
		total := grown(func() { w.remember(t, n, change) })
		t.Logf("%s: %d KiB, %d tokens", name, total>>10, w.rs.Remembered())
		if total > n*1024 {
			t.Errorf("%s: %d KiB, want at most %d", name, total>>10, n)
		}
		if got := w.rs.Remembered(); name != "too large" && got < n/40 || name == "too large" && got != 0 && got != 10 {
			t.Errorf("%s: %d tokens are remembered", name, got)
		}
		runtime.KeepAlive(w)
	}
}

// A token that is remembered again takes the place that it had.
func TestAT_05_CacheCountsATokenOnce(t *testing.T) {
	w := newQuiet(t, func(c *rs.Config) { c.Cache = 10 })
	for range 20 {
		w.remember(t, 5, real)
	}
	if got := w.rs.Remembered(); got != 5 {
		t.Errorf("%d tokens are remembered, want 5", got)
	}
}

// BenchmarkMemory reports what a remembered RPT takes.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(float64(bytesPerToken(b, 100_000, real)), "B/entry")
	}
}
