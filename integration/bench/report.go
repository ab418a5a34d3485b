package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// machine tells in which circumstances a run was made.
type machine struct {
	Kind   string    `json:"kind"` // "machine"
	Time   time.Time `json:"time"`
	Go     string    `json:"go"`
	Caddy  string    `json:"caddy"`
	OS     string    `json:"os"`
	CPUs   int       `json:"cpus"`
	Rounds int       `json:"rounds"`
	// Each is how long one measurement takes.
	Each string  `json:"each"`
	Load spanned `json:"load_average"`
	// Crypto is the CPU time of 2 signatures and 3 verifications, in µs.
	Crypto spanned `json:"crypto_us"`
	// Sync is what a write and a sync of the disk takes, SyncMemory the same where
	// the documents of the other server are, in ms.
	Sync       spanned `json:"fdatasync_ms"`
	SyncMemory float64 `json:"fdatasync_memory_ms"`
}

// spanned is a value before and after the run: how far the machine drifted.
type spanned struct {
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

func newMachine(rounds int, each time.Duration) machine {
	version, _ := caddy.Version()
	return machine{
		Kind: "machine", Time: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), Caddy: version,
		OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Rounds: rounds, Each: each.String(),
	}
}

// probe measures the machine alone.
func (m *machine) probe(w *world, to func(*spanned) *float64) error {
	*to(&m.Load) = loadAverage()
	crypto, err := rawLoop(2, 3).measure(500 * time.Millisecond)
	if err != nil {
		return err
	}
	*to(&m.Crypto) = crypto.CPU
	disk, err := syncProbe(w.dir)
	if err != nil {
		return err
	}
	*to(&m.Sync) = millis(disk)
	if w.memory != "" {
		memory, err := syncProbe(w.memory)
		m.SyncMemory = millis(memory)
		return err
	}
	return nil
}

// lines writes one JSON object for each measurement.
func lines(w io.Writer) func(any) {
	encoder := json.NewEncoder(w)
	return func(v any) { _ = encoder.Encode(v) }
}

// results is everything for the tables.
type results struct {
	machine  machine
	outcomes []outcome
	damages  []damage
	verdicts []verdict
}

// markdown writes the tables.
func (r *results) markdown() string {
	var b strings.Builder
	m := r.machine
	fmt.Fprintf(&b, "%s, %s, Caddy %s, %s, %d CPUs; %d pairs of %s, %d clients. Load average %.1f before and %.1f after; "+
		"2 signatures and 3 verifications: %.0f and %.0f µs; fdatasync: %.2f and %.2f ms (in memory %.3f ms).\n\n",
		m.Time.Format("January 2006"), m.Go, m.Caddy, m.OS, m.CPUs, m.Rounds, m.Each, clients,
		m.Load.Before, m.Load.After, m.Crypto.Before, m.Crypto.After, m.Sync.Before, m.Sync.After, m.SyncMemory)
	r.pairs(&b)
	r.floods(&b)
	r.goals(&b)
	return b.String()
}

func (r *results) pairs(b *strings.Builder) {
	if len(r.outcomes) == 0 {
		return
	}
	b.WriteString("| pair | per second | p50 / p99 ms | CPU µs | allocations | speed / base (quartiles) | CPU / base (quartiles) | RSS MiB | errors |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, o := range r.outcomes {
		for _, m := range []medium{o.Base, o.X} {
			fmt.Fprintf(b, "| %s: %s | %.0f | %.2f / %.2f | %.1f | %.0f ", o.Pair, m.Name, m.PerSecond, m.P50, m.P99, m.CPU, m.Allocs)
			if m == o.Base {
				fmt.Fprintf(b, "| | | %.0f | |\n", m.RSS/(1<<20))
				continue
			}
			fmt.Fprintf(b, "| **%.2f** (%.2f to %.2f) | **%.2f** (%.2f to %.2f) | %.0f | %d |\n", o.Speed.Median, o.Speed.Low, o.Speed.High,
				o.CPU.Median, o.CPU.Low, o.CPU.High, m.RSS/(1<<20), o.Errors+o.Unexpected)
		}
	}
	b.WriteString("\n")
}

func (r *results) floods(b *strings.Builder) {
	if len(r.damages) == 0 {
		return
	}
	b.WriteString("| flood | requests | per second | legitimate flows | their p99 ms alone / meanwhile | documents stored (at most) | file MiB before / after | memory MiB | errors |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, d := range r.damages {
		fmt.Fprintf(b, "| %s | %d | %.0f | %d | %.1f / %.1f | %d (%d) | %.1f / %.1f | %d | %d |\n", d.Flood, d.Requests, d.PerSecond, d.Flows,
			d.Alone, d.P99, d.Stored, d.MayStore, float64(d.FileBefore)/(1<<20), float64(d.FileAfter)/(1<<20), d.Memory>>20, d.Errors+d.Unexpected)
	}
	b.WriteString("\n")
}

func (r *results) goals(b *strings.Builder) {
	if len(r.verdicts) == 0 {
		return
	}
	b.WriteString("| goal | measured | forgiven for noise | |\n|---|---|---|---|\n")
	for _, v := range r.verdicts {
		said := "**missed**"
		if v.Held {
			said = "held"
		}
		fmt.Fprintf(b, "| %s | %.2f | %.0f %% | %s |\n", v.Goal, v.Value, v.Noise*100, said)
	}
	b.WriteString("\n")
}

// Marks between which the tables stand in a file that holds other text, too.
const (
	markBegin = "<!-- benchmark: begin -->"
	markEnd   = "<!-- benchmark: end -->"
)

// writeMarkdown puts the tables into a file: between the marks if it has them, else
// it becomes the file.
func writeMarkdown(name, tables string) error {
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(name, []byte(between(string(text), tables)), 0o644)
}

func between(text, tables string) string {
	before, rest, begins := strings.Cut(text, markBegin)
	_, after, ends := strings.Cut(rest, markEnd)
	if !begins || !ends {
		return tables
	}
	return before + markBegin + "\n\n" + tables + markEnd + after
}
