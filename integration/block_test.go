package integration_test

import (
	"net/http"
	"testing"
)

// askAsBob asks for access as bob, with everything that it takes.
func (w *world) askAsBob() answer {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	return w.redeem(ticket, w.claimsToken(w.login("bob@bob.localhost", "bob-demo"), w.url("api", ""), ticket), nil)
}

// A whole Caddy keeps out whom its administrator blocks, over reloads, until he
// takes it back.
func TestBlockCommand(t *testing.T) {
	w := example(t, soon...)
	uma := w.administer()
	w.await()
	want := func(code int, text string, args ...string) {
		t.Helper()
		expect(t, uma, code, text, args...)
	}
	want(0, "Nobody is blocked.", "blocks")
	rpt := w.rptFor(w.login("bob@bob.localhost", "bob-demo"))
	if !w.passes(rpt) {
		t.Fatal("refused")
	}
	want(0, "ended: 0 grants.", "block", "carol@bob.localhost")
	want(0, "bob@bob.localhost is blocked until 20", "block", "--for", "7d", "--reason", "a lost laptop", "BOB@bob.localhost")
	if a := w.askAsBob(); a.status != http.StatusForbidden || a.get("error") != "request_denied" {
		t.Errorf("%d %s", a.status, a.text)
	}
	w.ends(t, rpt)
	w.reload()
	w.await()
	denied := w.askAsBob()
	if denied.status != http.StatusForbidden {
		t.Errorf("after a reload: %d %s", denied.status, denied.text)
	}
	want(0, "blocked by the administrator", "explain", denied.get("decision_id"))
	want(0, "a lost laptop", "blocks")
	want(1, "this is not blocked", "unblock", "bob.localhost")
	want(0, "bob@bob.localhost is not blocked any more", "unblock", "bob@bob.localhost")
	if w.passes(rpt) {
		t.Error("what has ended is back")
	}
	w.admitBob()
	want(0, "ended: 1 grant.", "block", w.url("bob", ""))
	if a := w.askAsBob(); a.status != http.StatusForbidden {
		t.Errorf("a blocked issuer: %d %s", a.status, a.text)
	}
	want(2, "what is blocked must be", "block", "bob")
	want(1, "no uma_server has this issuer", "block", "--issuer", "https://as.example", "bob.localhost")
}
