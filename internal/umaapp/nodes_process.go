package umaapp

import (
	"crypto/rand"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// process is what all configurations of this process are as a node.
type process struct {
	id, host, version string
	started           time.Time

	mu      sync.Mutex
	running []*App // those that were started; the last is the one that counts
	wrote   string // key of the store with its heartbeat
}

func newProcess(now time.Time) *process {
	host, _ := os.Hostname() // without it the id must do
	return &process{id: rand.Text(), host: host, version: programVersion(), started: now}
}

// programVersion is that of this module in the binary.
func programVersion() string {
	const module = "github.com/caddy-uma/caddy-uma"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}

// begin makes this configuration the one that counts. A revision that the one before
// had too runs since then.
func (p *process) begin(a *App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var before *App
	if n := len(p.running); n > 0 {
		before = p.running[n-1]
	}
	a.nodes.load(a.policyRevisions(), before, a.now())
	p.running = append(p.running, a)
}

// end gives the place back to the configuration before, if a reload failed. last
// tells that none is left.
func (p *process) end(a *App) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.running, a)
	if i < 0 {
		return false
	}
	p.running = slices.Delete(p.running, i, i+1)
	return len(p.running) == 0
}

// current is the configuration that counts, or the one that asks if none was
// started.
func (p *process) current(asking *App) *App {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.running); n > 0 {
		return p.running[n-1]
	}
	return asking
}

func (p *process) setWrote(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrote = key
}

// uses tells whether a configuration of this process has written into this store.
func (p *process) uses(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrote == key
}
