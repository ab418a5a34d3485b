package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// scrape gives what /metrics of the admin API says about us, and all of its text.
func (w *world) scrape() (series map[string]float64, text string) {
	w.t.Helper()
	admin, _ := w.config["admin"].(map[string]any)
	listen, _ := admin["listen"].(string)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(listen, "unix/"))
	}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("http://127.0.0.1/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("/metrics: %d, %v: %s", res.StatusCode, err, body)
	}
	series = map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name, ours := strings.CutPrefix(name, "caddy_uma_"); ours {
			if series[name], err = strconv.ParseFloat(value, 64); err != nil {
				w.t.Errorf("%s: %v", lines.Text(), err)
			}
		}
	}
	return series, string(body)
}

// gained are the counters that are larger than before, by how much. Those of the store
// are left out: how often it is asked is nobody's promise.
func gained(before, after map[string]float64) map[string]float64 {
	all := map[string]float64{}
	for name, v := range after {
		if v != before[name] && !strings.HasPrefix(name, "store_") {
			all[name] = v - before[name]
		}
	}
	return all
}

// walk takes Bob through the nine steps, twice through the last one, and Mallory as far
// as she gets; then Bob's client gives his RPT back. It gives the id of the decision about Bob.
func (w *world) walk() (decision, ticket string) {
	w.t.Helper()
	access := w.login("bob@bob.localhost", "bob-demo")
	ticket, _ = w.challenged(http.MethodGet, "/")
	claims := w.claimsToken(access, w.url("api", ""), ticket)
	rpt := w.redeem(ticket, claims, nil)
	for range 2 {
		if ok := w.get(w.url("api", "/"), bearer(rpt.get("access_token"))); ok.status != http.StatusOK {
			w.t.Fatalf("step 9: %d %s", ok.status, ok.text)
		}
	}
	w.redeem(ticket, claims, nil) // again
	w.get(w.url("api", "/"), bearer(flip(rpt.get("access_token"))))
	other, _ := w.challenged(http.MethodGet, "/")
	w.redeem(other, w.claimsToken(w.login("mallory@bob.localhost", "mallory-demo"), w.url("api", ""), other), nil)
	meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil)
	w.post(meta.get("revocation_endpoint"), map[string]string{"token": rpt.get("access_token"), "client_id": "caddy-uma"})
	return rpt.get("decision_id"), ticket
}

func TestSEC_22_MetricsOfTheNineSteps(t *testing.T) {
	w := example(t)
	w.administer()
	w.await()
	before, _ := w.scrape()
	w.walk()
	after, text := w.scrape()
	want := map[string]float64{
		"tickets_total":                                      3, // the RPT that is none gets a fresh one, too
		`decisions_total{outcome="granted"}`:                 1,
		`decisions_total{outcome="denied"}`:                  1,
		`decisions_total{outcome="refused"}`:                 1,
		"replays_total":                                      1,
		"revocations_total":                                  1,
		`exchanges_total{outcome="granted"}`:                 2,
		`rpt_checks_total{outcome="granted",source="local"}`: 1,
		`rpt_checks_total{outcome="granted",source="cache"}`: 1,
		`rpt_checks_total{outcome="refused",source="local"}`: 1,
		`discoveries_total{outcome="granted"}`:               2, // one for each address
		`logins_total{method="challenge",outcome="granted"}`: 2,
	}
	if diff := cmp.Diff(want, gained(before, after)); diff != "" {
		t.Error(diff)
	}
	for _, op := range []string{"get", "commit"} {
		if after[`store_seconds_count{op="`+op+`"}`] <= before[`store_seconds_count{op="`+op+`"}`] {
			t.Errorf("no %s of the store was measured", op)
		}
	}
	w.search("/metrics", text)
	w.goesOn(after)
}

