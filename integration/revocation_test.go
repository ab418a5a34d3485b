package integration_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/pgtest"
)

// soon makes the resource server look at the status lists every second.
var soon = []string{
	`client_id api
		client_secret {$RS_SECRET:example-only-change-me-0000000000}
		resource "RS API" {`,
	`client_id api
		client_secret {$RS_SECRET:example-only-change-me-0000000000}
		revocation 1s
		resource "RS API" {`,
}

// rptFor does the nine steps but the last.
func (w *world) rptFor(access string) string {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	a := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
	if a.status != http.StatusOK {
		w.t.Fatalf("step 7: %d %s", a.status, a.text)
	}
	return a.get("access_token")
}

// passes uses an RPT.
func (w *world) passes(rpt string) bool {
	w.t.Helper()
	a := w.get(w.url("api", "/"), bearer(rpt))
	if a.status != http.StatusOK && a.status != http.StatusUnauthorized {
		w.t.Fatalf("%d %s", a.status, a.text)
	}
	return a.status == http.StatusOK
}

// ends waits until an RPT is refused, and says that nothing reached the backend from
// then on.
func (w *world) ends(t *testing.T, rpt string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); w.passes(rpt); time.Sleep(50 * time.Millisecond) { // polling a real server
		if time.Now().After(deadline) {
			t.Fatal("it still passes")
		}
	}
	before := w.hits.Load()
	for range 3 {
		if w.passes(rpt) {
			t.Error("it passes again")
		}
	}
	if w.hits.Load() != before {
		t.Error("the backend was reached")
	}
}

func (w *world) revoke(rpt string) {
	w.t.Helper()
	meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil)
	if a := w.post(meta.get("revocation_endpoint"), map[string]string{"token": rpt, "client_id": "caddy-uma"}); a.status != http.StatusOK {
		w.t.Fatalf("%d %s", a.status, a.text)
	}
}

// A resource server that checks JWTs by itself refuses what the authorization server
// took back, and what its policies do not grant any more.
func TestUG_60_TakenBack(t *testing.T) {
	w := example(t, soon...)
	access := w.login("bob@bob.localhost", "bob-demo")
	rpt, other := w.rptFor(access), w.rptFor(access)
	if !w.passes(rpt) || !w.passes(other) {
		t.Fatal("refused")
	}
	w.revoke(rpt)
	w.ends(t, rpt)
	if !w.passes(other) {
		t.Error("the other RPT ended, too")
	}
	t.Run("after a start of the resource server", func(t *testing.T) {
		w.reload()
		w.await()
		if w.passes(rpt) || !w.passes(other) {
			t.Error("it was forgotten, or the other one is refused")
		}
	})
	t.Run("UG-60 a tightened policy", func(t *testing.T) {
		w.edit("from bob@bob.localhost", "from carol@bob.localhost")
		w.ends(t, other)
		w.edit("from carol@bob.localhost", "from bob@bob.localhost")
		if w.passes(other) {
			t.Error("it is back with the policy")
		}
	})
}

// Revoked at one node, refused at the resource server of the other one.
func TestSEC_24_TakenBackInACluster(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("UMA_TEST_DSN", server.DSN())
	const kek = "the-secret-of-this-cluster-0123456789-0123456789"
	a := example(t, soon...)
	cluster(a.config, kek)
	uma := a.administer()
	a.client.CloseIdleConnections()
	a.await()
	b := a.node(kek)
	access := a.login("bob@bob.localhost", "bob-demo")
	rpt, other := a.rptFor(access), b.rptFor(access)
	for _, node := range []*world{a, b} {
		if !node.passes(rpt) || !node.passes(other) {
			t.Fatal("refused")
		}
	}
	a.revoke(rpt)
	b.ends(t, rpt)
	a.ends(t, rpt)
	if !a.passes(other) || !b.passes(other) {
		t.Error("the other RPT ended, too")
	}
	t.Run("SEC-24 a block", func(t *testing.T) {
		expect(t, uma, 0, "ended: 1 grant.", "block", "bob.localhost")
		b.ends(t, other)
		a.ends(t, other)
	})
}
