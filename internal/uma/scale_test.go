package uma_test

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// defaultSizes are what BenchmarkScale compares when UMA_SCALE names no sizes; the
// full run is
//
//	UMA_SCALE=1000,100000,1000000 go test ./internal/uma -run '^$' -bench Scale -benchtime 1x -timeout 60m
const defaultSizes = "1000,20000"

// BenchmarkScale prints what the calls of a resource server and a client cost with
// few and with many resources and grants in the store. The sizes take turns, so
// that what else the machine does hits all of them; only the ratios count.
func BenchmarkScale(b *testing.B) {
	var sizes []int
	for text := range strings.SplitSeq(cmp.Or(os.Getenv("UMA_SCALE"), defaultSizes), ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	for _, kind := range []string{"bolt", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				// Not by b.Log: go test cuts it off.
				_, _ = io.WriteString(os.Stdout, compareSizes(b, kind, sizes, 20, 15))
			}
		})
	}
}

// TestScale keeps the benchmark from rotting.
func TestScale(t *testing.T) { t.Log(compareSizes(t, "bolt", []int{10, 300}, 1, 2)) }

// world is a server with many resources and grants.
type world struct {
	*bench
	kind  string
	size  int
	disk  int64 // bytes that the documents take
	pat   string
	spent map[string][]time.Duration
}

// compareSizes gives what it measured, as tables.
func compareSizes(t testing.TB, kind string, sizes []int, rounds, calls int) string {
	t.Helper()
	var worlds []*world
	var said strings.Builder
	for _, n := range sizes {
		start := time.Now()
		w := newWorld(t, kind, n)
		fmt.Fprintf(&said, "\n%s, %d resources and grants: %s, %d MiB on disk, made in %v", kind, n, memory(), w.disk>>20, time.Since(start).Round(time.Second))
		w.readAll()
		worlds = append(worlds, w)
	}
	for range rounds {
		for _, w := range worlds {
			for range calls {
				w.measure()
			}
		}
	}
	said.WriteString(table(worlds))
	for _, w := range worlds {
		w.listAll(&said)
	}
	for _, w := range worlds {
		w.sweepAll(&said)
		w.reopen(&said)
	}
	return said.String() + "\n\n"
}

func table(worlds []*world) string {
	text := "\n\n| call | store | resources and grants | median | p99 | to the smallest |\n|---|---|---|---|---|---|"
	for _, op := range slices.Sorted(maps.Keys(worlds[0].spent)) {
		base := median(worlds[0].spent[op])
		for _, w := range worlds {
			m := median(w.spent[op])
			text += fmt.Sprintf("\n| %s | %s | %d | %v | %v | %.2f |", op, w.kind, w.size, m.Round(time.Microsecond),
				percentile(w.spent[op], 99).Round(time.Microsecond), float64(m)/float64(base))
		}
	}
	return text + "\n"
}

func median(d []time.Duration) time.Duration { return percentile(d, 50) }

func percentile(d []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func memory() string {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("%d MiB of heap", m.HeapInuse>>20)
}

func newWorld(t testing.TB, kind string, n int) *world {
	t.Helper()
	edits := []func(*bench){refreshing}
	if kind == "postgres" {
		edits = append(edits, onPostgres)
	}
	w := &world{bench: newBench(t, edits...), kind: kind, size: n, spent: map[string][]time.Duration{}}
	before := w.onDisk()
	var ops []store.Op
	for i := range n {
		more, _, _, err := w.server.Seed(t.Context(), i, "api", "bob-"+strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		if ops = append(ops, more...); len(ops) > store.MaxOps-4 || i == n-1 {
			if err := w.cfg.Store.Commit(t.Context(), ops...); err != nil {
				t.Fatal(err)
			}
			ops = ops[:0]
		}
	}
	w.disk = w.onDisk() - before
	w.pat = w.bench.pat("api")
	return w
}

// readAll reads every document once, as a server that has run for a while has:
// the first touch of each page of a file is slower than all later ones.
func (w *world) readAll() {
	w.t.Helper()
	for _, kind := range []string{"resource", "grant", "decided"} {
		after := ""
		for {
			docs, err := w.cfg.Store.List(w.t.Context(), store.Tenant("as", issuer), kind, "", after, 1000)
			if err != nil {
				w.t.Fatal(err)
			}
			if len(docs) == 0 {
				break
			}
			after = docs[len(docs)-1].ID
		}
	}
}

// timed takes the time of one call, which must succeed.
func (w *world) timed(op string, status int, call func() reply) reply {
	w.t.Helper()
	start := time.Now()
	res := call()
	w.spent[op] = append(w.spent[op], time.Since(start))
	if res.status != status {
		w.t.Fatalf("%s: %d %s", op, res.status, res.text)
	}
	return res
}

// measure calls everything once, for a resource somewhere among the many.
func (w *world) measure() {
	w.t.Helper()
	_, resource, rpt, err := w.server.Seed(w.t.Context(), rand.IntN(w.size), "api", "x") // as it was seeded
	if err != nil {
		w.t.Fatal(err)
	}
	permission := `{"resource_id":"` + resource + `","resource_scopes":["get"]}`
	ticket := w.timed("permission request", http.StatusCreated, func() reply {
		return w.call(w.pat, http.MethodPost, "permission", permission)
	}).get("ticket")
	form := map[string]string{
		"ticket": ticket, "claim_token": w.sign(w.bench.claims(ticket, nil)), "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
	refresh := w.timed("ticket to RPT", http.StatusOK, func() reply { return w.asWeb(form) }).get("refresh_token")
	w.timed("refresh", http.StatusOK, func() reply { return w.renew(refresh) })
	w.timed("introspection", http.StatusOK, func() reply {
		return w.send("introspect", map[string]string{"token": rpt}, bearer(w.pat))
	})
	w.timed("read a resource", http.StatusOK, func() reply { return w.call(w.pat, http.MethodGet, "resource/"+resource, "") })
	w.timed("register a resource", http.StatusCreated, func() reply {
		return w.call(w.pat, http.MethodPost, "resource", `{"name":"new","resource_scopes":["get"]}`)
	})
}
