package discovery_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
)

// When every budget of strangers is used up, somebody new at a domain where Bob had
// a grant is looked up all the same; nobody is at a domain without one.
func TestSEC_09_NewAtAKnownDomain(t *testing.T) {
	for _, confirmed := range []bool{true, false} {
		op, domains := hosts(t, 2)
		w := newPatient(t, op, discovery.Config{NewPerSource: 2, NewInAll: 6}, domains...)
		if err := verify(t, w, op.Sign(map[string]any{"sub": "1"}, discovery.DefaultTyp)); err != nil {
			t.Fatal(err)
		}
		if confirmed {
			w.grant(bob)
		}
		for i := range 10 {
			_ = w.finder.Admit(strconv.Itoa(i), "d"+strconv.Itoa(i)+".test")
		}
		if _, err := w.findBy("192.0.2.7", "alice@bob.example"); confirmed != (err == nil) {
			t.Errorf("confirmed %v: alice: %v", confirmed, err)
		}
		if _, err := w.findBy("192.0.2.7", "x@"+domains[1]); !errors.Is(err, discovery.ErrTemporary) {
			t.Errorf("a stranger: %v", err)
		}
	}
}

// What is invented at a known domain is bounded as well: by source, and by domain. One
// source alone does not keep out who is new there.
func TestSEC_09_InventedAtAKnownDomain(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newPatient(t, op, discovery.Config{NewPerSource: 2, NewInAll: 30})
	w.grant(bob)
	invent := func(source string, n int) (found int) {
		for i := range n {
			if _, err := w.findBy(source, "x"+source+strconv.Itoa(i)+"@bob.example"); err == nil {
				found++
			}
		}
		return found
	}
	if found := invent("192.0.2.7", 22); found != 6 {
		t.Errorf("one source had %d look-ups at one domain, want 6", found)
	}
	if _, err := w.findBy("192.0.2.8", "alice@bob.example"); err != nil {
		t.Errorf("somebody new, from elsewhere: %v", err)
	}
	found := 7
	for i := range 10 {
		found += invent("192.0.2."+strconv.Itoa(100+i), 5)
	}
	if found != 30 {
		t.Errorf("one domain had %d look-ups, want 30", found)
	}
	w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
}

// More people than issuers are remembered.
func TestSEC_09_PeopleOfOneIssuer(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newPatient(t, op, discovery.Config{Size: 16, NewPerSource: 1000})
	for i := range 100 {
		w.grant("x" + strconv.Itoa(i) + "@bob.example")
	}
	op.Forget()
	for i := range 100 {
		w.wantFound("x"+strconv.Itoa(i)+"@bob.example", bobsIssuer, discovery.ByWebFinger)
	}
	w.wantHits("", 0)
}
