package umaapp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/store"
)

// traced runs something inside a span and gives the spans that ended, that one last.
func traced(t *testing.T, sampler sdktrace.Sampler, do func(ctx context.Context)) []sdktrace.ReadOnlySpan {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sampler))
	ctx, span := provider.Tracer("test").Start(t.Context(), "request")
	do(ctx)
	span.End()
	return recorder.Ended()
}

// valuesOf are attributes by name.
func valuesOf(attributes []attribute.KeyValue) map[string]any {
	all := map[string]any{}
	for _, a := range attributes {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

func TestSEC_22_SpanOfADecision(t *testing.T) {
	a := &App{log: zap.NewNop()}
	spans := traced(t, sdktrace.AlwaysSample(), func(ctx context.Context) {
		a.Observe()(ctx, full)
		a.Observe()(ctx, event.Block{Kind: "address", Person: person, Reason: "Bob left", Ended: 2, Until: time.Unix(60, 0).UTC()})
	})
	if len(spans) != 1 || len(spans[0].Events()) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	span := spans[0]
	if diff := cmp.Diff(map[string]any{"decision_id": "d1", "ticket_challenge": "tc"}, valuesOf(span.Attributes())); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{
		"outcome": "denied", "decision_id": "d1", "issuer": "https://as.example", "client_id": "c", "resource_server": "api", "owner": "o",
		"ticket_challenge": "tc", "resource_id": []string{"r1", "r2"}, "iss": "https://bob.example", "policy": "p", "policy_revision": "rev",
		"evidence": "webfinger", "reason": "no policy matches", "shadow": []string{"s"},
	}
	if diff := cmp.Diff(want, valuesOf(span.Events()[0].Attributes)); diff != "" || span.Events()[0].Name != "uma.decision" {
		t.Error(span.Events()[0].Name, diff)
	}
	want = map[string]any{"iss": "https://bob.example", "kind": "address", "ended": int64(2), "until": "1970-01-01T00:01:00Z"}
	if diff := cmp.Diff(want, valuesOf(span.Events()[1].Attributes)); diff != "" || span.Events()[1].Name != "uma.block" {
		t.Error(span.Events()[1].Name, diff)
	}
}

// A span that is not recorded costs nothing.
func TestSpanThatIsNotRecorded(t *testing.T) {
	var e event.Event = full
	spans := traced(t, sdktrace.NeverSample(), func(ctx context.Context) {
		if n := testing.AllocsPerRun(10, func() { noteInSpan(ctx, e) }); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
		if storeSpan(ctx, opGet, "spent") != nil || fetchSpan(ctx, "bob.example") != nil {
			t.Error("a span was begun")
		}
	})
	if len(spans) != 0 {
		t.Errorf("%d spans", len(spans))
	}
}

func TestSpansOfTheStore(t *testing.T) {
	now := time.Unix(0, 0)
	for _, tc := range []struct {
		err  error
		code codes.Code
	}{{nil, codes.Unset}, {store.ErrNotFound, codes.Unset}, {errors.New("disk full of bob@bob.example"), codes.Error}} {
		l := newLazyStore(&fake{key: t.Name()})
		l.opened.Store(&pooledStore{Store: &slowStore{err: tc.err, clock: &now}})
		spans := traced(t, sdktrace.AlwaysSample(), func(ctx context.Context) {
			_, _ = l.Get(ctx, store.Key{Tenant: "t", Kind: "spent", ID: "secret"})
			_ = l.Commit(ctx, store.Create(store.Doc{Key: store.Key{Tenant: "t", Kind: "grant", ID: "secret"}}))
			_, _ = l.List(context.Background(), "t", "grant", "", "", 1) // nobody's request
		})
		if len(spans) != 3 {
			t.Fatalf("%d spans, want 3", len(spans))
		}
		for i, want := range []struct{ name, kind string }{{"uma.store.get", "spent"}, {"uma.store.commit", "grant"}} {
			span := spans[i]
			if span.Name() != want.name || span.Parent().SpanID() != spans[2].SpanContext().SpanID() || span.SpanKind() != trace.SpanKindClient {
				t.Errorf("span %s below %s", span.Name(), span.Parent().SpanID())
			}
			if diff := cmp.Diff(map[string]any{"kind": want.kind}, valuesOf(span.Attributes())); diff != "" {
				t.Error(diff)
			}
			if span.Status().Code != tc.code || span.Status().Description != "" || len(span.Events()) != 0 {
				t.Errorf("%v: status %v", tc.err, span.Status())
			}
		}
	}
}

// Requests to other hosts have a span, and tell those hosts nothing of it.
func TestSpansOfRequests(t *testing.T) {
	var header http.Header
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	transport, _ := server.Client().Transport.(*http.Transport)
	a := &App{log: zap.NewNop(), ConnectTo: map[string]string{"bob.example.com:443": host}, roots: transport.TLSClientConfig.RootCAs}
	cfg := a.Outbound()
	if cfg.Roots == nil {
		t.Fatal("no CAs")
	}
	strict, named := outbound.NewStrict(cfg), outbound.NewNamed(cfg)
	defer named.CloseIdleConnections()
	const query = "/.well-known/webfinger?resource=acct:bob@bob.example"
	spans := traced(t, sdktrace.AlwaysSample(), func(ctx context.Context) {
		if _, err := strict.Get(ctx, outbound.Request{URL: "https://bob.example.com:443" + query}); err != nil {
			t.Error(err)
		}
		check(t, header)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := named.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		check(t, header)
		server.Close()
		if _, err := strict.Get(ctx, outbound.Request{URL: "https://bob.example.com:443" + query}); err == nil {
			t.Error("a server that is gone has answered")
		}
	})
	if len(spans) != 4 {
		t.Fatalf("%d spans, want 4", len(spans))
	}
	for i, want := range []map[string]any{
		{"host": "bob.example.com:443", "status": int64(404)}, {"host": host, "status": int64(404)}, {"host": "bob.example.com:443"},
	} {
		if diff := cmp.Diff(want, valuesOf(spans[i].Attributes())); diff != "" || spans[i].Name() != "uma.fetch" {
			t.Error(spans[i].Name(), diff)
		}
		if failed := spans[i].Status().Code == codes.Error; failed != (i == 2) || spans[i].Status().Description != "" {
			t.Errorf("%v: status %v", want, spans[i].Status())
		}
	}
}

// check: no header tells a stranger of the trace.
func check(t *testing.T, header http.Header) {
	t.Helper()
	if header == nil {
		t.Fatal("no request")
	}
	for _, name := range []string{"Traceparent", "Tracestate", "Baggage", "B3", "X-B3-Traceid", "Uber-Trace-Id", "X-Amzn-Trace-Id"} {
		if header.Get(name) != "" {
			t.Errorf("%s was sent", name)
		}
	}
	if len(header) != 2 && len(header) != 1 { // User-Agent, Accept-Encoding
		t.Errorf("headers %v", header)
	}
}
