package umaapp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/umaapp/health"
)

const alice = "https://as.alice.example"

func at(minute int) time.Time { return time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC) }

func nodeOf(id string, started int, issuers ...nodeIssuer) nodeRecord {
	return nodeRecord{V: 1, id: id, Started: at(started), Issuers: issuers}
}

func on(host string, n nodeRecord) nodeRecord { n.Host = host; return n }

func keysOf(keys string) nodeIssuer { return nodeIssuer{Role: "as", Issuer: alice, Keys: keys} }

func policiesOf(revision string, loaded int) nodeIssuer {
	return nodeIssuer{Role: "as", Issuer: alice, Keys: "k", Revision: revision, Loaded: at(loaded)}
}

func TestCompareNodes(t *testing.T) {
	bob := nodeIssuer{Role: "sts", Issuer: "https://bob.example", Keys: "other"}
	strange := func(ids ...string) (all differences) {
		for _, id := range ids {
			all = append(all, difference{node: id, issuer: alice})
		}
		return all
	}
	for _, tt := range []struct {
		name string
		me   nodeRecord
		all  []nodeRecord
		want neighbours
	}{
		{"alone", nodeOf("me", 1, keysOf("k")), nil, neighbours{}},
		{"my own document of before", nodeOf("me", 1, keysOf("k")), []nodeRecord{nodeOf("me", 1, keysOf("old"))}, neighbours{}},
		{"the same keys", nodeOf("me", 1, keysOf("k")), []nodeRecord{nodeOf("a", 0, keysOf("k"))}, neighbours{}},
		{"other issuers", nodeOf("me", 1, keysOf("k")), []nodeRecord{nodeOf("a", 0, bob)}, neighbours{}},
		{"the same name in another role", nodeOf("me", 1, keysOf("k")), []nodeRecord{nodeOf("a", 0, nodeIssuer{Role: "sts", Issuer: alice, Keys: "x"})}, neighbours{}},
		{"SEC-11 who comes with other keys goes", nodeOf("me", 1, keysOf("x")), []nodeRecord{nodeOf("a", 0, keysOf("k"))}, neighbours{strange: strange("a"), outvoted: true}},
		{"SEC-11 who was there stays", nodeOf("me", 0, keysOf("k")), []nodeRecord{nodeOf("a", 1, keysOf("x"))}, neighbours{strange: strange("a")}},
		{
			"SEC-11 the larger group stays", nodeOf("me", 0, keysOf("x")),
			[]nodeRecord{nodeOf("a", 1, keysOf("k")), nodeOf("b", 2, keysOf("k"))},
			neighbours{strange: strange("a", "b"), outvoted: true},
		},
		{
			"SEC-11 a machine that starts again and again is one", on("h", nodeOf("me", 0, keysOf("k"))),
			[]nodeRecord{on("crash", nodeOf("a", 1, keysOf("x"))), on("crash", nodeOf("b", 2, keysOf("x"))), on("crash", nodeOf("c", 3, keysOf("x")))},
			neighbours{strange: differences{{"a", "crash", alice}, {"b", "crash", alice}, {"c", "crash", alice}}},
		},
		{
			"SEC-11 of equal groups the one with the oldest node", nodeOf("me", 5, keysOf("k")),
			[]nodeRecord{nodeOf("a", 1, keysOf("x")), nodeOf("b", 2, keysOf("x")), nodeOf("c", 0, keysOf("k"))},
			neighbours{strange: strange("a", "b")},
		},
		{"SEC-11 started together", nodeOf("b", 0, keysOf("k")), []nodeRecord{nodeOf("a", 0, keysOf("x"))}, neighbours{strange: strange("a"), outvoted: true}},
		{"SEC-11 started together, the other one", nodeOf("a", 0, keysOf("k")), []nodeRecord{nodeOf("b", 0, keysOf("x"))}, neighbours{strange: strange("b")}},
		{"keys that I cannot read", nodeOf("me", 1, keysOf("")), []nodeRecord{nodeOf("a", 0, keysOf("k"))}, neighbours{}},
		{"keys that the other cannot read", nodeOf("me", 1, keysOf("k")), []nodeRecord{nodeOf("a", 0, keysOf(""))}, neighbours{}},
		{"the same policies", nodeOf("me", 1, policiesOf("r1", 1)), []nodeRecord{nodeOf("a", 0, policiesOf("r1", 5))}, neighbours{}},
		{"newer policies", nodeOf("me", 1, policiesOf("r1", 1)), []nodeRecord{nodeOf("a", 0, policiesOf("r2", 2))}, neighbours{newer: strange("a"), behind: 1}},
		{"older policies", nodeOf("me", 1, policiesOf("r2", 2)), []nodeRecord{nodeOf("a", 0, policiesOf("r1", 1))}, neighbours{}},
		{"no policies of their own", nodeOf("me", 1, policiesOf("r2", 2)), []nodeRecord{nodeOf("a", 0, nodeIssuer{Role: "as", Issuer: alice, Keys: "k", Loaded: at(9)})}, neighbours{}},
		{
			"newer policies of one issuer on two nodes", nodeOf("me", 1, policiesOf("r1", 1)),
			[]nodeRecord{nodeOf("a", 0, policiesOf("r2", 2)), nodeOf("b", 0, policiesOf("r3", 3))},
			neighbours{newer: strange("a", "b"), behind: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := compareNodes(tt.me, tt.all)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(neighbours{}, difference{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// someStore is a backend whose store other processes may use, too.
type someStore struct {
	key  string
	open store.Store
}

func (someStore) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "uma.stores.some"} }
func (s someStore) PoolKey() string             { return s.key }
func (s someStore) Open() (store.Store, error)  { return s.open, nil }

// twoProcesses is a store that fails on demand, and the apps of two processes that
// share it and the storage of a Caddy, or each have their own.
type cluster struct {
	now  time.Time
	disk *storetest.Faulty
	logs *observer.ObservedLogs
	apps []*App
}

func newCluster(t *testing.T, storages ...string) *cluster {
	t.Helper()
	c := &cluster{now: at(0)}
	clock := func() time.Time { return c.now }
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "x.db"), store.BoltOptions{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c.disk = storetest.NewFaulty(s)
	core, logs := observer.New(zapcore.InfoLevel)
	c.logs = logs
	for _, storage := range storages {
		ctx := contextWithStorage(t, storage)
		a := &App{
			Keys: keysStorage, Algorithm: "ES256", ctx: ctx, log: zap.New(core), now: clock, rings: map[ringKey]ringEntry{},
			store: newLazyStore(someStore{key: t.Name() + storage + clock().String(), open: c.disk}),
		}
		a.store.now = clock
		a.nodes.prepare(newProcess(c.now))
		a.Store()
		for _, purpose := range []string{"subject", "rpt"} {
			if _, err := a.Ring("as", alice, purpose, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		c.apps = append(c.apps, a)
		c.now = c.now.Add(time.Second)
	}
	return c
}

// contextWithStorage is a context whose storage is a directory.
func contextWithStorage(t *testing.T, dir string) caddy.Context {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{StorageRaw: []byte(`{"module":"file_system","root":"` + dir + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func (c *cluster) health(t *testing.T, i int) (int, map[string]string) {
	t.Helper()
	return c.ask(t, i, health.Handler{})
}

func (c *cluster) ask(t *testing.T, i int, h health.Handler) (int, map[string]string) {
	t.Helper()
	c.now = c.now.Add(health.MaxAge)
	h.For(c.apps[i])
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil), nil); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Checks []struct{ Check, Status, Reason string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	checks := map[string]string{}
	for _, line := range answer.Checks {
		checks[line.Check] = strings.TrimSpace(line.Status + " " + line.Reason)
	}
	return w.Code, checks
}

func TestSEC_11_NodesShareKeys(t *testing.T) {
	shared, own := t.TempDir(), t.TempDir()
	c := newCluster(t, shared, shared, own)
	good := map[string]string{"store": "pass", "keys": "pass", "nodes": "pass", "policies": "pass"}
	for i := range 2 {
		if status, checks := c.health(t, i); status != 200 || cmp.Diff(good, checks) != "" {
			t.Errorf("node %d: %d %v", i, status, checks)
		}
	}
	t.Run("SEC-11 a node with other keys goes, the others stay", func(t *testing.T) {
		bad := map[string]string{"store": "pass", "keys": "pass", "nodes": "fail this node has other keys than the other nodes", "policies": "pass"}
		if status, checks := c.health(t, 2); status != 503 || cmp.Diff(bad, checks) != "" {
			t.Errorf("%d %v", status, checks)
		}
		if status, checks := c.health(t, 0); status != 200 || checks["nodes"] != "warn another node has other keys" {
			t.Errorf("%d %v", status, checks)
		}
		lines := c.logs.FilterMessageSnippet("has other keys for an issuer").All()
		if len(lines) != 2 { // each says it once
			t.Fatalf("%d lines", len(lines))
		}
		if f := lines[0].ContextMap(); f["issuer"] != alice || f["this_node_is_the_wrong_one"] != true || len(f["nodes"].([]any)) != 2 {
			t.Errorf("%v", f)
		}
	})
	t.Run("SEC-11 until it is gone", func(t *testing.T) {
		c.now = c.now.Add(beatExpires)
		for i := range 2 {
			if status, checks := c.health(t, i); status != 200 || cmp.Diff(good, checks) != "" {
				t.Errorf("node %d: %d %v", i, status, checks)
			}
		}
	})
}

func TestSEC_13_HealthOfTheStore(t *testing.T) {
	c := newCluster(t, t.TempDir())
	if status, checks := c.health(t, 0); status != 200 {
		t.Fatalf("%d %v", status, checks)
	}
	c.disk.Before(func(_ context.Context, call storetest.Call) error {
		if len(call.Ops) > 0 { // it can be read
			return storetest.ErrDisk
		}
		return nil
	})
	if status, checks := c.health(t, 0); status != 503 || checks["store"] != "fail the store cannot be written" || checks["keys"] != "pass" {
		t.Errorf("%d %v", status, checks)
	}
	c.disk.Before(nil)
	if status, checks := c.health(t, 0); status != 200 || checks["store"] != "pass" {
		t.Errorf("%d %v", status, checks)
	}
}

// A heartbeat that expired, or that somebody deleted, comes back.
func TestBeat(t *testing.T) {
	c := newCluster(t, t.TempDir())
	a := c.apps[0]
	seen := func(want int) {
		t.Helper()
		all, err := a.live(t.Context())
		if err != nil || len(all) != want {
			t.Errorf("%d nodes, %v, want %d", len(all), err, want)
		}
	}
	beat := func() {
		t.Helper()
		if err := a.beat(t.Context()); err != nil {
			t.Error(err)
		}
		seen(1)
	}
	beat()
	beat()
	c.now = c.now.Add(beatExpires)
	seen(0)
	beat()
	if err := a.store.Commit(t.Context(), store.Delete(nodeKey(a.nodes.process.id), a.nodes.rev)); err != nil {
		t.Fatal(err)
	}
	beat()
	a.nodes.rev += 7 // another configuration of this process wrote it meanwhile
	beat()
	full := make(chan error)
	a.nodes.gate <- struct{}{}
	gone, cancel := context.WithCancel(t.Context())
	go func() { full <- a.beat(gone) }()
	cancel()
	if err := <-full; !errors.Is(err, context.Canceled) {
		t.Errorf("a beat that waits: %v", err)
	}
	<-a.nodes.gate
}

// The loop writes nothing before somebody uses the store, and takes its document away
// in the end.
func TestBeatLoop(t *testing.T) {
	c := newCluster(t, t.TempDir(), t.TempDir())
	a, other := c.apps[0], c.apps[1]
	a.nodes.process.begin(a)
	a.tick(t.Context())
	if n := nodesIn(t, other); n != 0 {
		t.Fatalf("%d nodes before the first use", n)
	}
	if _, err := a.store.ID(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.tick(t.Context())
	if n := nodesIn(t, other); n != 1 {
		t.Errorf("%d nodes, want one", n)
	}
	rev := a.nodes.rev
	a.tick(t.Context())
	if a.nodes.rev != rev {
		t.Error("written again before its time")
	}
	c.now = c.now.Add(beatEvery)
	a.tick(t.Context())
	if a.nodes.rev != rev+1 {
		t.Error("not written when it was due")
	}
	a.stopBeating()
	if n := nodesIn(t, other); n != 0 {
		t.Errorf("%d nodes when it has left", n)
	}
}

func nodesIn(t *testing.T, a *App) int {
	t.Helper()
	all, err := a.live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Over a reload the process is one node, and policies that did not change run since
// they were first loaded.
func TestReloadIsTheSameNode(t *testing.T) {
	c := newCluster(t, t.TempDir())
	old := c.apps[0]
	p := old.nodes.process
	old.registry.as = map[string]entry[LocalAS]{alice: {value: revised("r1")}, alice + "/b": {value: revised("r1")}}
	p.begin(old)
	c.now = c.now.Add(time.Hour)
	next := &App{log: old.log, now: old.now, nodes: nodes{process: p}}
	next.registry.as = map[string]entry[LocalAS]{alice: {value: revised("r1")}, alice + "/b": {value: revised("r2")}}
	p.begin(next)
	for issuer, same := range map[string]bool{alice: true, alice + "/b": false} {
		name := tenantName{"as", issuer}
		if got := next.nodes.loadedOf(name).Loaded.Equal(old.nodes.loadedOf(name).Loaded); got != same {
			t.Errorf("%s: loaded when it was before: %v, want %v", issuer, got, same)
		}
	}
	if p.current(old) != next {
		t.Error("the old configuration speaks for the process")
	}
	if last := p.end(next); last || p.current(old) != old { // the reload failed
		t.Error("the place was not given back")
	}
	if p.end(next) || !p.end(old) {
		t.Error("the end of the process is not seen")
	}
}

// revised is an authorization server with this revision of its policies.
type revised string

func (r revised) PolicyRevision() string  { return string(r) }
func (revised) Local(string) http.Handler { return http.NotFoundHandler() }
func (revised) Admin() http.Handler       { return http.NotFoundHandler() }

// The gauge counts the issuers, and goes back.
func TestPolicyRevisionBehind(t *testing.T) {
	shared := t.TempDir()
	c := newCluster(t, shared, shared)
	for i, a := range c.apps {
		a.registry.as = map[string]entry[LocalAS]{alice: {value: revised([]string{"r1", "r2"}[i])}}
		a.nodes.process.begin(a)
		c.now = c.now.Add(time.Minute)
	}
	behind := func(i int, want int64, check string) {
		t.Helper()
		status, checks := c.health(t, i)
		if got := c.apps[i].nodes.behind.Load(); got != want || checks["policies"] != check || status != 200 {
			t.Errorf("node %d is behind in %d, want %d; %d %v", i, got, want, status, checks)
		}
	}
	behind(0, 0, "pass")
	behind(1, 0, "pass")
	behind(0, 1, "warn another node runs newer policies")
	lines := c.logs.FilterMessageSnippet("policy_revision behind").All()
	if len(lines) != 1 || lines[0].ContextMap()["issuer"] != alice {
		t.Errorf("%v", lines)
	}
	rows, err := c.apps[0].nodeRows(t.Context())
	if err != nil || len(rows) != 2 || rows[0].Policies != "same" || rows[1].Policies != "newer" || rows[1].Issuers[0].Revision != "r2" {
		t.Errorf("%+v, %v", rows, err)
	}
	rows, err = c.apps[1].nodeRows(t.Context())
	if err != nil || len(rows) != 2 || rows[1].Policies != "older" || rows[1].Keys != "same" {
		t.Errorf("%+v, %v", rows, err)
	}
	c.apps[0].registry.as = map[string]entry[LocalAS]{alice: {value: revised("r2")}}
	c.apps[0].nodes.process.end(c.apps[0])
	c.apps[0].nodes.process.begin(c.apps[0]) // with the new policies
	behind(0, 0, "pass")
}
