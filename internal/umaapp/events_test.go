package umaapp

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/event"
)

// listener is a handler of events that can be held up, fail or panic.
type listener struct {
	mu     sync.Mutex
	heard  []caddy.Event
	gate   chan struct{} // if not nil, Handle waits for one token each
	answer func(caddy.Event) error
}

func (l *listener) Handle(ctx context.Context, e caddy.Event) error {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	l.heard = append(l.heard, e)
	l.mu.Unlock()
	if l.answer != nil {
		return l.answer(e)
	}
	return nil
}

func (l *listener) events() []caddy.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// listened is an app of a configuration with a handler of these events ("" = all).
func listened(t *testing.T, l *listener, names ...string) *App {
	t.Helper()
	cfg := new(caddy.Config)
	text := `{"admin":{"disabled":true},"logging":{"logs":{"default":{"level":"INFO"}}},"storage":{"module":"file_system","root":"` + t.TempDir() + `"},"apps":{"uma":{}}}`
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cleanUp(t, a) })
	a.events.heir = func() *emitter { return nil }
	for _, name := range names {
		if err := a.events.app.On(name, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.events.app.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

// delivered waits until the queue is empty.
func (em *emitter) delivered() {
	em.mu.Lock()
	idle := em.idle
	em.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

var full = event.Decision{
	Issuer: "https://as.example", DecisionID: "d1", ClientID: "c", ResourceServer: "api", Owner: "o", ResourceIDs: []string{"r1", "r2"},
	TicketChallenge: "tc", Person: person, Outcome: event.Denied, Reason: "no policy matches", Policy: "p", Evidence: "webfinger", Revision: "rev", Shadow: []string{"s"},
}

func TestSEC_22_EventsOfCaddy(t *testing.T) {
	l := new(listener)
	a := listened(t, l, "uma_decision", "uma_exchange", "uma_revocation", "uma_replay", "uma_continuity", "uma_block", "uma_unblock")
	a.events.begin()
	for _, e := range []event.Event{
		full,
		event.Exchange{Issuer: "i", Person: person, Outcome: event.Granted}, event.Revocation{DecisionID: "d"}, event.Replay{ClientID: "c"},
		event.Continuity{Person: person, Domain: "bob.example", Outcome: event.Warned},
		event.Block{Kind: "address", Person: person, Reason: "Bob left", Ended: 2, Until: time.Unix(60, 0).UTC()}, event.Block{Kind: "address", Person: person, Lifted: true},
		event.RPTCheck{Outcome: event.Denied}, event.TicketIssued{}, event.Login{Person: person}, // no events of Caddy
	} {
		a.Observe()(t.Context(), e)
	}
	a.events.delivered()
	var names []string
	for _, e := range l.events() {
		names = append(names, e.Name())
		if e.Origin().CaddyModule().ID != "uma" {
			t.Errorf("%s comes from %s", e.Name(), e.Origin().CaddyModule().ID)
		}
		text, err := json.Marshal(e.CloudEvent())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(text)), "bob@") || strings.Contains(string(text), "Bob left") || strings.Contains(string(text), `"248"`) {
			t.Errorf("the event shows the person: %s", text)
		}
	}
	want := []string{"uma_decision", "uma_exchange", "uma_revocation", "uma_replay", "uma_continuity", "uma_block", "uma_unblock"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatal(diff)
	}
	data := map[string]any{
		"outcome": "denied", "decision_id": "d1", "issuer": "https://as.example", "client_id": "c", "resource_server": "api", "owner": "o",
		"ticket_challenge": "tc", "resource_id": []string{"r1", "r2"}, "iss": "https://bob.example", "policy": "p", "policy_revision": "rev",
		"evidence": "webfinger", "reason": "no policy matches", "shadow": []string{"s"},
	}
	if diff := cmp.Diff(data, l.events()[0].Data); diff != "" {
		t.Error(diff)
	}
}

// Nobody listens: no event is made. The neighbour has a listener.
func TestEventsNobodyWants(t *testing.T) {
	for _, tc := range []struct {
		listens string
		want    int
	}{{"uma_replay", 0}, {"uma_decision", 1}, {"", 1}} {
		l := new(listener)
		a := listened(t, l, tc.listens)
		a.events.begin()
		a.events.emit(t.Context(), full)
		a.events.delivered()
		if got := len(l.events()); got != tc.want {
			t.Errorf("listening to %q: %d events, want %d", tc.listens, got, tc.want)
		}
		var e event.Event = full
		if n := testing.AllocsPerRun(10, func() { a.events.emit(t.Context(), e) }); (n == 0) != (tc.want == 0) {
			t.Errorf("listening to %q: %v allocations", tc.listens, n)
		}
		a.events.delivered()
	}
}

// What happens before all apps have started is told when they have.
func TestEventsBeforeTheStart(t *testing.T) {
	l := new(listener)
	a := listened(t, l, "uma_decision")
	a.events.emit(t.Context(), full)
	a.events.emit(t.Context(), event.Replay{}) // nobody listens
	a.events.delivered()
	if n := len(l.events()); n != 0 {
		t.Fatalf("%d events before the start", n)
	}
	a.events.app.Emit(a.ctx, "started", nil)
	a.events.delivered()
	if n := len(l.events()); n != 1 {
		t.Errorf("%d events after the start, want 1", n)
	}
}

// A handler that is slow holds up no request; what does not fit is dropped and counted.
func TestEventsOfASlowHandler(t *testing.T) {
	l := &listener{gate: make(chan struct{})}
	a := listened(t, l, "uma_replay")
	registry := a.ctx.GetMetricsRegistry()
	before := series(t, registry)["events_dropped_total{}"]
	a.events.begin()
	const more = 10
	for range maxNotices + 1 + more { // one is in the handler, perhaps
		a.events.emit(t.Context(), event.Replay{})
	}
	dropped := series(t, registry)["events_dropped_total{}"] - before
	if dropped != more && dropped != more+1 {
		t.Errorf("%v events dropped, want %d or one more", dropped, more)
	}
	close(l.gate)
	a.events.delivered()
	if got := float64(len(l.events())); got != maxNotices+1+more-dropped {
		t.Errorf("%v events, want %v", got, maxNotices+1+more-dropped)
	}
}

// A handler that fails, aborts or panics changes nothing for those who come after.
func TestEventsOfABadHandler(t *testing.T) {
	for name, answer := range map[string]func(caddy.Event) error{
		"error": func(caddy.Event) error { return errors.New("no") },
		"abort": func(caddy.Event) error { return caddy.ErrEventAborted },
		"panic": func(caddy.Event) error { panic("no") },
	} {
		l := &listener{answer: answer}
		a := listened(t, l, "uma_replay")
		core, logs := observer.New(zapcore.ErrorLevel)
		a.events.log = zap.New(core)
		a.events.begin()
		a.events.emit(t.Context(), event.Replay{})
		a.events.emit(t.Context(), event.Replay{})
		a.events.delivered()
		if n := len(l.events()); n != 2 {
			t.Errorf("%s: %d events, want 2", name, n)
		}
		if got := logs.Len(); (got == 2) != (name == "panic") {
			t.Errorf("%s: %d lines of ours", name, got)
		}
	}
}

// What a late request of an old configuration does is told by the new one; without
// one it is dropped and counted.
func TestEventsAfterTheStop(t *testing.T) {
	l := new(listener)
	old, next := listened(t, new(listener), "uma_replay"), listened(t, l, "uma_replay")
	old.events.begin()
	next.events.begin()
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
	registry := next.ctx.GetMetricsRegistry()
	before := series(t, registry)["events_dropped_total{}"]
	old.events.emit(t.Context(), event.Replay{})
	old.events.heir = func() *emitter { return next.events }
	old.events.emit(t.Context(), event.Replay{})
	next.events.delivered()
	if n, dropped := len(l.events()), series(t, registry)["events_dropped_total{}"]-before; n != 1 || dropped != 1 {
		t.Errorf("%d events told by the next configuration, %v dropped, want one each", n, dropped)
	}
}

// A configuration that stops gives its handlers a moment, not more.
func TestEventsAtTheStop(t *testing.T) {
	done := make(chan struct{}, 3)
	l := &listener{gate: make(chan struct{}), answer: func(caddy.Event) error { done <- struct{}{}; return nil }}
	a := listened(t, l, "uma_replay")
	a.events.patience = 10 * time.Millisecond
	a.events.begin()
	for range 3 {
		a.events.emit(t.Context(), event.Replay{})
	}
	l.gate <- struct{}{}
	<-done
	a.events.stop() // the second handler hangs
	if n := len(l.events()); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	close(l.gate)
	a.events.delivered()
	if n := len(l.events()); n != 2 {
		t.Errorf("%d events after the handler came back, want 2: the third was given up", n)
	}
}

var _ caddyevents.Handler = (*listener)(nil)
