package uma_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

const blockedReason = "blocked by the administrator"

// domainPolicy lets everybody of some domains in.
func domainPolicy(b *bench) {
	b.cfg.Policies = []uma.Policy{{Name: "all", From: from("bob.example", "*.bob.example", "evil.example")}}
	b.op.Link(func(string) (string, bool) { return oldIssuer, true })
}

// block blocks somebody and gives how many grants ended.
func (b *bench) block(who string, more ...string) int {
	b.t.Helper()
	res := b.change("block", `{"who":"`+who+`"`+strings.Join(append([]string{""}, more...), ",")+`}`)
	ended, ok := res.body["ended"].(float64)
	if res.status != http.StatusOK || !ok {
		b.t.Fatalf("block %s: %d %s", who, res.status, res.text)
	}
	return int(ended)
}

// blocks are who is blocked, in order.
func (b *bench) blocks() []string {
	b.t.Helper()
	res := b.show("blocks")
	list, ok := res.body["blocks"].([]any)
	if res.status != http.StatusOK || !ok {
		b.t.Fatalf("blocks: %d %s", res.status, res.text)
	}
	all := []string{}
	for _, entry := range list {
		m, _ := entry.(map[string]any)
		all = append(all, fmt.Sprint(m["kind"], " ", m["who"]))
	}
	slices.Sort(all)
	return all
}

// blockedNow holds what an answer to somebody who is blocked must be.
func blockedNow(t *testing.T, b *bench, res reply) {
	t.Helper()
	if res.status != http.StatusForbidden || res.code() != "request_denied" || strings.Contains(res.text, "block") {
		t.Errorf("%d %s", res.status, res.text)
	}
	if d := b.lastDecision(); d.Outcome != event.Denied || d.Reason != blockedReason || d.DecisionID != res.get("decision_id") {
		t.Errorf("%+v", d)
	}
}

// Who is blocked gets nothing, and everybody else what he got before.
func TestBlock_Who(t *testing.T) {
	for _, tc := range []struct {
		who, email string
		blocked    bool
	}{
		{"bob@bob.example", "bob@bob.example", true},
		{"Bob@BOB.example", "bob@bob.example", true}, // most providers take both for one person
		{"bob@bob.example", "BOB@bob.example", true},
		{"bob@bob.example", "bobb@bob.example", false},
		{"bob@bob.example", "bob@other.bob.example", false},
		{"bob.example", "bob@bob.example", true},
		{"BOB.example", "bob@bob.example", true},
		{"bob.example", "bob@other.bob.example", false},
		{"bob.example", "bob@evil.example", false},
		{"*.bob.example", "bob@other.bob.example", true},
		{"*.bob.example", "bob@bob.example", false},
		{"*.other.bob.example", "bob@other.bob.example", false},
		{"https://bob.example", "bob@bob.example", true},
		{"https://bob.example/", "bob@bob.example", false}, // an issuer has one spelling
		{"https://other.bob.example", "bob@bob.example", false},
	} {
		t.Run(tc.who+" "+tc.email, func(t *testing.T) {
			b := newBench(t, domainPolicy)
			ask := func() reply { return b.ask(b.fresh(), map[string]any{"email": tc.email, "sub": tc.email}) }
			before := ask()
			if before.status != http.StatusOK {
				t.Fatalf("before: %d %s", before.status, before.text)
			}
			want := 0
			if tc.blocked {
				want = 1
			}
			if ended := b.block(tc.who); ended != want {
				t.Errorf("%d grants ended, want %d", ended, want)
			}
			if b.active(before.get("access_token")) == tc.blocked {
				t.Errorf("the RPT of before: active is %v", !tc.blocked)
			}
			if res := ask(); tc.blocked {
				blockedNow(t, b, res)
			} else if res.status != http.StatusOK {
				t.Errorf("%d %s", res.status, res.text)
			}
			if res := b.change("unblock", `{"who":"`+tc.who+`"}`); res.status != http.StatusOK {
				t.Fatalf("%d %s", res.status, res.text)
			}
			if res := ask(); res.status != http.StatusOK {
				t.Errorf("after unblock: %d %s", res.status, res.text)
			}
			if b.active(before.get("access_token")) == tc.blocked {
				t.Error("what has ended does not come back")
			}
		})
	}
}

