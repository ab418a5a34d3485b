package rs_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func TestUG_11_NoTicketNoChallenge(t *testing.T) {
	for name, breakIt := range map[string]func(*fakeAS){
		"down":              func(a *fakeAS) { a.down = true },
		"no metadata":       func(a *fakeAS) { a.path = "/elsewhere" },
		"permission fails":  func(a *fakeAS) { a.failWith = 500 },
		"permission denied": func(a *fakeAS) { a.failWith = 403 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			breakIt(w.as)
			for _, token := range []string{"", "garbage"} {
				_, f := w.check("GET", token)
				if f.Status != 403 || f.Header.Get("WWW-Authenticate") != "" {
					t.Fatalf("refusal = %+v, want 403 without a challenge", f)
				}
				if got := f.Header.Get("Warning"); got != `199 - "UMA Authorization Server Unreachable"` {
					t.Errorf("Warning = %q", got)
				}
			}
		})
	}
	t.Run("UG-11 recovers", func(t *testing.T) {
		w := newWorld(t)
		w.as.set(func() { w.as.down = true })
		if got := w.status("GET", ""); got != 403 {
			t.Fatalf("status = %d, want 403", got)
		}
		w.as.set(func() { w.as.down = false })
		w.now = w.now.Add(time.Second)
		if got := w.status("GET", ""); got != 401 {
			t.Errorf("status = %d, want 401", got)
		}
	})
}

func TestUG_65_RefusalTellsNothingOfTheOwner(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Owner = "alice"
		c.Resources = []rs.Resource{{Name: "secret diary", Type: "urn:diary", Description: "of alice"}}
	})
	for _, accept := range []string{"", "text/html"} {
		_, f := w.check("GET", "")
		rec := httptest.NewRecorder()
		r := w.request("GET", "")
		r.Header.Set("Accept", accept)
		f.Write(rec, r)
		all := rec.Body.String()
		for name, values := range rec.Header() {
			all += name + strings.Join(values, " ")
		}
		for _, word := range []string{"diary", "alice", "get", "id-1", "api\""} {
			if strings.Contains(all, word) {
				t.Errorf("the refusal contains %q: %s", word, all)
			}
		}
		if strings.Contains(rec.Body.String(), "ticket-") {
			t.Errorf("the body contains the ticket: %s", rec.Body)
		}
	}
}

func TestRefusal_Forms(t *testing.T) {
	for _, c := range []struct{ accept, want string }{
		{"", "application/problem+json"},
		{"*/*", "application/problem+json"},
		{"text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"},
		{"application/json, text/html;q=0.9", "application/problem+json"},
		{"application/json;q=0.1, text/html;q=0.9", "text/html; charset=utf-8"},
		{"text/html;q=0", "application/problem+json"},
		{"text/html;q=x", "application/problem+json"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", c.accept)
		rec := httptest.NewRecorder()
		rs.Forbidden().Write(rec, r)
		if got := rec.Header().Get("Content-Type"); got != c.want {
			t.Errorf("Accept %q: Content-Type = %q, want %q", c.accept, got, c.want)
		}
		if rec.Code != 403 || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("answer = %d %v", rec.Code, rec.Header())
		}
	}
	rec := httptest.NewRecorder()
	rs.Forbidden().Write(rec, httptest.NewRequest("GET", "/", nil))
	var problem map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem["status"] != 403.0 {
		t.Errorf("problem = %v, %v", problem, err)
	}
}

func TestSEC_18_TicketsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.cfg.Limiter = limit.New(2, time.Minute, 10, w.cfg.Now)
	w.restart()
	for i, want := range []int{401, 401, 429, 429} {
		_, f := w.check("GET", "")
		if f.Status != want {
			t.Fatalf("request %d = %d, want %d", i, f.Status, want)
		}
		if want == 429 && (f.Header.Get("Retry-After") == "" || f.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("header = %v, want Retry-After and no challenge", f.Header)
		}
	}
	if w.as.tickets != 2 {
		t.Errorf("tickets = %d, want 2", w.as.tickets)
	}
	if _, f := w.rs.Check(w.request("GET", ""), rs.Target{Index: 0, Source: "198.51.100.1"}); f.Status != 401 {
		t.Errorf("another source = %d, want 401", f.Status)
	}
	if got := w.status("GET", w.rpt()); got != 200 {
		t.Errorf("with an RPT = %d, want 200", got)
	}
	w.now = w.now.Add(time.Minute)
	if got := w.status("GET", ""); got != 401 {
		t.Errorf("a minute later = %d, want 401", got)
	}
}

func TestSEC_18_PreflightMintsNothing(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.Scopes = []rs.Scope{{Name: "use", Methods: []string{"*"}}} })
	r := w.request("OPTIONS", "")
	r.Header.Set("Origin", "https://app.example")
	r.Header.Set("Access-Control-Request-Method", "GET")
	if _, f := w.rs.Check(r, rs.Target{Index: 0, Source: "s"}); f == nil || f.Status != 403 {
		t.Errorf("preflight = %+v, want 403", f)
	}
	if w.as.tickets != 0 {
		t.Errorf("tickets = %d, want 0", w.as.tickets)
	}
	if got := w.status("OPTIONS", ""); got != 401 {
		t.Errorf("plain OPTIONS = %d, want 401", got)
	}
}
