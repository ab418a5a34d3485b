package rs_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// Whoever brings tokens while nobody can be asked does not fill the log.
func TestSEC_18_OneLineASecond(t *testing.T) {
	core, lines := observer.New(zapcore.ErrorLevel)
	w := newAsking(t, func(c *rs.Config) { c.Log = zap.New(core) })
	w.as.set(func() { w.as.introspect = func(rw http.ResponseWriter, _ string) { rw.WriteHeader(500) } })
	for i := range 30 {
		w.wantStatus(fmt.Sprint("rpt_", i), 503)
		w.now = w.now.Add(100 * time.Millisecond)
	}
	if n := lines.Len(); n != 3 {
		t.Errorf("%d lines in 3 seconds, want 3", n)
	}
	if len(w.events) != 30 {
		t.Errorf("%d events, want 30", len(w.events))
	}
}

// concurrent makes a world that can be used from many goroutines.
func concurrent(t *testing.T, change ...func(*rs.Config)) *world {
	t.Helper()
	quiet := func(c *rs.Config) { c.Observe = func(context.Context, event.Event) {} }
	return newAsking(t, append(change, quiet)...)
}

func (w *world) statusFrom(ctx context.Context, source, token string) int {
	_, f := w.rs.Check(w.request("GET", token).WithContext(ctx), rs.Target{Source: source})
	if f == nil {
		return 200
	}
	return f.Status
}

// tokenOf reads the token of a question.
func tokenOf(r *http.Request) string {
	body, err := r.GetBody()
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(body)
	form, _ := url.ParseQuery(string(text))
	return form.Get("token")
}

// held is a world whose authorization server takes questions and answers when told;
// those about free tokens at once.
func held(t *testing.T, change ...func(*rs.Config)) (w *world, began chan struct{}, answer func()) {
	t.Helper()
	w = concurrent(t, change...)
	began, gate := make(chan struct{}, 1000), make(chan struct{})
	as := w.cfg.AS
	w.cfg.AS = func(call rs.Call, r *http.Request) (*http.Response, error) {
		if call == rs.CallIntrospection && !strings.HasPrefix(tokenOf(r), "rpt_free") {
			began <- struct{}{}
			<-gate
		}
		return as(call, r)
	}
	w.restart()
	w.status("GET", "")
	return w, began, func() { close(gate) }
}

func TestOA_13_OneQuestionForAll(t *testing.T) {
	w, began, answer := held(t)
	token := w.opaque("x")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got := w.statusFrom(t.Context(), "s", token); got != 200 {
				t.Errorf("status = %d, want 200", got)
			}
		})
	}
	<-began
	gone, cancel := context.WithCancel(t.Context())
	cancel() // whoever goes away does not end it for the others
	if got := w.statusFrom(gone, "s", token); got != 503 {
		t.Errorf("status = %d, want 503", got)
	}
	answer()
	all.Wait()
	w.wantQuestions(token, 1)
}

func TestSEC_18_UnknownTokensPerSource(t *testing.T) {
	w := newAsking(t, func(c *rs.Config) { c.Asking = limit.New(5, time.Minute, 100, c.Now) })
	good := w.opaque("good")
	if got := w.statusFrom(t.Context(), "a", good); got != 200 {
		t.Fatalf("status = %d, want 200", got)
	}
	got := map[int]int{}
	for i := range 20 {
		got[w.statusFrom(t.Context(), "a", fmt.Sprint("rpt_", i))]++
	}
	if diff := cmp.Diff(map[int]int{401: 5, 429: 15}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if n := w.as.count("POST /introspect"); n != 6 {
		t.Errorf("%d questions, want 6", n)
	}
	if e := w.events[len(w.events)-1]; e.Outcome != event.Refused || e.Reason == "" {
		t.Errorf("event = %+v", e)
	}
	_, f := w.rs.Check(w.request("GET", "rpt_x"), rs.Target{Source: "a"})
	if f == nil || f.Status != 429 || f.Header.Get("Retry-After") != "12" || f.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("refusal = %+v, want 429 in 12 s", f)
	}
	t.Run("SEC-18 known tokens and other sources are not concerned", func(t *testing.T) {
		if got := w.statusFrom(t.Context(), "a", good); got != 200 {
			t.Errorf("known = %d, want 200", got)
		}
		w.now = w.now.Add(10 * time.Second) // it is asked about again
		if got := w.statusFrom(t.Context(), "a", good); got != 200 {
			t.Errorf("known, again = %d, want 200", got)
		}
		if got := w.statusFrom(t.Context(), "b", "rpt_y"); got != 401 {
			t.Errorf("another source = %d, want 401", got)
		}
		if got := w.statusFrom(t.Context(), "a", w.rpt()); got != 200 {
			t.Errorf("a JWT = %d, want 200", got)
		}
	})
	t.Run("SEC-18 good tokens cost nothing", func(t *testing.T) {
		for i := range 20 {
			if got := w.statusFrom(t.Context(), "c", w.opaque(fmt.Sprint("new", i))); got != 200 {
				t.Fatalf("token %d = %d, want 200", i, got)
			}
		}
	})
}

