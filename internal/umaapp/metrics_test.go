package umaapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// series are the values in a registry, by name and labels: the count of a histogram.
func series(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), "caddy_uma_")
		if !ours {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[name+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// counting is an app that counts, without a configuration.
func counting(t *testing.T) (*App, *prometheus.Registry) {
	t.Helper()
	a := &App{log: zap.NewNop(), metrics: newMetrics()}
	registry := prometheus.NewPedanticRegistry()
	if err := a.metrics.register(registry); err != nil {
		t.Fatal(err)
	}
	return a, registry
}

func TestMetricsCount(t *testing.T) {
	for want, e := range map[string]event.Event{
		"tickets_total{}":                                        event.TicketIssued{},
		"decisions_total{outcome=need_info}":                     event.Decision{Outcome: event.NeedInfo},
		"exchanges_total{outcome=denied}":                        event.Exchange{Outcome: event.Denied},
		"rpt_checks_total{outcome=granted,source=cache}":         event.RPTCheck{Source: "cache", Outcome: event.Granted},
		"rpt_checks_total{outcome=failed,source=local}":          event.RPTCheck{Source: "local", Outcome: event.Failed},
		"discoveries_total{outcome=refused}":                     event.Discovery{Outcome: event.Refused},
		"revocations_total{}":                                    event.Revocation{},
		"replays_total{}":                                        event.Replay{},
		"blocks_total{change=set,kind=domain}":                   event.Block{Kind: "domain"},
		"blocks_total{change=lifted,kind=address}":               event.Block{Kind: "address", Lifted: true},
		"continuity_total{kind=address,outcome=denied}":          event.Continuity{Kind: event.KnownAddress, Outcome: event.Denied},
		"logins_total{method=challenge,outcome=denied}":          event.Login{Method: "challenge", Outcome: event.Denied},
		"consents_total{outcome=granted}":                        event.Consent{Outcome: event.Granted},
		"decisions_total{outcome=other}":                         event.Decision{Outcome: "bob@bob.example"},
		"rpt_checks_total{outcome=other,source=other}":           event.RPTCheck{Source: "bob@bob.example", Outcome: event.Granted},
		"logins_total{method=other,outcome=other}":               event.Login{Method: "form", Outcome: "bob@bob.example"},
		"rpt_checks_total{outcome=denied,source=local}":          event.RPTCheck{Source: "local", Outcome: event.Denied, ClientID: "bob@bob.example", Reason: "bob@bob.example"},
		"discoveries_total{outcome=failed}":                      event.Discovery{Domain: "bob.example", Outcome: event.Failed},
		"blocks_total{change=set,kind=issuer}":                   event.Block{Kind: "issuer", Domain: "bob.example"},
		"continuity_total{kind=domain,outcome=warn}":             event.Continuity{Kind: event.KnownDomain, Outcome: event.Warned},
		"rpt_checks_total{outcome=refused,source=introspection}": event.RPTCheck{Source: "introspection", Outcome: event.Refused},
	} {
		a, registry := counting(t)
		before := series(t, registry)
		a.Observe()(t.Context(), e)
		changed := map[string]float64{}
		for name, v := range series(t, registry) {
			if v != before[name] {
				changed[name] = v
			}
		}
		if diff := cmp.Diff(map[string]float64{want: 1}, changed); diff != "" {
			t.Errorf("%T: %s", e, diff)
		}
		if strings.Contains(fmt.Sprint(slices.Collect(maps.Keys(series(t, registry)))), "bob") {
			t.Errorf("%T: input became a label", e)
		}
	}
}

// A request that is let through is counted, and costs nothing else where the log is
// at info, nobody traces and no handler listens.
func TestObserveAllocatesNothing(t *testing.T) {
	core, _ := observer.New(zapcore.InfoLevel)
	a, registry := counting(t)
	a.log = zap.New(core).Named("uma")
	observe := a.Observe()
	for _, e := range []event.Event{event.RPTCheck{Issuer: "https://as.example", Source: "cache", Outcome: event.Granted}, event.TicketIssued{ResourceIDs: []string{"r"}}} {
		if n := testing.AllocsPerRun(100, func() { observe(t.Context(), e) }); n != 0 {
			t.Errorf("%T: %v allocations, want none", e, n)
		}
	}
	if n := series(t, registry)["rpt_checks_total{outcome=granted,source=cache}"]; n < 100 {
		t.Errorf("%v requests were counted", n)
	}
}

func BenchmarkObserveRPTCheck(b *testing.B) {
	core, _ := observer.New(zapcore.InfoLevel)
	a := &App{log: zap.New(core).Named("uma"), metrics: newMetrics()}
	observe, ctx := a.Observe(), b.Context()
	var e event.Event = event.RPTCheck{Issuer: "https://as.example", Source: "cache", Outcome: event.Granted}
	b.ReportAllocs()
	for b.Loop() {
		observe(ctx, e)
	}
}

// configured is the app of a configuration that was provisioned, and its registry.
func configured(t *testing.T, apps string) (*App, *prometheus.Registry, error) {
	t.Helper()
	cfg := new(caddy.Config)
	text := `{"admin":{"disabled":true},"storage":{"module":"file_system","root":"` + t.TempDir() + `"},"apps":` + apps + `}`
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return nil, ctx.GetMetricsRegistry(), err
	}
	a, err := Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return a, ctx.GetMetricsRegistry(), nil
}

func cleanUp(t *testing.T, apps ...*App) {
	t.Helper()
	for _, a := range apps {
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}

// The counters go on over a reload, and a configuration that cannot be provisioned
// neither loses nor doubles anything. Other tests may count, too.
func TestMetricsOverReload(t *testing.T) {
	granted := event.Decision{Outcome: event.Granted}
	const name = "decisions_total{outcome=granted}"
	users := func() int { n, _ := memories.References(metricsKey); return n }
	others := users()
	old, oldRegistry, err := configured(t, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	before := series(t, oldRegistry)[name]
	old.Observe()(t.Context(), granted)
	if _, _, err := configured(t, `{"uma":{"store":{"module":"nonsense"}}}`); err == nil {
		t.Fatal("a broken configuration was provisioned")
	}
	if n := users() - others; n != 1 {
		t.Errorf("after a broken reload %d configurations hold the counters, want 1", n)
	}
	old.Observe()(t.Context(), granted)
	if n := series(t, oldRegistry)[name] - before; n != 2 {
		t.Errorf("after a broken reload: %v decisions, want 2", n)
	}

	next, registry, err := configured(t, `{"uma":{}}`)
	if err != nil {
		t.Fatal(err)
	}
	next.Observe()(t.Context(), granted)
	old.Observe()(t.Context(), granted) // a request that the old servers still answer
	cleanUp(t, old)
	old.Observe()(t.Context(), granted)
	if n := series(t, registry)[name] - before; n != 5 {
		t.Errorf("after a reload: %v decisions, want 5", n)
	}
	if cleanUp(t, next); users() != others {
		t.Errorf("%d configurations hold the counters, want %d", users(), others)
	}
}

// The admin endpoint of a configuration is made before its apps; what serves on when
// they fail is in its registry.
func TestAdminEndpointHasTheCounters(t *testing.T) {
	a, _, err := configured(t, `{"uma":{}}`)
	if err != nil {
		t.Fatal(err)
	}
	defer cleanUp(t, a)
	a.Observe()(t.Context(), event.Replay{})
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for range 2 {
		if err := (adminAPI{}).Provision(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := series(t, ctx.GetMetricsRegistry())["replays_total{}"]; n < 1 {
		t.Errorf("%v replays, want those of the configuration that runs", n)
	}
}

// slowStore answers as it is told, and takes a second on the test's clock.
type slowStore struct {
	store.Store
	err   error
	clock *time.Time
}

func (s *slowStore) answer() error { *s.clock = s.clock.Add(time.Second); return s.err }

func (s *slowStore) Get(context.Context, store.Key) (store.Doc, error) {
	return store.Doc{}, s.answer()
}
func (s *slowStore) Commit(context.Context, ...store.Op) error { return s.answer() }
func (s *slowStore) Sweep(context.Context, int) (int, error)   { return 0, s.answer() }
func (s *slowStore) List(context.Context, string, string, string, string, int) ([]store.Doc, error) {
	return nil, s.answer()
}

func TestStoreIsMeasured(t *testing.T) {
	calls := map[storeOp]func(l *lazyStore) error{
		opGet:    func(l *lazyStore) error { _, err := l.Get(t.Context(), store.Key{Kind: "spent"}); return err },
		opList:   func(l *lazyStore) error { _, err := l.List(t.Context(), "t", "spent", "", "", 1); return err },
		opCommit: func(l *lazyStore) error { return errors.Join(l.Commit(t.Context(), store.Create(store.Doc{}))) },
		opSweep:  func(l *lazyStore) error { _, err := l.Sweep(t.Context(), 1); return err },
	}
	for op, call := range calls {
		for _, tc := range []struct {
			err    error
			failed float64
		}{
			{nil, 0},
			{store.ErrNotFound, 0},
			{&store.OpError{Err: store.ErrExists}, 0},
			{&store.OpError{Err: store.ErrConflict}, 0},
			{context.Canceled, 0},
			{context.DeadlineExceeded, 1},
			{errors.New("disk full"), 1},
			{fmt.Errorf("%w: locked", errNotOpen), 1},
		} {
			a, registry := counting(t)
			now := time.Unix(0, 0)
			l := newLazyStore(&fake{key: t.Name()})
			l.meter, l.now = a.metrics.store, func() time.Time { return now }
			l.opened.Store(&pooledStore{Store: &slowStore{err: tc.err, clock: &now}})
			if err := call(l); (err == nil) != (tc.err == nil) {
				t.Errorf("%s: %v, want %v", op, err, tc.err)
			}
			got := series(t, registry)
			if got["store_seconds{op="+string(op)+"}"] != 1 || got["store_errors_total{op="+string(op)+"}"] != tc.failed {
				t.Errorf("%s %v: %v operations, %v failures, want 1 and %v", op, tc.err, got["store_seconds{op="+string(op)+"}"], got["store_errors_total{op="+string(op)+"}"], tc.failed)
			}
			if sum := secondsOf(t, registry, op); sum != 1 {
				t.Errorf("%s: %v seconds, want 1", op, sum)
			}
		}
	}
}

func secondsOf(t *testing.T, registry *prometheus.Registry, op storeOp) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "caddy_uma_store_seconds" && m.GetLabel()[0].GetValue() == string(op) {
				return m.GetHistogram().GetSampleSum()
			}
		}
	}
	return 0
}
