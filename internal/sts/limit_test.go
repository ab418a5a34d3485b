package sts_test

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// limited is a bench where each client may ask n times, from the address in ip.
func limited(t *testing.T, n int, ip *string) *bench {
	t.Helper()
	return newBench(t, func(b *bench) {
		b.cfg.Sources = limit.New(n, time.Minute, 100, b.cfg.Now)
		b.cfg.ClientIP = func(*http.Request) string { return *ip }
	})
}

func TestSEC_18_LimitBeforeTheSubjectToken(t *testing.T) {
	const here, there = "192.0.2.1", "192.0.2.2"
	garbage := func(pairs ...string) url.Values { return good(append(pairs, "subject_token", "garbage")...) }
	t.Run("SEC-18 public clients by address", func(t *testing.T) {
		ip := here
		b := limited(t, 2, &ip)
		for range 2 {
			b.wantError(t, b.post(garbage()), http.StatusBadRequest, oauth.CodeInvalidRequest)
		}
		w := b.post(good())
		b.wantError(t, w, http.StatusTooManyRequests, oauth.CodeSlowDown)
		if w.Header().Get("Retry-After") == "" || b.asked != 2 || len(b.events) != 3 {
			t.Errorf("headers %v, asked %d times, events %+v", w.Header(), b.asked, b.events)
		}
		if ev := b.events[2]; ev.Outcome != event.Refused || ev.TicketChallenge != challenge || ev.ClientID != "caddy-uma" {
			t.Errorf("event = %+v", ev)
		}
		ip = there
		b.mustIssue(t, good())
		ip = here
		b.mustIssue(t, good("client_id", "narrow", "subject_token", b.token("narrow"), "resource", apiURI+"/photos")) // another client
		b.now = b.now.Add(time.Minute)
		b.mustIssue(t, good())
	})
	t.Run("SEC-18 clients that authenticate, wherever they are", func(t *testing.T) {
		ip := here
		b := limited(t, 2, &ip)
		form := webForm("subject_token", b.token("web"))
		b.mustIssue(t, form)
		ip = there
		b.mustIssue(t, form)
		b.wantError(t, b.post(form), http.StatusTooManyRequests, oauth.CodeSlowDown)
		b.mustIssue(t, good()) // somebody else
	})
	t.Run("SEC-18 strangers cannot use up a client's limit", func(t *testing.T) {
		ip := here
		b := limited(t, 2, &ip)
		wrong := webForm("client_secret", "wrong")
		for range 2 {
			b.wantError(t, b.post(wrong), http.StatusUnauthorized, oauth.CodeInvalidClient)
		}
		b.wantError(t, b.post(wrong), http.StatusTooManyRequests, oauth.CodeSlowDown)
		b.wantError(t, b.post(good("client_id", "nobody")), http.StatusTooManyRequests, oauth.CodeSlowDown)
		b.mustIssue(t, webForm("subject_token", b.token("web")))
		b.mustIssue(t, good())
		ip = there
		b.wantError(t, b.post(wrong), http.StatusUnauthorized, oauth.CodeInvalidClient)
	})
	t.Run("SEC-18 malformed forms, too", func(t *testing.T) {
		ip := here
		b := limited(t, 1, &ip)
		repeated := good()
		repeated["client_id"] = []string{"a", "b"}
		b.wantError(t, b.post(repeated), http.StatusBadRequest, oauth.CodeInvalidRequest)
		b.wantError(t, b.post(repeated), http.StatusTooManyRequests, oauth.CodeSlowDown)
		b.mustIssue(t, good())
		if len(b.events) != 3 {
			t.Errorf("%d events", len(b.events))
		}
	})
	t.Run("SEC-18 an IPv6 network is one source", func(t *testing.T) {
		ip := "2001:db8::1"
		b := limited(t, 1, &ip)
		b.mustIssue(t, good())
		ip = "2001:db8::2"
		b.wantError(t, b.post(good()), http.StatusTooManyRequests, oauth.CodeSlowDown)
		ip = "2001:db8:0:1::1"
		b.mustIssue(t, good())
	})
	t.Run("SEC-18 proofs, too, come behind the limit", func(t *testing.T) {
		ip := here
		b := limited(t, 1, &ip)
		b.mustIssue(t, good())
		proof := b.proof(bobKey, nil)
		b.wantError(t, b.post(good(), "DPoP", proof), http.StatusTooManyRequests, oauth.CodeSlowDown)
		b.now = b.now.Add(time.Minute)
		b.mustIssue(t, good(), "DPoP", proof) // it is not used up
	})
}

// Of many at once no more get through than may.
func TestSEC_18_LimitsHoldUnderRace(t *testing.T) {
	const n, all = 5, 60
	b := newBench(t, func(b *bench) {
		b.cfg.Exchanges = limit.New(n, time.Minute, 100, b.cfg.Now)
		b.cfg.Observe = nil
		b.cfg.Resolve = (&bench{users: map[string]oauth.Subject{bobToken: b.bob("caddy-uma")}}).lookup
	})
	proof := b.proof(bobKey, nil)
	var granted, proven, other atomic.Int64
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			var header []string
			if i%2 == 0 {
				header = []string{"DPoP", proof}
			}
			switch w := b.post(good(), header...); {
			case w.Code == http.StatusOK && header != nil:
				proven.Add(1)
			case w.Code == http.StatusOK:
				granted.Add(1)
			case w.Code != http.StatusTooManyRequests && w.Code != http.StatusBadRequest:
				other.Add(1)
			}
		})
	}
	group.Wait()
	if got := fmt.Sprint(granted.Load()+proven.Load(), other.Load()); got != "5 0" || proven.Load() > 1 {
		t.Errorf("granted, other = %s, with one proof %d", got, proven.Load())
	}
}