// takes waits for questions that began and for those that were refused.
func takes(t *testing.T, began <-chan struct{}, results <-chan int, most, refused int) {
	t.Helper()
	for range most {
		<-began
	}
	for range refused {
		if got := <-results; got != 503 {
			t.Errorf("one too many = %d, want 503", got)
		}
	}
}

// Questions under way are bounded, for a source and for all who bring unknown tokens;
// tokens that are known are asked about again all the same.
func TestSEC_18_QuestionsUnderWay(t *testing.T) {
	w, began, answer := held(t)
	known := w.opaque("known")
	first := make(chan int, 1)
	go func() { first <- w.statusFrom(t.Context(), "z", known) }()
	<-began
	results := make(chan int, 200)
	ask := func(source string, n int) {
		for i := range n {
			go func() { results <- w.statusFrom(t.Context(), source, fmt.Sprint("rpt_", source, i)) }()
		}
	}
	// 16 of each source, and 64 in all with the one before.
	for source, most := range map[string]int{"a": 16, "b": 16, "c": 16} {
		ask(source, 20)
		takes(t, began, results, most, 20-most)
	}
	ask("d", 20)
	takes(t, began, results, 15, 5)
	answer()
	for range 63 {
		if got := <-results; got != 401 {
			t.Errorf("asked = %d, want 401", got)
		}
	}
	if got := <-first; got != 200 {
		t.Errorf("known = %d, want 200", got)
	}
	if len(began) != 0 {
		t.Errorf("%d questions more", len(began))
	}
	if got := w.statusFrom(t.Context(), "a", "rpt_later"); got != 401 {
		t.Errorf("later = %d, want 401: places are given back", got)
	}
}

func TestSEC_18_KnownTokensHaveTheirOwnPlaces(t *testing.T) {
	w, began, answer := held(t)
	known := w.opaque("free")
	if got := w.statusFrom(t.Context(), "z", known); got != 200 {
		t.Fatalf("status = %d, want 200", got)
	}
	results := make(chan int, 64)
	for i := range 64 {
		go func() { results <- w.statusFrom(t.Context(), fmt.Sprint("s", i%4), fmt.Sprint("rpt_", i)) }()
	}
	for range 64 {
		<-began
	}
	if got := w.statusFrom(t.Context(), "z", "rpt_free2"); got != 503 {
		t.Errorf("an unknown token = %d, want 503", got)
	}
	w.now = w.now.Add(10 * time.Second)
	if got := w.statusFrom(t.Context(), "z", known); got != 200 {
		t.Errorf("known = %d, want 200", got)
	}
	w.wantQuestions(known, 2)
	answer()
	for range 64 {
		<-results
	}
}

// A flood of inactive tokens takes no place from good ones.
func TestSEC_18_FloodKeepsGoodTokens(t *testing.T) {
	w := newAsking(t, func(c *rs.Config) { c.Cache = 4 })
	good := w.opaque("good")
	w.wantStatus(good, 200)
	for i := range 100 {
		w.wantStatus(fmt.Sprint("rpt_", i), 401)
		w.opaque(fmt.Sprint("foreign", i), set("aud", "https://b.example"))
		w.wantStatus(fmt.Sprint("rpt_foreign", i), 401)
	}
	w.wantStatus(good, 200)
	w.wantQuestions(good, 1)
}