// What cannot be meant is refused; what is not known to anybody is fine.
func TestBlock_Words(t *testing.T) {
	b := newBench(t)
	for name, body := range map[string]string{
		"nothing": `{}`, "a name": `{"who":"bob"}`, "a number": `{"who":7}`, "an array": `["bob.example"]`,
		"two @": `{"who":"bob@x@bob.example"}`, "another script": `{"who":"bücher.example"}`, "an address of it": `{"who":"bob@bücher.example"}`,
		"http": `{"who":"http://bob.example"}`, "a query": `{"who":"https://bob.example?x"}`, "upper case": `{"who":"https://BOB.example"}`,
		"a port": `{"who":"bob.example:443"}`, "an IP address": `{"who":"127.0.0.1"}`, "everybody": `{"who":"*.example"}`,
		"a star within": `{"who":"bob@*.example"}`, "a zero byte": `{"who":"bob\u0000@bob.example"}`,
		"a negative time": `{"who":"bob.example","for":-1}`, "a long time": `{"who":"bob.example","for":315360001}`,
		"half a second": `{"who":"bob.example","for":0.5}`, "a long reason": `{"who":"bob.example","reason":"` + strings.Repeat("x", 501) + `"}`,
		"twice": `{"who":"bob.example","who":"carol.example"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.change("block", body); res.status != http.StatusBadRequest || res.code() != "invalid_request" {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	if got := b.blocks(); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	for _, who := range []string{"Carol@Carol.example", "XN--BCHER-KVA.example", "*.carol.example", "https://id.carol.example/x"} {
		if ended := b.block(who); ended != 0 {
			t.Errorf("%s: %d grants ended", who, ended)
		}
	}
	want := []string{"address carol@carol.example", "domain *.carol.example", "domain xn--bcher-kva.example", "issuer https://id.carol.example/x"}
	if diff := cmp.Diff(want, b.blocks()); diff != "" {
		t.Error(diff)
	}
	if res := b.ask(b.fresh()); res.status != http.StatusOK {
		t.Errorf("bob is not one of them: %s", res.text)
	}
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
	}{
		"unblock who is not blocked": {"POST", "/change/unblock", `{"who":"dave@dave.example"}`, 404},
		"unblock nothing":            {"POST", "/change/unblock", `{}`, 400},
		"unblock by another word":    {"POST", "/change/unblock", `{"who":"carol.example"}`, 404},
		"block by looking":           {"POST", "/show/block", `{"who":"bob.example"}`, 404},
		"change with GET":            {"GET", "/change/block", "", 405},
		"limit 0":                    {"GET", "/show/blocks?limit=0", "", 400},
		"a parameter misspelt":       {"GET", "/show/blocks?limt=1", "", 400},
		"a member misspelt":          {"POST", "/change/block", `{"who":"dave.example","fro":60}`, 400},
		"unblock, a member more":     {"POST", "/change/unblock", `{"who":"*.carol.example","issuer":"x"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.admin(tc.method, tc.path, tc.body); res.status != tc.status {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	if res := b.change("unblock", `{"who":"CAROL@carol.example"}`); res.status != 200 || res.get("who") != "carol@carol.example" {
		t.Errorf("%d %s", res.status, res.text)
	}
	if diff := cmp.Diff(want[1:], b.blocks()); diff != "" {
		t.Error(diff)
	}
}

// Pages of the list, and what stands in it.
func TestBlock_List(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.block(fmt.Sprintf("p%d@carol.example", i), `"for":3600`, `"reason":"left"`)
	}
	seen := map[string]bool{}
	path := "blocks?limit=2"
	for pages := 0; path != ""; pages++ {
		res := b.show(path)
		var page struct {
			Blocks []struct {
				Kind, Who, Reason string
				Since, Until      time.Time
			}
			Next string
		}
		if err := json.Unmarshal([]byte(res.text), &page); err != nil || pages > 3 || len(page.Blocks) > 2 {
			t.Fatalf("page %d: %v %s", pages, err, res.text)
		}
		for _, x := range page.Blocks {
			seen[x.Who] = true
			if x.Kind != "address" || x.Reason != "left" || !x.Since.Equal(b.clock()) || !x.Until.Equal(b.clock().Add(time.Hour)) {
				t.Errorf("%+v", x)
			}
		}
		if path = ""; page.Next != "" {
			path = "blocks?limit=2&after=" + page.Next
		}
	}
	if len(seen) != 5 {
		t.Errorf("%v", seen)
	}
}

// A block ends by the clock; the last one of the same counts.
func TestBlock_Time(t *testing.T) {
	b := newBench(t)
	b.block("bob@bob.example")
	b.block("bob@bob.example", `"for":3600`)
	b.pass(time.Hour - time.Second)
	blockedNow(t, b, b.ask(b.fresh()))
	b.pass(time.Second)
	if res := b.ask(b.fresh()); res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.text)
	}
	if got := b.blocks(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	b.block("bob@bob.example", `"for":60`)
	b.block("bob@bob.example")
	b.pass(365 * 24 * time.Hour)
	blockedNow(t, b, b.ask(b.fresh()))
}

// Everything that somebody may still hold ends: RPT, refresh token, PCT, and what
// upgrades and refreshes made.
func TestBlock_EndsWhatIsLive(t *testing.T) {
	for kind, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "opaque": opaque} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t, domainPolicy, refreshing, persisting, edit)
			first := b.webGrant(b.fresh())
			renewed := b.renew(first.get("refresh_token"))
			upgraded := b.webGrant(b.fresh(), map[string]string{"rpt": b.webGrant(b.fresh()).get("access_token")})
			other := b.ask(b.fresh(), map[string]any{"email": "carol@bob.example", "sub": "carol"})
			b.mu.Lock()
			b.events = nil
			b.mu.Unlock()
			if ended := b.block("bob@bob.example"); ended != 2 {
				t.Errorf("%d grants ended, want 2", ended)
			}
			if diff := cmp.Diff([]string{blockedReason, blockedReason}, b.revocations()); diff != "" {
				t.Error(diff)
			}
			for name, rpt := range map[string]string{"first": first.get("access_token"), "renewed": renewed.get("access_token"), "upgraded": upgraded.get("access_token")} {
				if b.active(rpt) {
					t.Errorf("the %s RPT is active", name)
				}
			}
			if !b.active(other.get("access_token")) {
				t.Error("somebody else's RPT has ended")
			}
			if res := b.change("unblock", `{"who":"bob@bob.example"}`); res.status != 200 {
				t.Fatal(res.text)
			}
			if res := b.renew(renewed.get("refresh_token")); res.code() != "invalid_grant" {
				t.Errorf("refresh: %s", res.text)
			}
			if res := b.withPCT(b.fresh(), first.get("pct")); res.code() != "need_info" {
				t.Errorf("PCT: %s", res.text)
			}
			if ended := b.block("bob@bob.example"); ended != 0 {
				t.Errorf("ended again: %d", ended)
			}
		})
	}
}

