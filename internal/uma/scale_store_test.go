package uma_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// onDisk is how large the store is: the file, or the whole database, of which only
// the difference between two looks counts.
func (w *world) onDisk() (bytes int64) {
	w.t.Helper()
	if w.kind == "bolt" {
		info, err := os.Stat(w.path)
		if err != nil {
			w.t.Fatal(err)
		}
		return info.Size()
	}
	db, err := sql.Open("pgx", pgtest.DSN(w.t))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(w.t.Context(), "SELECT pg_database_size(current_database())").Scan(&bytes); err != nil {
		w.t.Fatal(err)
	}
	return bytes
}

// listAll asks for the list of all resources of the resource server, once.
func (w *world) listAll(out io.Writer) {
	w.t.Helper()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	peak := highWater(w.t.Context())
	start := time.Now()
	res := w.call(w.pat, http.MethodGet, "resource", "")
	took, most := time.Since(start), peak()
	runtime.ReadMemStats(&after)
	if res.status != http.StatusOK {
		w.t.Fatalf("list: %d", res.status)
	}
	_, _ = fmt.Fprintf(out, "\n%s, %d: list of all resources in %v, %d MiB of body, %d MiB of heap at most, %d MiB allocated in all", w.kind, w.size,
		took.Round(time.Millisecond), len(res.text)>>20, (max(most, before.HeapAlloc)-before.HeapAlloc)>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
}

// highWater looks at the heap until it is asked what the most was.
func highWater(ctx context.Context) (most func() uint64) {
	ctx, stop := context.WithCancel(ctx)
	found := make(chan uint64)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		var most uint64
		for ctx.Err() == nil {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		found <- most
	}()
	return func() uint64 { stop(); return <-found }
}

// swept is what a series of sweeps did.
type swept struct {
	removed     int
	took, worst time.Duration
	err         error
}

// sweepAll lets all grants and decisions expire and commits while they are swept,
// in batches as the app does it.
func (w *world) sweepAll(out io.Writer) {
	w.t.Helper()
	w.pass(8 * 24 * time.Hour)
	w.pat = w.bench.pat("api")
	done := make(chan swept, 1)
	go func() { done <- sweep(w.t.Context(), w.cfg.Store) }()
	const op = "register while swept"
	for {
		w.timed(op, http.StatusCreated, func() reply {
			return w.call(w.pat, http.MethodPost, "resource", `{"name":"new","resource_scopes":["get"]}`)
		})
		select {
		case s := <-done:
			if s.err != nil {
				w.t.Fatal(s.err)
			}
			alone := w.spent["register a resource"]
			_, _ = fmt.Fprintf(out, "\n%s, %d: %d expired documents swept in %v, longest sweep %v; registering meanwhile: median %v, p99 %v; without: median %v, p99 %v",
				w.kind, w.size, s.removed, s.took.Round(time.Millisecond), s.worst.Round(time.Microsecond), median(w.spent[op]), percentile(w.spent[op], 99), median(alone), percentile(alone, 99))
			return
		default:
		}
	}
}

// sweep removes what has expired, or the first hundred thousand of it.
func sweep(ctx context.Context, from store.Store) (s swept) {
	const batch, enough = 500, 100_000 // batch: as the app has it
	begin := time.Now()
	for s.removed < enough {
		start := time.Now()
		n, err := from.Sweep(ctx, batch)
		s.worst, s.took = max(s.worst, time.Since(start)), time.Since(begin)
		if s.removed += n; err != nil || n < batch {
			s.err = err
			return s
		}
	}
	return s
}

// reopen opens the file again, as a start of the server does.
func (w *world) reopen(out io.Writer) {
	w.t.Helper()
	if w.kind != "bolt" {
		return
	}
	start := time.Now()
	if err := w.cfg.Store.Close(); err != nil {
		w.t.Fatal(err)
	}
	closed := time.Now()
	again, err := store.OpenBolt(w.path, store.BoltOptions{Now: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	_, _ = fmt.Fprintf(out, "\n%s, %d: closed in %v, opened in %v", w.kind, w.size, closed.Sub(start).Round(time.Microsecond), time.Since(closed).Round(time.Microsecond))
	_ = again.Close()
}