// goesOn: the counters never jump back, neither at a reload nor at one that fails.
func (w *world) goesOn(before map[string]float64) {
	w.t.Helper()
	const name = `decisions_total{outcome="granted"}`
	for range 3 {
		w.reload()
		w.await()
		now, _ := w.scrape()
		for name, v := range before {
			if now[name] < v {
				w.t.Errorf("%s was %v, and is %v after a reload", name, v, now[name])
			}
		}
	}
	w.admitBob()
	broken := strings.Replace(string(w.numbered()), `"client_id":"api"`, `"client_id":""`, 1)
	if err := caddy.Load([]byte(broken), true); err == nil {
		w.t.Fatal("a broken configuration was loaded")
	}
	w.loads--
	w.await()
	if now, _ := w.scrape(); now[name] != before[name]+1 {
		w.t.Errorf("%s was %v; with one more after a reload that failed it is %v", name, before[name], now[name])
	}
	w.admitBob()
	if now, _ := w.scrape(); now[name] != before[name]+2 {
		w.t.Errorf("%s was %v; with two more it is %v", name, before[name], now[name])
	}
}

// search looks in a text for what must stand in logs, metrics and traces nowhere.
func (w *world) search(what, text string) {
	w.t.Helper()
	if found := w.seen.in(text); found != "" {
		w.t.Errorf("SEC-22: in %s: %s", what, found)
	}
	for _, who := range []string{"bob@", "mallory@", "bob%40", "mallory%40"} {
		if strings.Contains(text, who) {
			w.t.Errorf("SEC-22: in %s: an address", what)
		}
	}
}

// hearer is a handler of Caddy's events, as a third party would write it.
type hearer struct{}

// heard is what it has heard. It is one for the process, as modules are.
var heard struct {
	sync.Mutex
	events []caddy.Event
}

var registerHearer = sync.OnceFunc(func() { caddy.RegisterModule(hearer{}) })

func (hearer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.uma_test", New: func() caddy.Module { return new(hearer) }}
}

func (hearer) Handle(_ context.Context, e caddy.Event) error {
	heard.Lock()
	defer heard.Unlock()
	heard.events = append(heard.events, e)
	return caddy.ErrEventAborted // which must not matter
}

// awaitEvents waits until so many events with this name were heard, and gives them.
func awaitEvents(t *testing.T, name string, n int) []caddy.Event {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the handlers of a real server
		var found []caddy.Event
		heard.Lock()
		for _, e := range heard.events {
			if e.Name() == name {
				found = append(found, e)
			}
		}
		heard.Unlock()
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events %s, want %d", len(found), name, n)
		}
	}
}