// What the walk cannot reach ends when it is used: the grant of a PCT is gone long
// before the PCT is, and a walk may break off.
func TestBlock_Later(t *testing.T) {
	t.Run("a PCT whose grant has expired", func(t *testing.T) {
		b := newBench(t, persisting)
		pct := b.webGrant(b.fresh()).get("pct")
		b.pass(30 * time.Minute)
		if ended := b.block("bob@bob.example"); ended != 0 {
			t.Fatalf("%d grants", ended)
		}
		blockedNow(t, b, b.withPCT(b.fresh(), pct))
		b.change("unblock", `{"who":"bob@bob.example"}`)
		if res := b.withPCT(b.fresh(), pct); res.code() != "need_info" {
			t.Errorf("the PCT lives: %s", res.text)
		}
	})
	t.Run("the walk broke off", func(t *testing.T) {
		b := newBench(t, refreshing, persisting)
		one, two, three := b.webGrant(b.fresh()), b.webGrant(b.fresh()), b.webGrant(b.fresh())
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") })
		res := b.change("block", `{"who":"bob@bob.example"}`)
		if res.status != 503 || !strings.Contains(res.get("error_description"), "the block stands") {
			t.Fatalf("%d %s", res.status, res.text)
		}
		if res := b.introspect(one.get("access_token")); res.status != 503 {
			t.Errorf("SEC-13: its end cannot be recorded: %d %s", res.status, res.text)
		}
		b.faulty.Repair()
		if b.active(one.get("access_token")) {
			t.Error("active")
		}
		if res := b.renew(two.get("refresh_token")); res.code() != "invalid_grant" {
			t.Errorf("%s", res.text)
		}
		if ended := b.block("bob@bob.example"); ended != 1 { // given again, it ends the rest
			t.Errorf("%d grants ended, want 1", ended)
		}
		if b.active(three.get("access_token")) {
			t.Error("active")
		}
	})
	t.Run("a need_info round keeps nobody's place", func(t *testing.T) {
		b := newBench(t, func(b *bench) {
			b.cfg.Policies = []uma.Policy{{Name: "bob", From: from("bob@bob.example"), RequiredClaims: []string{"badge"}}}
		})
		ticket := b.fresh()
		round := b.pushWeb(ticket, b.sign(b.claims(ticket, nil)))
		if round.code() != "need_info" {
			t.Fatal(round.text)
		}
		b.block("bob@bob.example")
		blockedNow(t, b, b.asWeb(map[string]string{"ticket": round.get("ticket")}))
	})
}

