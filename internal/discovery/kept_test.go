package discovery_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func address(t testing.TB, s string) oauth.Address {
	t.Helper()
	a, err := oauth.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// grant looks an address up, fetches a key and says that it led to a grant.
func (w *world) grant(who string) {
	w.t.Helper()
	found, err := w.find(who)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := found.Keys.Key(w.t.Context(), w.op.KID(), "ES256"); err != nil {
		w.t.Fatal(err)
	}
	w.finder.Confirm(address(w.t, who), found)
}

func TestSEC_09_WhatLedToAGrantIsNotPushedOut(t *testing.T) {
	const size = 16
	for _, confirmed := range []bool{true, false} {
		op, domains := hosts(t, 4*size)
		w := newPatient(t, op, discovery.Config{Size: size}, domains...)
		if confirmed {
			w.grant(bob)
		} else {
			w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
		}
		for _, d := range domains { // they come again and again, and ask for keys
			for range 3 {
				found, err := w.find("x@" + d)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = found.Keys.Key(t.Context(), "x", "ES256")
			}
		}
		op.Forget()
		found, err := w.find(bob)
		if err != nil {
			t.Fatal(err)
		}
		_, err = found.Keys.Key(t.Context(), op.KID(), "ES256")
		if n := op.Hits(""); err != nil || confirmed != (n == 0) {
			t.Errorf("confirmed %v: %d requests, %v", confirmed, n, err)
		}
	}
}

// When every budget of strangers is used up, those we know are refreshed all the
// same.
func TestSEC_09_WhatLedToAGrantHasItsOwnBudget(t *testing.T) {
	op, domains := hosts(t, 5)
	w := newPatient(t, op, discovery.Config{NewPerSource: 2, NewInAll: 6}, domains...)
	w.grant(bob)
	w.wantTries(bob, 0, at(domains[:3])...) // his source is used up
	for i := range 10 {
		_ = w.finder.Admit(strconv.Itoa(i), "d"+strconv.Itoa(i)+".test")
	}
	w.wantErr("x@"+domains[4], discovery.ErrTemporary)
	for range 3 {
		w.pass(15*time.Minute - 1)
		for i := range 10 {
			_ = w.finder.Admit(strconv.Itoa(i), "d"+strconv.Itoa(i)+".test")
			_ = w.finder.Admit(bob, "bob.example")
		}
		w.pass(1)
		op.Forget()
		if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil {
			t.Fatalf("refresh: %v", err)
		}
		w.wantHits("", 3)
	}
}

// What a stranger's domain names of those we know is no part of what we know.
func TestSEC_09_ConfirmIsForOneAddress(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newPatient(t, op, discovery.Config{NewPerSource: 2})
	w.grant(bob)
	for i := range 20 { // what one source has where somebody had a grant
		w.wantTries(bob, 1, "x"+strconv.Itoa(i)+"@bob.example")
	}
	w.wantTries(bob, 0, "alice@bob.example", "eve@bob.example")
	w.finder.Confirm(address(t, "alice@bob.example"), discovery.Found{}) // nothing found is nothing
	w.wantTries(bob, 0, "alice@bob.example")
}

// flood remembers so many others once, and as many twice: both queues of the
// open part hold nothing else then.
func (w *world) flood(n int) {
	for i := range 3 * n {
		d := "d" + strconv.Itoa(min(i, n+i/2)) + ".example"
		w.finder.Fill("x@"+d, d, "https://"+d, "https://"+d+"/jwks", w.clock())
	}
}

// What is known of Bob refutes forged tokens also in a flood of others.
func TestSEC_09_KnownIssuerIsNotPushedOut(t *testing.T) {
	for _, confirmed := range []bool{true, false} {
		op := fakeop.New(t, fakeop.Config{})
		w := newPatient(t, op, discovery.Config{Size: 16})
		if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil {
			t.Fatal(err)
		}
		if confirmed {
			w.grant(bob)
		}
		w.flood(1000)
		token, err := jose.Parse(op.Forge(map[string]any{"sub": "1"}, discovery.DefaultTyp), 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := w.finder.Try(t.Context(), address(t, "x@bob.example"), token); got != confirmed {
			t.Errorf("confirmed %v: forged = %v", confirmed, got)
		}
	}
}

func TestSEC_09_KnownIssuerFirst(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	evil := fakeop.New(t, fakeop.Config{Domain: "evil.example"})
	connect := op.ConnectTo()
	connect["evil.example:443"] = evil.Addr
	w := newWorldAt(t, op, connect)
	body := map[string]any{"sub": "1"}
	refutes := func(who, compact string) bool {
		t.Helper()
		token, err := jose.Parse(compact, 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		forged, _ := w.finder.Try(t.Context(), address(t, who), token)
		return forged
	}
	good, forged := op.Sign(body, discovery.DefaultTyp), op.Forge(body, discovery.DefaultTyp)
	if refutes(bob, forged) {
		t.Error("refuted by keys that nobody has fetched")
	}
	if err := verify(t, w, good); err != nil {
		t.Fatal(err)
	}
	found, err := w.find("eve@evil.example")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = found.Keys.Key(t.Context(), evil.KID(), "ES256")
	w.pass(2 * time.Minute) // an unknown kid would be a reason to fetch
	op.Forget()
	evil.Forget()
	unknownKID := fakeop.New(t, fakeop.Config{})
	unknownKID.Rotate("other", true)
	for name, tc := range map[string]struct {
		who, token string
		want       bool
	}{
		"forged":                         {bob, forged, true},
		"forged for another address":     {"nobody@bob.example", forged, true},
		"signed by another's key":        {bob, evil.Sign(map[string]any{"iss": bobsIssuer}, discovery.DefaultTyp), true},
		"good":                           {bob, good, false},
		"unknown kid":                    {bob, unknownKID.Sign(body, discovery.DefaultTyp), false},
		"of another domain":              {"bob@other.example", forged, false},
		"iss is known for another":       {bob, evil.Forge(body, discovery.DefaultTyp), false},
		"iss is unknown":                 {bob, op.Forge(map[string]any{"iss": "https://new.example"}, discovery.DefaultTyp), false},
		"no iss":                         {bob, op.Forge(map[string]any{"iss": nil}, discovery.DefaultTyp), false},
		"iss is no string":               {bob, op.Forge(map[string]any{"iss": 7}, discovery.DefaultTyp), false},
		"domain and iss cannot be mixed": {"x@bob.example", op.Forge(map[string]any{"iss": bobsIssuer + " "}, discovery.DefaultTyp), false},
	} {
		if got := refutes(tc.who, tc.token); got != tc.want {
			t.Errorf("SEC-09 %s: forged = %v, want %v", name, got, tc.want)
		}
	}
	w.pass(15 * time.Minute) // the kid may belong to another key now
	if refutes(bob, forged) {
		t.Error("refuted by keys that are too old")
	}
	if n := op.Hits("") + evil.Hits(""); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// ledger has domains, or fails.
type ledger struct {
	domains map[string]bool
	err     error
	asked   int
}

func (l *ledger) WasDelegated(_ context.Context, domain string) (bool, error) {
	l.asked++
	return l.domains[domain], l.err
}

func TestA13_LedgerBeforeAFallback(t *testing.T) {
	for name, tc := range map[string]struct {
		ledger   ledger
		answer   int // of WebFinger; 0 is the good one
		rule     discovery.Domain
		err      error
		evidence string
		asked    int
	}{
		"never seen":      {ledger: ledger{}, answer: 404, evidence: discovery.ByDocument, asked: 1},
		"another domain":  {ledger: ledger{domains: map[string]bool{"example": true}}, answer: 404, evidence: discovery.ByDocument, asked: 1},
		"seen once":       {ledger: ledger{domains: map[string]bool{"bob.example": true}}, answer: 404, err: discovery.ErrNoIssuer, asked: 1},
		"cannot be read":  {ledger: ledger{err: errors.New("down")}, answer: 404, err: discovery.ErrTemporary, asked: 1},
		"still delegates": {ledger: ledger{err: errors.New("down")}, evidence: discovery.ByWebFinger},
		"temporary":       {ledger: ledger{}, answer: 503, err: discovery.ErrTemporary},
		"pinned": {
			ledger: ledger{err: errors.New("down")}, answer: 404, evidence: discovery.ByPin,
			rule: discovery.Domain{Pattern: "bob.example", BaseURL: bobsIssuer, NoWebFinger: true},
		},
	} {
		t.Run("A13 "+name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			if tc.answer != 0 {
				op.Misbehave(fakeop.WebFinger, fakeop.Status(tc.answer))
			}
			cfg := discovery.Config{Ledger: &tc.ledger}
			if tc.rule.Pattern != "" {
				cfg.Domains = []discovery.Domain{tc.rule}
			}
			w := newPatient(t, op, cfg)
			for range 3 {
				if tc.err != nil {
					w.wantErr(bob, tc.err)
					w.wantHits(fakeop.Configuration, 0)
				} else {
					w.wantFound(bob, bobsIssuer, tc.evidence)
				}
			}
			if tc.ledger.asked != tc.asked {
				t.Errorf("the ledger was asked %d times, want %d", tc.ledger.asked, tc.asked)
			}
		})
	}
	t.Run("A13 the ledger comes back", func(t *testing.T) {
		op := fakeop.New(t, fakeop.Config{})
		op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
		l := &ledger{err: errors.New("down")}
		w := newPatient(t, op, discovery.Config{Ledger: l})
		w.wantErr(bob, discovery.ErrTemporary)
		l.err = nil
		w.pass(5 * time.Second)
		w.wantFound(bob, bobsIssuer, discovery.ByDocument)
	})
}

// The mark of a domain whose people we know outlives any number of others.
func TestA13_DelegationOfTheKnownIsNotPushedOut(t *testing.T) {
	for _, confirmed := range []bool{true, false} {
		op, _ := hosts(t, 0)
		w := newPatient(t, op, discovery.Config{Size: 16})
		w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
		if confirmed {
			w.grant(bob)
		}
		w.flood(1000)
		op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
		if _, err := w.find("nobody@bob.example"); confirmed != errors.Is(err, discovery.ErrNoIssuer) {
			t.Errorf("confirmed %v: %v", confirmed, err)
		}
	}
}
