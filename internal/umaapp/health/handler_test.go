package health

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// testApp has checks and nothing else.
type testApp struct {
	Checks
	log *zap.Logger
}

func (a *testApp) Health(ctx context.Context) ([]Result, error) {
	return a.Report(ctx, time.Now, a.log)
}

// healthOf is a handler over checks of the test.
func healthOf(h Handler, checks ...Check) (*Handler, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	app := &testApp{log: zap.New(core)}
	for _, c := range checks {
		app.Add(c)
	}
	h.For(app)
	return &h, logs
}

func askHealth(t *testing.T, h *Handler, method string) (int, report) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := h.ServeHTTP(w, httptest.NewRequest(method, "/", nil), nil); err != nil {
		t.Fatal(err)
	}
	var a report
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.Header().Get("Cache-Control"); w.Code != http.StatusMethodNotAllowed && got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
	return w.Code, a
}

// well and ill are checks that come out as their names say.
func well(name, issuer string) Check {
	return Check{Name: name, Issuer: issuer, Do: func(context.Context) error { return nil }}
}

var errSecret = errors.New("dial postgres://uma:secret@10.0.0.5/uma: refused")

func ill(name, issuer string) Check {
	return Check{Name: name, Issuer: issuer, ClientID: "api", Do: func(context.Context) error { return errSecret }}
}

func TestHealth(t *testing.T) {
	mild := Check{Name: CheckNodes, Do: func(context.Context) error {
		return &Error{Reason: "another node has other keys", Mild: true, Err: errSecret}
	}}
	const notWritten, unreachable = "the store cannot be written", "the authorization server cannot be reached"
	for _, tt := range []struct {
		name   string
		h      Handler
		checks []Check
		status int
		want   report
	}{
		{"nothing to look at", Handler{}, nil, 200, report{Status: "pass", Checks: []reportLine{}}},
		{
			"all is well",
			Handler{},
			[]Check{well(CheckAS, "i"), well(CheckKeys, "i"), well(CheckKeys, "j"), well(CheckStore, "")},
			200,
			report{Status: "pass", Checks: []reportLine{{Check: "store", Status: "pass"}, {Check: "keys", Status: "pass"}, {Check: "authorization_server", Status: "pass"}}},
		},
		{
			"the worst of its kind",
			Handler{},
			[]Check{well(CheckKeys, "a"), ill(CheckKeys, "b"), well(CheckKeys, "c")},
			503,
			report{Status: "fail", Checks: []reportLine{{Check: "keys", Status: "fail", Reason: "keys cannot be read or made"}}},
		},
		{
			"of others",
			Handler{},
			[]Check{ill(CheckAS, "i"), well(CheckStore, "")},
			200,
			report{Status: "warn", Checks: []reportLine{{Check: "store", Status: "pass"}, {Check: "authorization_server", Status: "warn", Reason: unreachable}}},
		},
		{
			"of others, but fail",
			Handler{Fail: []string{CheckAS}},
			[]Check{ill(CheckAS, "i")},
			503,
			report{Status: "fail", Checks: []reportLine{{Check: "authorization_server", Status: "fail", Reason: unreachable}}},
		},
		{
			"store, but warn",
			Handler{Warn: []string{CheckStore}},
			[]Check{ill(CheckStore, "")},
			200,
			report{Status: "warn", Checks: []reportLine{{Check: "store", Status: "warn", Reason: notWritten}}},
		},
		{
			"mild, also with fail",
			Handler{Fail: []string{CheckNodes}},
			[]Check{mild},
			200,
			report{Status: "warn", Checks: []reportLine{{Check: "nodes", Status: "warn", Reason: "another node has other keys"}}},
		},
		{
			"details",
			Handler{Details: true},
			[]Check{ill(CheckKeys, "j"), well(CheckKeys, "i")},
			503,
			report{Status: "fail", Checks: []reportLine{
				{Check: "keys", Issuer: "i", Status: "pass"},
				{Check: "keys", Issuer: "j", ClientID: "api", Status: "fail", Reason: "keys cannot be read or made"},
			}},
		},
		{
			"a check that panics",
			Handler{},
			[]Check{{Name: CheckStore, Do: func(context.Context) error { panic("x") }}},
			503,
			report{Status: "fail", Checks: []reportLine{{Check: "store", Status: "fail", Reason: notWritten}}},
		},
	} {
		t.Run("SEC-22 "+tt.name, func(t *testing.T) {
			h, _ := healthOf(tt.h, tt.checks...)
			status, got := askHealth(t, h, http.MethodGet)
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHealthMethods(t *testing.T) {
	h, _ := healthOf(Handler{}, ill(CheckStore, ""))
	for method, want := range map[string]int{"GET": 503, "HEAD": 503, "POST": 405, "OPTIONS": 405} {
		if got, _ := askHealth(t, h, method); got != want {
			t.Errorf("%s: %d, want %d", method, got, want)
		}
	}
}

// Whoever reaches it cannot make it ask more than once in a second.
func TestHealthIsAskedOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, at, most atomic.Int32
		h, _ := healthOf(Handler{}, Check{Name: CheckStore, Do: func(context.Context) error {
			asked.Add(1)
			most.Store(max(most.Load(), at.Add(1)))
			defer at.Add(-1)
			time.Sleep(100 * time.Millisecond)
			return nil
		}})
		var users sync.WaitGroup
		for range 50 {
			users.Go(func() { askHealth(t, h, "GET") })
		}
		users.Wait()
		time.Sleep(MaxAge - time.Millisecond)
		askHealth(t, h, "GET")
		if asked.Load() != 1 || most.Load() != 1 {
			t.Errorf("asked %d times, %d at once, want once", asked.Load(), most.Load())
		}
		time.Sleep(time.Millisecond)
		if askHealth(t, h, "GET"); asked.Load() != 2 {
			t.Errorf("asked %d times after a second, want twice", asked.Load())
		}
	})
}

// A check that hangs holds nobody up for longer than its time, and is not begun
// again until it ends.
func TestHealthHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int32
		end := make(chan struct{})
		h, logs := healthOf(Handler{}, well(CheckKeys, "i"), Check{Name: CheckStore, Do: func(context.Context) error { // deaf to its context
			begun.Add(1)
			<-end
			return nil
		}})
		for range 3 {
			start := time.Now()
			status, a := askHealth(t, h, "GET")
			if took := time.Since(start); status != 503 || took != MaxTime {
				t.Errorf("%d after %v, want 503 after %v", status, took, MaxTime)
			}
			want := []reportLine{{Check: "store", Status: "fail", Reason: "the store cannot be written"}, {Check: "keys", Status: "pass"}}
			if diff := cmp.Diff(want, a.Checks); diff != "" {
				t.Error(diff)
			}
			time.Sleep(MaxAge)
		}
		if begun.Load() != 1 {
			t.Errorf("begun %d times, want once", begun.Load())
		}
		if got := logs.FilterMessage("health: the store cannot be written").Len(); got != 1 {
			t.Errorf("%d lines about it, want one", got)
		}
		close(end)
		synctest.Wait()
		if status, _ := askHealth(t, h, "GET"); status != 200 || begun.Load() != 2 {
			t.Errorf("%d when it has ended, begun %d times", status, begun.Load())
		}
	})
}

