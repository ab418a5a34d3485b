package rs_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// questions counts those about a token.
func (w *world) questions(token string) int {
	w.as.mu.Lock()
	defer w.as.mu.Unlock()
	n := 0
	for _, r := range w.as.asked {
		if r.PostForm.Get("token") == token {
			n++
		}
	}
	return n
}

func (w *world) wantStatus(token string, want int) {
	w.t.Helper()
	if got := w.status("GET", token); got != want {
		w.t.Errorf("%s = %d, want %d", token, got, want)
	}
}

func (w *world) wantQuestions(token string, want int) {
	w.t.Helper()
	if got := w.questions(token); got != want {
		w.t.Errorf("%d questions about %s, want %d", got, token, want)
	}
}

func TestOA_13_RevokedIsRefusedInTime(t *testing.T) {
	for _, m := range modes[1:] {
		t.Run("OA-13 "+m.name, func(t *testing.T) {
			w := newAsking(t, func(c *rs.Config) { c.Introspect = m.introspect })
			token := w.rpt()
			if m.opaque {
				token = "rpt_x"
			}
			w.as.tokens[token] = w.claims()
			w.wantStatus(token, 200)
			w.as.set(func() { delete(w.as.tokens, token) })
			w.now = w.now.Add(10*time.Second - 1)
			w.wantStatus(token, 200)
			w.wantQuestions(token, 1)
			w.now = w.now.Add(1)
			w.wantStatus(token, 401)
			w.wantQuestions(token, 2)
			if diff := cmp.Diff([]string{"introspection", "cache", "introspection"}, w.sources()); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOA_13_NeverPastExp(t *testing.T) {
	w := newAsking(t)
	token := w.opaque("x", set("exp", start.Add(5*time.Second).Unix()))
	w.wantStatus(token, 200)
	w.now = start.Add(5*time.Second - 1)
	w.wantStatus(token, 200)
	w.wantQuestions(token, 1)
	w.now = start.Add(5 * time.Second) // within the leeway: but that is the server's word to give
	w.wantStatus(token, 200)
	w.wantQuestions(token, 2)
	w.as.set(func() { w.as.down = true })
	_, f := w.check("GET", token)
	if f == nil || f.Status != 503 {
		t.Errorf("refusal = %v, want 503: nobody says that it is still good", f)
	}
}

// A shorter bound is kept, and a clock that is set back frees no answer.
func TestOA_13_Clock(t *testing.T) {
	w := newAsking(t, func(c *rs.Config) { c.Revocation = time.Second })
	token := w.opaque("x")
	w.wantStatus(token, 200)
	w.now = start.Add(time.Second)
	w.wantStatus(token, 200)
	w.wantQuestions(token, 2)
	w.now = start
	w.wantStatus(token, 200)
	w.wantQuestions(token, 3)
}

func TestOA_13_InactiveAnswers(t *testing.T) {
	w := newAsking(t)
	good := w.opaque("good")
	for range 3 {
		w.wantStatus("rpt_bad", 401)
	}
	w.wantQuestions("rpt_bad", 1)
	w.wantStatus(good, 200) // not for other tokens
	w.wantStatus("rpt_bad2", 401)
	w.wantQuestions("rpt_bad2", 1)
	w.as.set(func() { w.as.tokens["rpt_bad"] = w.claims() })
	w.now = start.Add(10*time.Second - 1)
	w.wantStatus("rpt_bad", 401)
	w.now = start.Add(10 * time.Second)
	w.wantStatus("rpt_bad", 200)
	w.wantQuestions("rpt_bad", 2)
}

func TestOA_13_InactiveAnswersAreShort(t *testing.T) {
	for revocation, again := range map[time.Duration]time.Duration{time.Second: time.Second, time.Hour: 10 * time.Second} {
		w := newAsking(t, func(c *rs.Config) { c.Revocation = revocation })
		w.wantStatus("rpt_x", 401)
		w.now = start.Add(again - 1)
		w.wantStatus("rpt_x", 401)
		w.wantQuestions("rpt_x", 1)
		w.now = start.Add(again)
		w.wantStatus("rpt_x", 401)
		w.wantQuestions("rpt_x", 2)
	}
}

// Nothing in an answer names the token: what is kept is kept by the question.
func TestOA_13_AnswersBelongToTheirQuestion(t *testing.T) {
	w := newAsking(t)
	w.as.signs = true
	w.restart()
	a := w.opaque("a", set("permissions", []any{permission("id-1", "get")}))
	b := w.opaque("b", set("permissions", []any{permission("id-9", "get")}))
	w.status("GET", "")
	for range 2 {
		w.wantStatus(a, 200)
		w.wantStatus(b, 401)
		w.wantStatus(a+"=", 401)
		w.wantStatus(strings.ToUpper(a), 401)
	}
	w.wantQuestions(a, 1)
	w.wantQuestions(b, 1)
}

// What is kept is the description; expiry, audience and permissions are looked at for
// each request.
func TestOA_13_NoDecisionIsKept(t *testing.T) {
	w := newAsking(t, func(c *rs.Config) {
		c.Revocation, c.Leeway, c.Scopes = time.Hour, -1, []rs.Scope{{Name: "get"}, {Name: "post"}}
	})
	p := permission("id-1", "get")
	p["exp"] = start.Add(time.Minute).Unix()
	token := w.opaque("x", set("permissions", []any{p, permission("id-1", "post")}), set("exp", start.Add(2*time.Minute).Unix()))
	w.wantStatus(token, 200)
	if got := w.status("POST", token); got != 200 {
		t.Errorf("POST = %d, want 200", got)
	}
	w.now = start.Add(time.Minute)
	if got := w.verdict("GET", token); got != (verdict{401, `Bearer error="insufficient_scope"`}) {
		t.Errorf("past the permission = %v", got)
	}
	if got := w.status("POST", token); got != 200 {
		t.Errorf("the other permission = %d, want 200", got)
	}
	w.wantQuestions(token, 1)
	w.as.set(func() { w.as.audience, w.as.pat = "RS API", 2 }) // and so is the audience
	w.now = start.Add(time.Minute + 1)
	w.wantStatus("rpt_none", 401) // brings a new PAT
	if got := w.verdict("POST", token); got != (verdict{401, `Bearer error="invalid_token"`}) {
		t.Errorf("with another audience = %v", got)
	}
	w.wantQuestions(token, 1)
}

// failures are ways in which the authorization server cannot be asked.
var failures = map[string]func(*world){
	"no connection": func(w *world) { w.as.down = true },
	"500":           func(w *world) { w.as.introspect = func(rw http.ResponseWriter, _ string) { rw.WriteHeader(500) } },
	"503":           func(w *world) { w.as.introspect = func(rw http.ResponseWriter, _ string) { rw.WriteHeader(503) } },
	"nonsense": func(w *world) {
		w.as.introspect = func(rw http.ResponseWriter, _ string) { _, _ = rw.Write([]byte("<html>")) }
	},
}

func TestOA_13_ServerCannotBeAsked(t *testing.T) {
	for name, fail := range failures {
		t.Run("OA-13 "+name, func(t *testing.T) {
			w := newAsking(t)
			token := w.opaque("x", set("exp", start.Add(time.Minute).Unix()))
			w.wantStatus(token, 200)
			w.as.set(func() { fail(w) })
			w.wantStatus("rpt_y", 503)
			w.now = start.Add(30*time.Second - 1)
			w.wantStatus(token, 200)
			w.now = start.Add(30 * time.Second)
			w.wantStatus(token, 503)
			w.wantStatus(token, 503)
			w.as.set(func() { w.as.down, w.as.introspect = false, nil })
			w.now = start.Add(32 * time.Second)
			w.wantStatus(token, 200)
		})
	}
	t.Run("OA-13 not after it said no", func(t *testing.T) {
		w := newAsking(t)
		token := w.opaque("x")
		w.wantStatus(token, 200)
		w.now = start.Add(10 * time.Second)
		w.as.set(func() { delete(w.as.tokens, token) })
		w.wantStatus(token, 401)
		w.as.set(func() { w.as.down = true })
		w.wantStatus(token, 403) // and no ticket can be had
		w.now = start.Add(20 * time.Second)
		w.wantStatus(token, 503)
	})
}

func TestOA_13_FailOpen(t *testing.T) {
	core, lines := observer.New(zapcore.WarnLevel)
	w := newAsking(t, func(c *rs.Config) { c.FailOpen, c.Log = true, zap.New(core) })
	token := w.opaque("x", set("exp", start.Add(time.Minute).Unix()))
	w.wantStatus(token, 200)
	w.as.set(func() { w.as.down = true })
	w.now = start.Add(29 * time.Second)
	w.wantStatus(token, 200)
	if n := lines.FilterMessageSnippet("fail_open").Len(); n != 0 {
		t.Errorf("%d lines before it was needed", n)
	}
	for _, at := range []time.Duration{30 * time.Second, 31 * time.Second, time.Minute - 1} {
		w.now = start.Add(at)
		w.wantStatus(token, 200)
	}
	if n := lines.FilterMessageSnippet("fail_open").Len(); n != 2 {
		t.Errorf("%d lines, want 2: one in 10 seconds", n)
	}
	w.wantStatus("rpt_y", 503) // unknown tokens do not pass
	w.now = start.Add(time.Minute)
	w.wantStatus(token, 503)
	for _, l := range lines.All() {
		if strings.Contains(fmt.Sprint(l.Message, l.ContextMap()), token) {
			t.Errorf("the token stands in the log: %v", l)
		}
	}
}

// A server that does not answer is asked again after a pause, and one that fails for
// one token is asked about others at once.
func TestOA_13_Pause(t *testing.T) {
	for name, want := range map[string]int{"503": 1, "500": 3} {
		w := newAsking(t)
		w.as.set(func() { failures[name](w) })
		for range 3 {
			w.wantStatus("rpt_x", 503)
		}
		w.wantQuestions("rpt_x", want)
		w.now = w.now.Add(time.Second)
		w.wantStatus("rpt_x", 503)
		w.wantQuestions("rpt_x", want+1)
	}
}