func TestSEC_22_EventsOfTheNineSteps(t *testing.T) {
	registerHearer()
	heard.events = nil
	w := example(t)
	apps, _ := w.config["apps"].(map[string]any)
	apps["events"] = map[string]any{"subscriptions": []any{map[string]any{
		"events":   []string{"uma_decision", "uma_exchange", "uma_replay", "uma_revocation"},
		"modules":  []string{"uma"},
		"handlers": []any{map[string]any{"handler": "uma_test"}},
	}}}
	w.reload()
	w.await()
	id, ticket := w.walk()

	decisions := awaitEvents(t, "uma_decision", 3)
	exchanges := awaitEvents(t, "uma_exchange", 2)
	awaitEvents(t, "uma_replay", 1)
	awaitEvents(t, "uma_revocation", 1)
	got := map[string]any{}
	for _, name := range []string{"decision_id", "outcome", "policy", "resource_server", "client_id", "iss", "ticket_challenge", "evidence"} {
		got[name] = decisions[0].Data[name]
	}
	want := map[string]any{
		"decision_id": id, "outcome": "granted", "policy": "readers", "resource_server": "api", "client_id": "caddy-uma",
		"iss": w.url("bob", ""), "ticket_challenge": s256(ticket), "evidence": "webfinger",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if exchanges[0].Data["ticket_challenge"] != s256(ticket) || exchanges[0].Data["outcome"] != "granted" {
		t.Errorf("%v", exchanges[0].Data)
	}
	heard.Lock()
	defer heard.Unlock()
	for _, e := range heard.events {
		text, err := json.Marshal(e.CloudEvent())
		if err != nil {
			t.Fatal(err)
		}
		w.search(e.Name(), string(text))
	}
}

// spans are those of Caddy's tracing, exported to the memory of the test.
var spans = sync.OnceValue(func() *tracetest.InMemoryExporter {
	all := tracetest.NewInMemoryExporter()
	autoexport.RegisterSpanExporter("uma-test", func(context.Context) (sdktrace.SpanExporter, error) { return keeper{all}, nil })
	return all
})

// keeper keeps the spans when Caddy's provider ends.
type keeper struct{ *tracetest.InMemoryExporter }

func (keeper) Shutdown(context.Context) error { return nil }

func TestSEC_22_SpansOfTheNineSteps(t *testing.T) {
	spans().Reset()
	t.Setenv("OTEL_TRACES_EXPORTER", "uma-test")
	var edits []string
	for site, directive := range map[string]string{"bob": "uma_sts", "as": "uma_server", "api": "uma_protect"} {
		edits = append(edits, "\ttls internal\n\t"+directive, "\ttls internal\n\ttracing {\n\t\tspan "+site+"\n\t}\n\t"+directive)
	}
	w := example(t, edits...)
	id, ticket := w.walk()
	w.stop() // and all spans are exported

	all := spans().GetSpans()
	w.decided(all, id, ticket)
	w.passedOn(all)
	var text strings.Builder
	for _, span := range all {
		fmt.Fprintln(&text, span.Name, attributesOf(span.Attributes))
		for _, e := range span.Events {
			fmt.Fprintln(&text, e.Name, attributesOf(e.Attributes))
		}
	}
	w.search("the spans", text.String())
}

func attributesOf(attributes []attribute.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

// spanWith finds the span in which something of this name came of what is looked for.
func spanWith(t *testing.T, all tracetest.SpanStubs, event, name, value string) tracetest.SpanStub {
	t.Helper()
	for _, span := range all {
		for _, e := range span.Events {
			if e.Name == event && attributesOf(e.Attributes)[name] == value {
				return span
			}
		}
	}
	t.Fatalf("no span has an event %s with %s=%s", event, name, value)
	return tracetest.SpanStub{}
}

// decided: the three roles' spans hold what they did, and join.
func (w *world) decided(all tracetest.SpanStubs, id, ticket string) {
	w.t.Helper()
	for _, tc := range []struct{ event, site, name, value, attribute string }{
		{"uma.exchange", "bob", "ticket_challenge", s256(ticket), "ticket_challenge"},
		{"uma.decision", "as", "decision_id", id, "decision_id"},
		{"uma.rpt_check", "api", "decision_id", id, "decision_id"},
	} {
		span := spanWith(w.t, all, tc.event, tc.name, tc.value)
		if span.Name != tc.site || attributesOf(span.Attributes)[tc.attribute] != tc.value {
			w.t.Errorf("%s is in the span %s with %v", tc.event, span.Name, attributesOf(span.Attributes))
		}
	}
	below := map[string]int{}
	token := spanWith(w.t, all, "uma.decision", "decision_id", id)
	for _, span := range all {
		if span.Parent.SpanID() == token.SpanContext.SpanID() {
			below[span.Name]++
			if host := attributesOf(span.Attributes)["host"]; span.Name == "uma.fetch" && !strings.HasPrefix(host, "bob.localhost:") && host != "bob.localhost" {
				w.t.Errorf("the decision asked %q", host)
			}
		}
	}
	for _, name := range []string{"uma.store.get", "uma.store.commit", "uma.fetch"} {
		if below[name] == 0 {
			w.t.Errorf("no %s below the decision: %v", name, below)
		}
	}
}

// passedOn: nobody who was called by us learned of a trace.
func (w *world) passedOn(all tracetest.SpanStubs) {
	w.t.Helper()
	sites := 0
	for _, span := range all {
		if span.Name == "bob" || span.Name == "as" || span.Name == "api" {
			sites++
			if span.Parent.IsValid() {
				w.t.Errorf("a request to %s carried a trace: %v", span.Name, attributesOf(span.Attributes))
			}
		}
	}
	if sites == 0 {
		w.t.Error("no request was traced")
	}
}