// Who leaves does not end what others wait for.
func TestHealthClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := healthOf(Handler{}, Check{Name: CheckStore, Do: func(ctx context.Context) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
		gone, cancel := context.WithCancel(t.Context())
		var users sync.WaitGroup
		users.Go(func() {
			w := httptest.NewRecorder()
			_ = h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(gone), nil)
			if w.Body.Len() > 0 {
				t.Errorf("an answer for who has gone: %s", w.Body)
			}
		})
		synctest.Wait()
		users.Go(func() {
			if status, _ := askHealth(t, h, "GET"); status != 200 {
				t.Errorf("%d for who waited", status)
			}
		})
		synctest.Wait()
		cancel()
		users.Wait()
	})
}

// SEC-22: the cause goes to the log, once when it changes, and never into the answer.
func TestSEC_22_HealthCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := errSecret
		h, logs := healthOf(Handler{Details: true}, Check{Name: CheckAS, Role: "rs", Issuer: "https://as.example", ClientID: "api", Do: func(context.Context) error { return now }})
		said := func(want ...string) {
			t.Helper()
			time.Sleep(MaxAge)
			w := httptest.NewRecorder()
			_ = h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil), nil)
			for _, secret := range []string{"secret", "10.0.0.5", "postgres"} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("the answer shows %s: %s", secret, w.Body)
				}
			}
			var got []string
			for _, e := range logs.TakeAll() {
				got = append(got, e.Level.String()+" "+e.Message)
				if f := e.ContextMap(); f["issuer"] != "https://as.example" || f["client_id"] != "api" || f["check"] != CheckAS {
					t.Errorf("fields %v", f)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		said("error health: the authorization server cannot be reached")
		said()
		now = errors.New("another")
		said("error health: the authorization server cannot be reached")
		now = &Error{Reason: "the status list is stale", Mild: true, Err: errSecret}
		said("warn health: the status list is stale")
		now = nil
		said("info health: well again")
		said()
	})
}

func TestHealthWhileShuttingDown(t *testing.T) {
	h, _ := healthOf(Handler{}, well(CheckStore, ""))
	for _, down := range []bool{false, true} {
		repl := caddy.NewReplacer()
		repl.Set("http.shutting_down", down)
		r := httptest.NewRequest("GET", "/", nil)
		w := httptest.NewRecorder()
		if err := h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)), nil); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 200, true: 503}[down]; w.Code != want || strings.Contains(w.Body.String(), "shutting down") != down {
			t.Errorf("shutting down %v: %d %s", down, w.Code, w.Body)
		}
	}
}

func TestHealthJSON(t *testing.T) {
	for _, h := range []Handler{{Fail: []string{"x"}}, {Warn: []string{"x"}}, {Fail: []string{CheckKeys}, Warn: []string{CheckKeys}}} {
		if err := h.Provision(caddy.Context{}); err == nil || !strings.HasPrefix(err.Error(), "uma_health: ") {
			t.Errorf("%+v: %v, want an error", h, err)
		}
	}
}
