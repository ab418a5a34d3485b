package sts_test

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// withGroups gives bob groups of n characters in all.
func (b *bench) withGroups(n int) {
	s := b.bob("caddy-uma")
	s.Claims["groups"] = []string{strings.Repeat("g", n)}
	b.users[bobToken] = s
}

func TestCA_22_ClaimsThatNoServerWouldTake(t *testing.T) {
	const most = 48 << 10
	b := newBench(t, nil)
	small, large := 30<<10, 40<<10 // characters of groups: the one fits, the other does not
	for large-small > 1 {
		n := (small + large) / 2
		b.withGroups(n)
		if b.post(good()).Code == http.StatusOK {
			small = n
		} else {
			large = n
		}
	}
	b.withGroups(small)
	token := decode(t, b.post(good())).AccessToken
	if len(token) > most || len(token) < most-4 {
		t.Errorf("the largest token has %d bytes, want about %d", len(token), most)
	}
	// It can be presented: the form of the authorization server has 64 KiB.
	if form := good("claim_token", token).Encode(); len(form) > oauth.MaxForm {
		t.Errorf("a form with it has %d bytes", len(form))
	}
	for _, n := range []int{large, 1 << 20} {
		b.withGroups(n)
		w := b.post(good())
		b.wantError(t, w, http.StatusBadRequest, oauth.CodeInvalidRequest)
		ev := b.events[len(b.events)-1]
		if !strings.Contains(w.Body.String(), "48 KiB") || ev.Outcome != event.Denied || !strings.Contains(ev.Reason, "larger than 48 KiB") {
			t.Errorf("answer %s, event %+v", w.Body, ev)
		}
		if got := b.mustIssue(t, good("required_claims", `[{"name":"name"}]`)); got["name"] != "Bob" {
			t.Errorf("claims = %v", got)
		}
	}
}

// explosive is what no JSON decoder makes.
func explosive() map[string]any {
	loop := map[string]any{}
	loop["loop"] = loop
	deep := any("end")
	for range 40 {
		deep = []any{deep}
	}
	return map[string]any{
		"channel": make(chan int), "function": func() {}, "nan": math.NaN(), "infinity": math.Inf(1),
		"complex": 1i, "odd map": map[any]any{1: 2}, "loop": loop, "deep": deep,
		"number": json.Number("12secret"), "raw": json.RawMessage(`{"secret":`), "object": struct{ F func() }{},
	}
}

func TestSEC_22_ClaimsThatAreNoJSON(t *testing.T) {
	for name, value := range explosive() {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			s := b.bob("caddy-uma")
			s.Claims["groups"] = value
			b.users[bobToken] = s
			w := b.post(good())
			b.wantError(t, w, http.StatusInternalServerError, oauth.CodeServerError)
			ev := b.events[0]
			if ev.Outcome != event.Failed || strings.Contains(ev.Reason, "secret") || !strings.Contains(ev.Reason, "cannot be written as JSON") {
				t.Errorf("event = %+v", ev)
			}
			b.mustIssue(t, good("required_claims", `[{"name":"name"}]`)) // it is looked at only where it is said
		})
	}
	t.Run("deep, but not too deep", func(t *testing.T) {
		b := newBench(t, nil)
		s := b.bob("caddy-uma")
		deep := any("end")
		for range 20 {
			deep = []any{deep}
		}
		s.Claims["groups"] = deep
		b.users[bobToken] = s
		b.mustIssue(t, good())
	})
	t.Run("text that is no UTF-8", func(t *testing.T) {
		b := newBench(t, nil)
		s := b.bob("caddy-uma")
		s.Claims["name"] = "B\xffb\x00"
		b.users[bobToken] = s
		if got := b.mustIssue(t, good())["name"]; got != "B\ufffdb\x00" {
			t.Errorf("name = %q", got)
		}
	})
}
