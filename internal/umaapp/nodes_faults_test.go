package umaapp

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

// `warn store` is for those who would rather have our answers than none: what else needs
// the store does not take the node out in its place.
func TestSEC_13_WarnStore(t *testing.T) {
	c := newCluster(t, t.TempDir())
	c.disk.Before(func(context.Context, storetest.Call) error { return storetest.ErrDisk })
	status, checks := c.ask(t, 0, health.Handler{Warn: []string{health.CheckStore}})
	if status != 200 || !strings.HasPrefix(checks["store"], "warn") {
		t.Errorf("%d %v", status, checks)
	}
}

// A storage that hangs (a network file system whose server is away) is no reason to take
// out nodes that have their keys in memory, nor to fall silent.
func TestSEC_13_StorageHangs(t *testing.T) {
	dir := t.TempDir()
	c := newCluster(t, dir)
	if status, checks := c.health(t, 0); status != 200 {
		t.Fatalf("%d %v", status, checks)
	}
	file := filepath.Join(dir, storageFile)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil { // who opens it waits for a writer
		t.Skip(err)
	}
	defer func() { // nobody waits for ever
		if f, err := os.OpenFile(file, os.O_RDWR, 0); err == nil {
			_ = f.Close()
		}
	}()
	c.now = c.now.Add(beatEvery)
	for range 2 {
		status, checks := c.health(t, 0)
		if status != 200 || checks["store"] != "pass" || checks["nodes"] != "warn it cannot be told whether the nodes share keys" {
			t.Errorf("%d %v", status, checks)
		}
	}
	if n := nodesIn(t, c.apps[0]); n != 1 {
		t.Errorf("%d nodes, want one: the others must see it", n)
	}
}

// timed is a store with a clock of its own.
type timed struct {
	store.Store
	now func() time.Time
}

func (s timed) Time(context.Context) (time.Time, error) { return s.now(), nil }

// The clock of the database decides when a heartbeat expires, whatever this node's shows.
func TestBeatByTheClockOfTheStore(t *testing.T) {
	for name, tt := range map[string]struct {
		ahead time.Duration
		store string
	}{
		"right":                         {0, "pass"},
		"slow":                          {-59 * time.Second, "pass"},
		"fast":                          {59 * time.Second, "pass"},
		"SEC-13 slower than the leeway": {-2 * time.Minute, "warn the clocks of this node and of the database differ"},
		"SEC-13 faster than the leeway": {time.Hour, "warn the clocks of this node and of the database differ"},
		"SEC-13 so slow that what it records has expired": {-5 * time.Minute, "fail the clocks of this node and of the database differ"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, t.TempDir())
			a := c.apps[0]
			right := a.now
			a.store = newLazyStore(someStore{key: t.Name() + "timed", open: timed{c.disk, right}})
			a.now = func() time.Time { return right().Add(tt.ahead) }
			status, checks := c.health(t, 0)
			if checks["store"] != tt.store || (status == 503) != strings.HasPrefix(tt.store, "fail") {
				t.Errorf("%d %v", status, checks)
			}
			c.now = c.now.Add(beatExpires - time.Second)
			if n := nodesIn(t, a); n != 1 {
				t.Errorf("%d nodes within its time, want one", n)
			}
			c.now = c.now.Add(time.Second)
			if n := nodesIn(t, a); n != 0 {
				t.Errorf("%d nodes after its time, want none", n)
			}
		})
	}
}

// After a reload the process goes on being a node, though nobody asks it for anything, and
// takes its heartbeat away in the end: `store migrate` goes by both.
func TestHeartbeatAfterReload(t *testing.T) {
	c := newCluster(t, t.TempDir(), t.TempDir())
	old, other := c.apps[0], c.apps[1]
	p := old.nodes.process
	p.begin(old)
	if err := old.beat(t.Context()); err != nil || nodesIn(t, other) != 1 {
		t.Fatalf("%v, %d nodes, want one", err, nodesIn(t, other))
	}
	next := &App{log: old.log, now: old.now, store: newLazyStore(old.store.backend)}
	next.store.now = old.now
	next.nodes.prepare(p)
	p.begin(next)
	old.stopBeating() // the reload is over
	next.tick(t.Context())
	c.now = c.now.Add(beatExpires - time.Second)
	next.tick(t.Context())
	c.now = c.now.Add(2 * time.Second)
	if n := nodesIn(t, other); n != 1 {
		t.Errorf("%d nodes half a minute after a reload, want one", n)
	}
	next.stopBeating()
	if n := nodesIn(t, other); n != 0 {
		t.Errorf("%d nodes when it has left, want none", n)
	}
	elsewhere := &App{log: old.log, now: old.now, store: newLazyStore(someStore{key: t.Name() + "elsewhere", open: c.disk})}
	elsewhere.nodes.prepare(p)
	p.begin(elsewhere)
	elsewhere.tick(t.Context())
	if elsewhere.store.opened.Load() != nil {
		t.Error("a store that nobody used was opened")
	}
}
