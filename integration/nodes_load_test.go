package integration_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// load does the nine steps again and again, each step at another node, and keeps what
// came of them.
type load struct {
	n      *nodes
	t      *testing.T
	access string
	worlds []*world
	// gone is a node that may fail to answer, since it was killed.
	gone  atomic.Pointer[world]
	phase atomic.Int64 // of the database, see below

	stop context.CancelFunc
	wg   sync.WaitGroup
	done atomic.Int64 // flows that opened the resource
	late atomic.Int64 // refusals because something cannot be recorded
	turn atomic.Int64

	mu     sync.Mutex
	rpts   []string    // that a client received
	unsure []presented // without an answer
}

// Phases of the database, again and again. In between the two that are sure both may
// happen.
const (
	runs = iota
	stops
	isDown
	comesBack
	phases
)

// in tells whether a request was under way in one phase alone.
func (l *load) in(phase, began int64) bool { return began%phases == phase && l.phase.Load() == began }

// presented is what a client has in its hands.
type presented struct{ ticket, claims string }

// load begins with several clients.
func (n *nodes) load(t *testing.T, worlds ...*world) *load {
	t.Helper()
	l := &load{n: n, t: t, access: n.login("bob@bob.localhost", "bob-demo"), worlds: worlds}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	l.stop = stop
	for range 5 {
		l.wg.Go(func() {
			for running.Err() == nil {
				l.flow()
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// end lets the clients finish.
func (l *load) end() {
	l.stop()
	l.wg.Wait()
}

// await waits until so many more flows came to their end.
func (l *load) await(more int64) {
	l.t.Helper()
	want := l.done.Load() + more
	for deadline := time.Now().Add(90 * time.Second); l.done.Load() < want; time.Sleep(20 * time.Millisecond) { // polling real processes
		if time.Now().After(deadline) || l.t.Failed() {
			l.t.Fatalf("%d flows, %d refusals: the load does not go on", l.done.Load(), l.late.Load())
		}
	}
}

// ask sends one request to the next node; not ok means that the client begins again.
func (l *load) ask(target, rpt string, form map[string]string) (a answer, at *world, ok bool) {
	at = l.worlds[int(l.turn.Add(1))%len(l.worlds)]
	for gone := l.gone.Load(); gone == at; at = l.worlds[int(l.turn.Add(1))%len(l.worlds)] {
	}
	began := l.phase.Load()
	a, err := at.attempt(l.t, target, rpt, form)
	switch {
	case err != nil && l.gone.Load() == at:
		return a, at, false
	case err != nil:
		l.t.Errorf("a node that runs does not answer: %v", err)
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "", a.status == http.StatusForbidden && a.header.Get("Warning") != "":
		if l.in(runs, began) {
			l.t.Errorf("%s: %d %s", target, a.status, a.text)
		}
		l.late.Add(1)
		time.Sleep(20 * time.Millisecond) // a client that is told to wait would wait longer
	case a.status >= http.StatusInternalServerError:
		l.t.Errorf("%s: %d %v %s", target, a.status, a.header, a.text)
	case a.status == http.StatusOK && form != nil && l.in(isDown, began):
		l.t.Errorf("%s: issued without a database", target)
	}
	return a, at, err == nil
}

// flow is the way of one client.
func (l *load) flow() {
	refused, _, ok := l.ask(l.n.url("api", "/"), "", nil)
	challenges, err := oauth.ParseChallenges(refused.header.Values("WWW-Authenticate"))
	if !ok || refused.status != http.StatusUnauthorized || err != nil || len(challenges) == 0 {
		return
	}
	has := presented{ticket: challenges[0].Get("ticket")}
	claims, _, ok := l.ask(l.n.url("bob", "/sts/token"), "", map[string]string{
		"grant_type": oauth.GrantTokenExchange, "client_id": "caddy-uma", "resource": l.n.url("api", ""),
		"ticket_challenge": s256(has.ticket), "subject_token": l.access,
		"subject_token_type": oauth.TokenTypeAccessToken, "requested_token_type": oauth.TokenTypeJWT,
	})
	if has.claims = claims.get("access_token"); !ok || has.claims == "" {
		return
	}
	rpt, _, ok := l.ask(l.n.url("as", "/uma/token"), "", has.form())
	l.note(func() {
		switch {
		case !ok, rpt.status == http.StatusServiceUnavailable:
			l.unsure = append(l.unsure, has)
		case rpt.status == http.StatusOK:
			l.rpts = append(l.rpts, rpt.get("access_token"))
		default:
			l.t.Errorf("step 7: %d %s", rpt.status, rpt.text)
		}
	})
	if rpt.status != http.StatusOK {
		return
	}
	if opened, _, ok := l.ask(l.n.url("api", "/"), rpt.get("access_token"), nil); ok && opened.status == http.StatusOK {
		l.done.Add(1)
	}
}

func (l *load) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (p presented) form() map[string]string {
	return map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "caddy-uma", "ticket": p.ticket,
		"claim_token": p.claims, "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
}

// held are tickets of a node with claims tokens, which nobody has presented yet.
func (n *nodes) held(of *world, count int) []presented {
	n.t.Helper()
	access := n.login("bob@bob.localhost", "bob-demo")
	list := make([]presented, count)
	for i := range list {
		list[i].ticket, _ = of.challenged(http.MethodGet, "/")
		list[i].claims = n.b.claimsToken(access, n.url("api", ""), list[i].ticket)
	}
	return list
}

// nodeKilled: kill -9 of a node in the middle of a load.
func (n *nodes) nodeKilled(t *testing.T) {
	held := n.held(n.c.world, 6)
	l := n.load(t, n.worlds()...)
	l.await(10)
	l.gone.Store(n.c.world)
	n.c.kill()
	l.await(15)
	l.end()
	l.settled(t, n.b.world)
	for _, p := range held {
		if a, err := n.attempt(t, n.url("as", "/uma/token"), "", p.form()); err != nil || a.status != http.StatusOK {
			t.Errorf("a ticket of the node that is gone: %v %d %s", err, a.status, a.text)
		}
	}
	expect(t, n.uma, 0, "Published", "keys", "rotate", "--issuer", n.url("as", ""), "--purpose", "rpt") // no lock is left
}

// databaseRestarted: PostgreSQL ends under load and comes back, stopped by its
// administrator and killed. No Caddy is restarted; one is reloaded meanwhile.
func (n *nodes) databaseRestarted(t *testing.T) {
	l := n.load(t, n.b.world, n.c.world)
	for _, stop := range []func(testing.TB){n.db.StopFast, n.db.Kill} {
		l.await(10)
		known, held := n.rptFor(l.access), n.held(n.b.world, 3)
		for _, w := range n.worlds() {
			if !w.passes(known) {
				t.Fatal("refused")
			}
		}
		looked := time.Now() // so old is at most what the nodes know of the RPT, and `revocation`
		l.phase.Add(1)
		stop(t)
		l.phase.Add(1)
		for _, w := range n.worlds() { // it counts for three times `revocation`
			if a := w.get(w.url("api", "/"), bearer(known)); a.status != http.StatusOK && time.Since(looked) < 2*nodeRevocation {
				t.Errorf("a known RPT without a database: %d %s", a.status, a.text)
			}
		}
		refusals := l.late.Load()
		n.cannot(t, l.access, held)
		n.reload()
		n.await()
		n.cannot(t, l.access, held)
		for l.late.Load() < refusals+10 {
			time.Sleep(10 * time.Millisecond)
		}
		l.phase.Add(1)
		n.db.Start(t)
		for _, w := range n.worlds() {
			w.within(t, "a flow", func() bool { return l.whole(w) })
		}
		l.phase.Add(1)                 // from now on nothing fails any more
		for i, w := range n.worlds() { // what was refused with 503 is good, also elsewhere
			if a := w.redeem(held[(i+1)%3].ticket, held[(i+1)%3].claims, nil); a.status != http.StatusOK {
				t.Errorf("a ticket that was refused without a database: %d %s", a.status, a.text)
			}
		}
		l.await(10)
	}
	l.end()
	l.settled(t, n.b.world)
}

// cannot: without the database everything that issues says 503 and when to come again.
func (n *nodes) cannot(t *testing.T, access string, held []presented) {
	t.Helper()
	for i, w := range n.worlds() {
		for name, a := range map[string]answer{
			"PAT":          w.post(w.url("as", "/uma/token"), map[string]string{"grant_type": "client_credentials", "scope": "uma_protection"}, basic("vault", vaultSecret)),
			"RPT":          w.redeem(held[i].ticket, held[i].claims, nil),
			"claims token": w.exchange(access, w.url("api", ""), "x", nil),
		} {
			if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.get("access_token") != "" {
				t.Errorf("%s: %d %v %s", name, a.status, a.header, a.text)
			}
		}
	}
}

// whole tells whether the nine steps succeed at one node.
func (l *load) whole(w *world) bool {
	one := &load{n: l.n, t: l.t, access: l.access, worlds: []*world{w}}
	one.phase.Store(comesBack) // refusals are no mistake
	one.flow()
	return one.done.Load() == 1
}

// settled compares what clients received with what is in the database.
func (l *load) settled(t *testing.T, w *world) {
	t.Helper()
	api := l.n.at(w)
	api.pat = w.pat("as", "api", apiSecret)
	recorded := spentFor(t, l.n.db.DSN())
	for _, rpt := range l.rpts {
		id, _ := payload(t, rpt)["jti"].(string)
		grant, _, _ := strings.Cut(id, ".")
		if recorded[grant] != 1 {
			t.Errorf("an RPT whose ticket was recorded as spent %d times", recorded[grant])
		}
		if !api.active(rpt) {
			t.Error("an RPT that a client received is not active")
		}
	}
	for _, p := range l.unsure {
		a, err := w.attempt(t, w.url("as", "/uma/token"), "", p.form())
		if err != nil || a.status != http.StatusOK && a.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("a ticket without an answer: %v %d %s", err, a.status, a.text)
		}
	}
	t.Logf("%d flows, %d RPTs, %d refusals, %d without an answer", l.done.Load(), len(l.rpts), l.late.Load(), len(l.unsure))
}

// spentFor counts, for each grant, the spent tickets that led to it.
func spentFor(t *testing.T, dsn string) map[string]int {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(context.WithoutCancel(t.Context()), "SELECT body FROM uma.doc WHERE kind = 'spent'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	grants := map[string]int{}
	for rows.Next() {
		var body []byte
		var spent struct {
			Grant string `json:"grant"`
		}
		err := rows.Scan(&body)
		if err == nil {
			err = json.Unmarshal(body, &spent)
		}
		if err != nil {
			t.Fatal(err)
		}
		grants[spent.Grant]++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return grants
}