// A grant whose party cannot be found out any more may be anybody's.
func TestBlock_Unreadable(t *testing.T) {
	b := newBench(t)
	rpt := b.ask(b.fresh()).get("access_token")
	b.deleteDecisions()
	if !b.active(rpt) {
		t.Fatal("nobody is blocked, and it is not active")
	}
	if ended := b.block("carol@carol.example"); ended != 1 || b.active(rpt) {
		t.Errorf("%d grants ended", ended)
	}
}

func (b *bench) deleteDecisions() {
	b.t.Helper()
	docs, err := b.faulty.List(b.t.Context(), store.Tenant("as", issuer), "decided", "", "", 100)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, doc := range docs {
		if err := b.faulty.Commit(b.t.Context(), store.Delete(doc.Key, doc.Rev)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// SEC-13: if it cannot be read who is blocked, nothing leaves.
func TestSEC_13_BlocksUnreadable(t *testing.T) {
	b := newBench(t, refreshing)
	held := b.webGrant(b.fresh())
	one, two := b.fresh(), b.fresh()
	b.block("carol@carol.example")
	for _, method := range []string{"List", "Get"} {
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == method && c.Key.Kind == "block" })
		for name, res := range map[string]reply{
			"ticket": b.ask(map[string]string{"List": one, "Get": two}[method]), "introspection": b.introspect(held.get("access_token")),
			"refresh": b.renew(held.get("refresh_token")), "admin": b.change("block", `{"who":"dave@dave.example"}`),
		} {
			if res.status != 503 && (name != "admin" || method == "Get") {
				t.Errorf("%s, %s: %d %s", method, name, res.status, res.text)
			}
		}
		b.faulty.Repair()
	}
	if !b.active(held.get("access_token")) {
		t.Error("a fault of the store ended a grant")
	}
}

// TestBlock_BetweenTwoLooks: the block is written after the party was found welcome
// and before, or just after, its grant is recorded.
func TestBlock_BetweenTwoLooks(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			b := newBench(t, refreshing, persisting)
			ticket, old := b.fresh(), b.webGrant(b.fresh())
			form := map[string]string{
				"ticket": ticket, "claim_token": b.sign(b.claims(ticket, nil)), "claim_token_format": "urn:ietf:params:oauth:token-type:jwt",
				"rpt": old.get("access_token"),
			}
			done := false
			hook := func(c storetest.Call) {
				if !done && c.Writes(store.ActionCreate, "grant") {
					done = true
					b.block("bob@bob.example")
				}
			}
			b.faulty.Before(func(_ context.Context, c storetest.Call) error {
				if when == "before" {
					hook(c)
				}
				return nil
			})
			b.faulty.After(func(_ context.Context, c storetest.Call, err error) error {
				if when == "after" {
					hook(c)
				}
				return err
			})
			res := b.asWeb(form)
			b.faulty.Repair()
			if !done {
				t.Fatal("no grant was recorded")
			}
			blockedNow(t, b, res)
			if res.body["access_token"] != nil || b.liveGrants() != 0 {
				t.Errorf("%d grants live: %s", b.liveGrants(), res.text)
			}
		})
	}
}

