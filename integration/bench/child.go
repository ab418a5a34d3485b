package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-uma/caddy-uma"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/umaapp"
)

// asCaddy, if set, makes this program a Caddy: the server must be a process of its
// own, or its CPU time could not be told from that of the load. It names the
// socket on which the benchmark asks for the state of the process.
const asCaddy = "UMA_BENCH_CADDY"

// runCaddy is the main of the server.
func runCaddy(socket string) {
	caddy.RegisterModule(new(countedBolt))
	listener, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: control(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	go func() { // whatever the benchmark dies of, its servers go with it
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	caddycmd.Main()
}

// state is what the server knows of itself better than /proc does.
type state struct {
	// Created counts the documents that were ever written, Removed those that
	// went, by themselves or because they had expired.
	Created int64 `json:"created"`
	Removed int64 `json:"removed"`
	// Allocs and AllocBytes are the heap objects and bytes of all time.
	Allocs     uint64 `json:"allocs"`
	AllocBytes uint64 `json:"alloc_bytes"`
}

// control serves the state and, on demand, a CPU profile.
func control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(currentState())
	})
	var profile profiler
	mux.HandleFunc("POST /profile", func(w http.ResponseWriter, r *http.Request) {
		if err := profile.set(r.FormValue("file")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

func currentState() state {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return state{
		Created: documents.created.Load(), Removed: documents.removed.Load(),
		Allocs: samples[0].Value.Uint64(), AllocBytes: samples[1].Value.Uint64(),
	}
}

// profiler writes one CPU profile at a time.
type profiler struct {
	mu   sync.Mutex
	file *os.File
}

// set ends the profile that runs and, if a file is named, begins another one.
func (p *profiler) set(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		pprof.StopCPUProfile()
		if err := p.file.Close(); err != nil {
			return err
		}
		p.file = nil
	}
	if name == "" {
		return nil
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	p.file = file
	return pprof.StartCPUProfile(file)
}

// documents counts what the store of this process is told to keep.
var documents struct{ created, removed atomic.Int64 }

// countedBolt is the store of the server: bolt, with a count of its documents. The
// file itself cannot be counted while the server has it open.
type countedBolt struct{ umaapp.Bolt }

// CaddyModule implements caddy.Module.
func (*countedBolt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.stores.counted_bolt", New: func() caddy.Module { return new(countedBolt) }}
}

// Open implements umaapp.Backend.
func (b *countedBolt) Open() (store.Store, error) {
	s, err := b.Bolt.Open()
	return counted{s}, err
}

type counted struct{ store.Store }

// Commit implements store.Store.
func (c counted) Commit(ctx context.Context, ops ...store.Op) error {
	if err := c.Store.Commit(ctx, ops...); err != nil {
		return err
	}
	for _, op := range ops {
		switch op.Action {
		case store.ActionCreate:
			documents.created.Add(1)
		case store.ActionDelete:
			documents.removed.Add(1)
		case store.ActionSwap: // one goes, one comes
		}
	}
	return nil
}

// Sweep implements store.Store.
func (c counted) Sweep(ctx context.Context, n int) (int, error) {
	removed, err := c.Store.Sweep(ctx, n)
	documents.removed.Add(int64(removed))
	return removed, err
}

var _ umaapp.Backend = (*countedBolt)(nil)