// liveGrants counts the grants that have something left.
func (b *bench) liveGrants() int {
	b.t.Helper()
	docs, err := b.faulty.List(b.t.Context(), store.Tenant("as", issuer), "grant", "", "", 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	live := 0
	for _, doc := range docs {
		var rec struct {
			RPTs    []any
			Revoked string
		}
		if err := json.Unmarshal(doc.Body, &rec); err != nil {
			b.t.Fatal(err)
		}
		if rec.Revoked == "" || len(rec.RPTs) > 0 {
			live++
		}
	}
	return live
}

// TestBlock_Race: many ask, renew and upgrade at two nodes while one of them
// blocks. Whatever comes out, nothing of it lives afterwards.
func TestBlock_Race(t *testing.T) {
	const askers = 24
	b := newBench(t, refreshing)
	node := b.reload()
	pat := b.pat("api")
	id := b.register(pat, "RS API", "", "get")
	tickets := make([]string, askers)
	for i := range tickets {
		tickets[i] = b.ticket(pat, id, "get")
	}
	held := b.webGrant(b.fresh())
	start, some := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	rpts := []string{held.get("access_token")}
	for i, ticket := range tickets {
		at := []*bench{b, node}[i%2]
		token := b.sign(b.claims(ticket, nil))
		wg.Go(func() {
			<-start
			form := map[string]string{"ticket": ticket, "claim_token": token, "claim_token_format": "urn:ietf:params:oauth:token-type:jwt"}
			if i%3 == 0 {
				form["rpt"] = held.get("access_token")
			}
			res := at.asWeb(form)
			if res.status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				if rpts = append(rpts, res.get("access_token")); len(rpts) == askers/4 {
					close(some) // the others are on their way
				}
			} else if res.code() != "request_denied" && res.status != 503 {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	wg.Go(func() {
		<-start
		node.renew(held.get("refresh_token"))
	})
	wg.Go(func() {
		<-some
		b.block("bob@bob.example")
	})
	close(start)
	wg.Wait()
	if n := b.liveGrants(); n != 0 {
		t.Errorf("%d grants live", n)
	}
	for _, rpt := range rpts {
		if b.active(rpt) {
			t.Error("an RPT is active")
		}
	}
	t.Logf("%d RPTs came out", len(rpts)-1)
}

// SEC-28: another issuer's blocks are its own.
func TestSEC_28_Blocks(t *testing.T) {
	b := newBench(t)
	carol := b.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
	carol.block("bob@bob.example")
	if got := b.blocks(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	rpt := b.ask(b.fresh())
	if rpt.status != http.StatusOK {
		t.Errorf("%d %s", rpt.status, rpt.text)
	}
	if carol.block("bob@bob.example"); !b.active(rpt.get("access_token")) {
		t.Error("a grant of another issuer has ended")
	}
	if res := b.change("unblock", `{"who":"bob@bob.example"}`); res.status != 404 {
		t.Errorf("%d %s", res.status, res.text)
	}
	if got := carol.blocks(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// A block outlives a reload, and what is listed can be read when the keys that seal
// what is kept of people have gone: it may stand for good.
func TestBlock_Reload(t *testing.T) {
	b := newBench(t)
	b.block("bob@bob.example")
	b.pass(400 * 24 * time.Hour)
	next := b.reload(func(c *uma.Config) { c.PolicyRevision = "2" })
	if got := next.blocks(); !slices.Equal(got, []string{"address bob@bob.example"}) {
		t.Errorf("%v", got)
	}
	blockedNow(t, next, next.ask(next.fresh()))
}

// A dump of the store does not tell who is blocked, or why.
func TestBlock_NamesNobody(t *testing.T) {
	b := newBench(t)
	b.block("mallory@bob.example", `"reason":"a lost laptop"`)
	b.block("https://id.carol.example")
	dump, err := os.ReadFile(b.path)
	if err != nil || !bytes.Contains(dump, []byte(`"kind":"address"`)) {
		t.Fatalf("%d bytes, %v", len(dump), err)
	}
	for _, text := range []string{"mallory", "bob.example", "laptop", "carol"} {
		if bytes.Contains(dump, []byte(text)) {
			t.Errorf("%q is in the store", text)
		}
	}
}

// What happened is told once, and names a person in Person alone.
func TestSEC_22_BlockEvents(t *testing.T) {
	b := newBench(t)
	b.ask(b.fresh())
	b.block("bob@bob.example", `"for":60`, `"reason":"why"`)
	b.block("bob.example")
	b.block("https://bob.example")
	b.change("unblock", `{"who":"bob@bob.example"}`)
	b.change("unblock", `{"who":"bob@bob.example"}`)
	var got []event.Block
	b.mu.Lock()
	for _, e := range b.events {
		if x, ok := e.(event.Block); ok {
			got = append(got, x)
		}
	}
	b.mu.Unlock()
	want := []event.Block{
		{Issuer: issuer, Kind: "address", Person: event.Person{Email: "bob@bob.example"}, Reason: "why", Until: b.clock().UTC().Add(time.Minute), Ended: 1},
		{Issuer: issuer, Kind: "domain", Domain: "bob.example"},
		{Issuer: issuer, Kind: "issuer", Person: event.Person{Issuer: "https://bob.example"}},
		{Issuer: issuer, Kind: "address", Person: event.Person{Email: "bob@bob.example"}, Lifted: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An explanation says that policies do not count for who is blocked.
func TestExplainBlocked(t *testing.T) {
	b := newBench(t)
	id := b.ask(b.fresh()).get("decision_id")
	const question = `{"claims":{"iss":"https://bob.example","sub":"bob-1","email":"bob@bob.example"},"resource_server":"api","resource":"RS API","scopes":["get"]}`
	if res := b.admin("POST", "/show/explain", question); res.get("outcome") != "granted" || strings.Contains(res.text, "blocked") {
		t.Errorf("before: %s", res.text)
	}
	b.block("https://bob.example")
	if res := b.admin("POST", "/show/explain", question); res.get("outcome") != "denied" || res.get("reason") != blockedReason {
		t.Errorf("dry run: %s", res.text)
	}
	if res := b.show("decisions/" + id); res.get("outcome") != "granted" || !strings.Contains(res.text, "is blocked now") {
		t.Errorf("decision: %s", res.text)
	}
}

// Two administrators may mean the same at the same time.
func TestBlock_SameAtOnce(t *testing.T) {
	b := newBench(t)
	b.ask(b.fresh())
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			res := b.change("block", fmt.Sprintf(`{"who":"bob@bob.example","for":%d}`, 60+i))
			if res.status != http.StatusOK {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	wg.Wait()
	if got := b.blocks(); !slices.Equal(got, []string{"address bob@bob.example"}) || b.liveGrants() != 0 {
		t.Errorf("%v, %d grants live", got, b.liveGrants())
	}
	for range 6 {
		wg.Go(func() {
			if res := b.change("unblock", `{"who":"bob@bob.example"}`); res.status != http.StatusOK && res.status != http.StatusNotFound {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	wg.Wait()
	if got := b.blocks(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
