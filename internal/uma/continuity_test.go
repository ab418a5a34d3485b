package uma_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

const (
	oldIssuer = "https://bob.example"
	newIssuer = "https://other.bob.example"
)

// visit is one request of somebody for access, and what came of it.
type visit struct {
	email, sub string
	issuer     string // which issuer WebFinger names and signs; "" = bob.example's own
	code       string // "" = granted
	kind       event.ContinuityKind
	outcome    event.Outcome
}

// come asks for access as the visit says, at a time of its own: what discovery
// remembers has lapsed.
func (b *bench) come(v visit) reply {
	b.t.Helper()
	b.pass(time.Hour)
	issuer := v.issuer
	if issuer == "" {
		issuer = oldIssuer
	}
	b.op.Link(func(string) (string, bool) { return issuer, true })
	b.op.Misbehave("other.bob.example"+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
		"issuer": newIssuer, "jwks_uri": newIssuer + fakeop.JWKS, "authorization_endpoint": newIssuer + "/a", "token_endpoint": newIssuer + "/t",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
	}))
	ticket := b.fresh()
	return b.present(ticket, b.sign(b.claims(ticket, map[string]any{"iss": issuer, "email": v.email, "sub": v.sub})))
}

// doubts are the events of continuity so far.
func (b *bench) doubts() []event.Continuity {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []event.Continuity
	for _, e := range b.events {
		if c, ok := e.(event.Continuity); ok {
			all = append(all, c)
		}
	}
	return all
}

// visits lets people come one after the other and compares what comes of it.
func (b *bench) visits(all ...visit) {
	b.t.Helper()
	for i, v := range all {
		before := len(b.doubts())
		res := b.come(v)
		if res.code() != v.code || (res.status == 200) != (v.code == "") {
			b.t.Errorf("visit %d (%s): %d %s, want %q", i, v.sub, res.status, res.text, v.code)
		}
		news := b.doubts()[before:]
		if v.kind == "" {
			if len(news) > 0 {
				b.t.Errorf("visit %d (%s): %+v", i, v.sub, news)
			}
			continue
		}
		if len(news) != 1 || news[0].Kind != v.kind || news[0].Outcome != v.outcome || news[0].Domain != "bob.example" ||
			news[0].Person.Email != v.email || news[0].Person.Subject != v.sub || news[0].DecisionID == "" {
			b.t.Errorf("visit %d (%s): %+v, want one event of kind %s, %s", i, v.sub, news, v.kind, v.outcome)
		}
	}
}

func named(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "bob", From: from("bob@bob.example")}} }

func domainWide(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "people", From: from("bob.example")}} }

func carolAndAll(b *bench) {
	b.cfg.Policies = []uma.Policy{{Name: "carol", From: from(carol)}, {Name: "people", From: from("bob.example")}}
}

func mode(c uma.Continuity) func(*bench) { return func(b *bench) { b.cfg.Continuity = c } }

const (
	bob   = "bob@bob.example"
	carol = "carol@bob.example"
	dave  = "dave@bob.example"
)

// SEC-27: what each setting makes of a known address and a known domain.
func TestSEC_27_Continuity(t *testing.T) {
	first := visit{email: bob, sub: "bob-1"}
	for _, tc := range []struct {
		name   string
		edits  []func(*bench)
		visits []visit
	}{
		{"the same person again", []func(*bench){named}, []visit{first, first}},
		{"second Bob with another sub, policy names the address", []func(*bench){named}, []visit{
			first,
			{email: bob, sub: "bob-2", code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
			first,
		}},
		{"second Bob with another sub, policy names the domain", []func(*bench){domainWide}, []visit{
			first,
			{email: bob, sub: "bob-2", kind: event.KnownAddress, outcome: event.Warned},
			{email: bob, sub: "bob-2", kind: event.KnownAddress, outcome: event.Warned}, // does not become known by coming again
			first,
		}},
		{"deny for all", []func(*bench){domainWide, mode(uma.ContinuityDeny)}, []visit{
			first, {email: bob, sub: "bob-2", code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
		}},
		{"warn for all", []func(*bench){named, mode(uma.ContinuityWarn)}, []visit{
			first, {email: bob, sub: "bob-2", kind: event.KnownAddress, outcome: event.Warned}, first,
		}},
		{"off", []func(*bench){named, mode(uma.ContinuityOff)}, []visit{
			first, {email: bob, sub: "bob-2"}, {email: bob, sub: "bob-1", issuer: newIssuer},
		}},
		{"a known address with another issuer and the same sub", []func(*bench){named}, []visit{
			first, {email: bob, sub: "bob-1", issuer: newIssuer, code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
		}},
		{"a known domain with another issuer, policy names the domain", []func(*bench){domainWide}, []visit{
			first,
			{email: carol, sub: "carol-1", issuer: newIssuer, kind: event.KnownDomain, outcome: event.Warned},
			{email: carol, sub: "carol-1", issuer: newIssuer, kind: event.KnownDomain, outcome: event.Warned},
			first,
			{email: carol, sub: "carol-1"}, // who comes from the known issuer is no surprise
		}},
		{"a known domain with another issuer, policy names the address", []func(*bench){carolAndAll}, []visit{
			first,
			{email: carol, sub: "carol-1", issuer: newIssuer, code: "request_denied", kind: event.KnownDomain, outcome: event.Denied},
			{email: dave, sub: "dave-1", issuer: newIssuer, kind: event.KnownDomain, outcome: event.Warned},
		}},
		{"an address of its own case is another address", []func(*bench){domainWide}, []visit{first, {email: "Bob@bob.example", sub: "bob-2"}}},
	} {
		t.Run("SEC-27 "+tc.name, func(t *testing.T) { newBench(t, tc.edits...).visits(tc.visits...) })
	}
}

// SEC-27: what an attacker was let in with under a warning does not become what
// a stricter policy later takes for known.
func TestSEC_27_WarningMakesNothingKnown(t *testing.T) {
	b := newBench(t, domainWide)
	b.visits(
		visit{email: bob, sub: "bob-1"},
		visit{email: bob, sub: "evil", issuer: newIssuer, kind: event.KnownAddress, outcome: event.Warned},
		visit{email: carol, sub: "evil", issuer: newIssuer, kind: event.KnownDomain, outcome: event.Warned},
	)
	strict := b.repin(func(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "named", From: from(bob, carol)}} })
	strict.visits(
		visit{email: bob, sub: "evil", issuer: newIssuer, code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
		visit{email: carol, sub: "evil", issuer: newIssuer, code: "request_denied", kind: event.KnownDomain, outcome: event.Denied},
		visit{email: bob, sub: "bob-1"},
		visit{email: carol, sub: "carol-1"},
	)
}

// SEC-27: a pinned issuer is the administrator's word; its subjects are not.
func TestSEC_27_Pinned(t *testing.T) {
	pin := func(issuer string) func(*bench) {
		return func(b *bench) {
			b.domain = []discovery.Domain{{Pattern: "bob.example", BaseURL: issuer, NoWebFinger: true}}
		}
	}
	b := newBench(t, func(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "two", From: from(bob, carol)}} }, pin(oldIssuer))
	b.visits(
		visit{email: bob, sub: "bob-1"},
		visit{email: bob, sub: "bob-2", code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
	)
	moved := b.repin(pin(newIssuer))
	moved.visits(
		visit{email: carol, sub: "carol-1", issuer: newIssuer},
		visit{email: bob, sub: "bob-9", issuer: newIssuer},
		visit{email: bob, sub: "bob-8", issuer: newIssuer, code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
	)
	if got := moved.domainView("bob.example"); got.known() != newIssuer || got.issuer(newIssuer)["evidence"] != "pinned" {
		t.Errorf("%v", got)
	}
	free := moved.repin(func(b *bench) { b.domain = nil })
	free.visits(visit{email: bob, sub: "bob-9", code: "request_denied", kind: event.KnownAddress, outcome: event.Denied})
}

// repin is a reload with another look-up of providers.
func (b *bench) repin(edit func(*bench)) *bench {
	b.t.Helper()
	edit(b)
	return b.reload(func(c *uma.Config) {
		finder, err := discovery.New(discovery.Config{Client: c.Outbound, Domains: b.domain, Now: c.Now, Observe: event.None, Ledger: uma.LedgerOf(c.Store, c.Issuer)})
		if err != nil {
			b.t.Fatal(err)
		}
		c.Finder = finder
	})
}

// SEC-27: accept makes an issuer known, for new addresses at once and for each
// known one when it comes.
func TestSEC_27_Accept(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "named", From: from(bob, carol, dave)}}
	})
	refused := func(email, sub, issuer string, kind event.ContinuityKind) visit {
		return visit{email: email, sub: sub, issuer: issuer, code: "request_denied", kind: kind, outcome: event.Denied}
	}
	b.visits(
		visit{email: bob, sub: "bob-1"}, visit{email: carol, sub: "carol-1"},
		refused(bob, "bob-9", newIssuer, event.KnownAddress),
	)
	if doubt, _ := b.domainView("bob.example")["doubt"].(map[string]any); doubt["issuer"] != newIssuer || doubt["kind"] != "address" || doubt["outcome"] != "denied" {
		t.Errorf("%v", doubt)
	}
	if res := b.change("domains/accept", `{"domain":"bob.example"}`); res.status != 200 || view(res.body).known() != newIssuer || res.body["doubt"] != nil {
		t.Fatalf("accept: %d %s", res.status, res.text)
	}
	b.visits(
		visit{email: carol, sub: "carol-1"},                     // as she was, until she has moved
		visit{email: bob, sub: "bob-9", issuer: newIssuer},      // moves
		refused(bob, "bob-8", newIssuer, event.KnownAddress),    // once
		refused(bob, "bob-1", "", event.KnownAddress),           // and not back
		visit{email: carol, sub: "carol-9", issuer: newIssuer},  // moves, too
		refused(dave, "dave-1", oldIssuer, event.KnownDomain),   // a new address from the issuer before
		visit{email: dave, sub: "dave-9", issuer: newIssuer},    // and from the known one
		refused(dave, "dave-10", newIssuer, event.KnownAddress), // whose subjects change now
	)
	t.Run("SEC-27 the same issuer with new subjects", func(t *testing.T) {
		if res := b.change("domains/accept", `{"domain":"bob.example","issuer":"`+newIssuer+`"}`); res.status != 200 {
			t.Fatalf("accept: %d %s", res.status, res.text)
		}
		b.visits(visit{email: dave, sub: "dave-10", issuer: newIssuer}, visit{email: bob, sub: "bob-9", issuer: newIssuer})
	})
	for name, tc := range map[string]struct {
		path, body string
		status     int
	}{
		"no doubt and no issuer": {"domains/accept", `{"domain":"bob.example"}`, 400},
		"issuer of http":         {"domains/accept", `{"domain":"bob.example","issuer":"http://bob.example"}`, 400},
		"unknown domain":         {"domains/accept", `{"domain":"carol.example","issuer":"https://carol.example"}`, 404},
		"no domain":              {"domains/accept", `{}`, 400},
		"not JSON":               {"domains/accept", `x`, 400},
		"repeated member":        {"domains/accept", `{"domain":"carol.example","domain":"bob.example"}`, 400},
		"forget an unknown one":  {"domains/forget", `{"domain":"carol.example"}`, 404},
		"no such change":         {"domains/remove", `{"domain":"bob.example"}`, 404},
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.change(tc.path, tc.body); res.status != tc.status {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
}

// SEC-27: after forget, whoever comes next is known.
func TestSEC_27_Forget(t *testing.T) {
	b := newBench(t, named)
	b.visits(visit{email: bob, sub: "bob-1"})
	if res := b.change("domains/forget", `{"domain":"BOB.example"}`); res.status != 200 || res.body["addresses"] != 1.0 {
		t.Fatalf("forget: %d %s", res.status, res.text)
	}
	if res := b.show("domains/bob.example"); res.status != 404 {
		t.Errorf("%d %s", res.status, res.text)
	}
	if was, err := uma.LedgerOf(b.faulty, issuer).WasDelegated(t.Context(), "bob.example"); was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	b.visits(
		visit{email: bob, sub: "bob-2", issuer: newIssuer},
		visit{email: bob, sub: "bob-1", code: "request_denied", kind: event.KnownAddress, outcome: event.Denied},
	)
}

// SEC-27: only who is let in is taken down, and nobody is named in the store.
func TestSEC_27_WhatIsStored(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "two", From: from(bob, carol)}} })
	if res := b.come(visit{email: "eve@bob.example", sub: "eve-1"}); res.code() != "request_denied" {
		t.Fatalf("%d %s", res.status, res.text)
	}
	if res := b.show("domains"); res.text != `{"domains":[]}` {
		t.Errorf("a stranger is in the ledger: %s", res.text)
	}
	if was, err := uma.LedgerOf(b.faulty, issuer).WasDelegated(t.Context(), "bob.example"); was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	b.visits(visit{email: bob, sub: "bob-1"}, visit{email: carol, sub: carol})
	for _, kind := range []string{"address", "domain"} {
		docs, err := b.faulty.List(t.Context(), store.Tenant("as", issuer), kind, "", "", 10)
		if err != nil || len(docs) == 0 {
			t.Fatalf("%s: %d, %v", kind, len(docs), err)
		}
		for _, doc := range docs {
			if text := fmt.Sprintf("%+v %s", doc.Key, doc.Body); strings.Contains(text, "carol") || strings.Contains(text, "bob-1") {
				t.Errorf("somebody is named: %s", text)
			}
		}
	}
	if err := b.faulty.Close(); err != nil {
		t.Fatal(err)
	}
	dump, err := os.ReadFile(b.path)
	if err != nil || !bytes.Contains(dump, []byte("bob.example")) {
		t.Fatalf("%v: %d bytes", err, len(dump))
	}
	for _, name := range []string{"bob@bob.example", "bob@", "eve@"} {
		if bytes.Contains(dump, []byte(name)) {
			t.Errorf("%q is in the store", name)
		}
	}
}

// SEC-27, A13: a domain whose people came by a delegation is known to delegate,
// also after a restart; one that never did is not.
func TestSEC_27_Delegation(t *testing.T) {
	b := newBench(t, named)
	ledger := uma.LedgerOf(b.faulty, issuer)
	b.op.Misbehave(fakeop.WebFinger, http.NotFound)
	b.visits(visit{email: bob, sub: "bob-1"})
	if was, err := ledger.WasDelegated(t.Context(), "bob.example"); was || err != nil {
		t.Fatalf("found by its document: %v, %v", was, err)
	}
	b.op.Misbehave(fakeop.WebFinger, nil)
	b.visits(visit{email: bob, sub: "bob-1"})
	b.op.Misbehave(fakeop.WebFinger, http.NotFound)
	b.op.Forget()
	restarted := b.repin(func(*bench) {})
	restarted.visits(visit{email: bob, sub: "bob-1", code: "need_info"})
	if n := b.op.Hits(fakeop.Configuration); n != 0 || b.op.Hits(fakeop.WebFinger) == 0 {
		t.Errorf("the domain's own document was asked for %d times after a restart", n)
	}
	for name, tc := range map[string]struct {
		ledger uma.Ledger
		domain string
		want   bool
	}{
		"it delegated":     {ledger, "bob.example", true},
		"another domain":   {ledger, "other.bob.example", false},
		"of another owner": {uma.LedgerOf(b.faulty, "https://as.carol.example"), "bob.example", false},
	} {
		if was, err := tc.ledger.WasDelegated(t.Context(), tc.domain); was != tc.want || err != nil {
			t.Errorf("SEC-27 %s: %v, %v", name, was, err)
		}
	}
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "Get" })
	if _, err := ledger.WasDelegated(t.Context(), "bob.example"); err == nil {
		t.Error("a store that cannot be read knows of no delegation")
	}
}

// SEC-27: of two Bobs who come first at the same time one is known.
func TestSEC_27_FirstAtTheSameTime(t *testing.T) {
	b := newBench(t, func(b *bench) { named(b); b.cfg.Policies[0].From = from(bob, carol, dave) })
	ticket := b.fresh() // fills the caches of discovery
	b.present(ticket, b.sign(b.claims(ticket, map[string]any{"email": dave, "sub": "dave-1"})))
	b.change("domains/forget", `{"domain":"bob.example"}`)

	var tokens []string
	for i := range 8 {
		ticket := b.fresh()
		edit := map[string]any{"email": bob, "sub": fmt.Sprintf("bob-%d", i%2)}
		if i >= 6 {
			edit = map[string]any{"email": []string{carol, dave}[i-6], "sub": "x"}
		}
		tokens = append(tokens, ticket, b.sign(b.claims(ticket, edit)))
	}
	// All have read the ledger before the first writes.
	var ready sync.WaitGroup
	ready.Add(8)
	var once sync.Map
	b.faulty.Before(func(ctx context.Context, c storetest.Call) error {
		if c.Writes(store.ActionCreate, "domain") {
			if _, again := once.LoadOrStore(ctx.Value(racer{}), true); !again {
				ready.Done()
				ready.Wait()
			}
		}
		return nil
	})
	replies := make([]reply, 8)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = b.presentAs(i, tokens[2*i], tokens[2*i+1]) })
	}
	all.Wait()
	b.faulty.Repair()
	let := map[int]int{}
	for i, res := range replies {
		switch {
		case res.status == 200:
			let[i%2+2*(i/6)]++
		case res.code() != "request_denied":
			t.Errorf("%d: %d %s", i, res.status, res.text)
		}
	}
	if let[2] != 1 || let[3] != 1 || let[0]+let[1] != 3 || let[0]*let[1] != 0 {
		t.Errorf("let in: %v, want one of the two Bobs three times, and the others", let)
	}
}

type racer struct{}

// presentAs is present for calls at the same time.
func (b *bench) presentAs(i int, ticket, token string) reply {
	form := map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket,
		"claim_token": token, "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
	return b.token(form, func(r *http.Request) { *r = *r.WithContext(context.WithValue(r.Context(), racer{}, i)) })
}

// SEC-27, SEC-13: what cannot be compared or taken down is not issued.
func TestSEC_27_StoreFaults(t *testing.T) {
	for name, match := range map[string]func(storetest.Call) bool{
		"address cannot be read":      func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "address" },
		"domain cannot be read":       func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "domain" },
		"ledger cannot be written":    func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "address") },
		"ledger conflicts for always": func(c storetest.Call) bool { return false },
	} {
		t.Run("SEC-27 "+name, func(t *testing.T) {
			b := newBench(t, named)
			ticket := b.fresh()
			b.faulty.FailBefore(match)
			if strings.Contains(name, "conflicts") {
				b.faulty.Before(func(_ context.Context, c storetest.Call) error {
					if c.Writes(store.ActionCreate, "domain") {
						return &store.OpError{Err: store.ErrExists}
					}
					return nil
				})
			}
			if res := b.ask(ticket); res.status != 503 || res.get("access_token") != "" {
				t.Fatalf("%d %s", res.status, res.text)
			}
			b.faulty.Repair()
			if res := b.ask(ticket); res.code() != "invalid_grant" {
				t.Errorf("the ticket is not spent: %d %s", res.status, res.text)
			}
			if res := b.ask(b.fresh()); res.status != 200 {
				t.Errorf("after the repair: %d %s", res.status, res.text)
			}
		})
	}
}

// Last-seen times cost one write a day.
func TestLedgerWrites(t *testing.T) {
	b := newBench(t, named)
	writes := 0
	b.faulty.After(func(_ context.Context, c storetest.Call, err error) error {
		for _, kind := range []string{"address", "domain"} {
			if c.Writes(store.ActionCreate, kind) || c.Writes(store.ActionSwap, kind) {
				writes++
			}
		}
		return err
	})
	for _, want := range []int{2, 0, 0} {
		if writes = 0; b.come(visit{email: bob, sub: "bob-1"}).status != 200 || writes != want {
			t.Errorf("%d writes, want %d", writes, want)
		}
	}
	b.pass(24 * time.Hour)
	if writes = 0; b.come(visit{email: bob, sub: "bob-1"}).status != 200 || writes != 2 {
		t.Errorf("%d writes after a day", writes)
	}
	first := b.domainView("bob.example").issuer(oldIssuer)
	if first["first_seen"] == first["last_seen"] {
		t.Errorf("%v", first)
	}
}

// What is kept of one domain is bounded: thumbprints and issuers.
func TestSEC_27_Bounds(t *testing.T) {
	b := newBench(t, domainWide)
	for i := range 10 {
		b.op.Rotate(fmt.Sprintf("k%d", i), true)
		b.visits(visit{email: bob, sub: "bob-1"})
	}
	keys, _ := b.domainView("bob.example").issuer(oldIssuer)["keys"].([]any)
	if len(keys) != 8 {
		t.Errorf("%d keys: %v", len(keys), keys)
	}
	for _, key := range keys {
		if text, _ := key.(string); len(text) != 43 {
			t.Errorf("%q is no thumbprint", key)
		}
	}
	for i := range 10 {
		other := fmt.Sprintf("%s/%d", oldIssuer, i)
		b.op.Misbehave(fmt.Sprintf("/%d", i)+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
			"issuer": other, "jwks_uri": oldIssuer + fakeop.JWKS, "authorization_endpoint": oldIssuer + "/a", "token_endpoint": oldIssuer + "/t",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		}))
		b.visits(visit{email: carol, sub: "carol-1", issuer: other, kind: event.KnownDomain, outcome: event.Warned})
	}
	got := b.domainView("bob.example")
	if list, _ := got["issuers"].([]any); len(list) != 8 || got.known() != oldIssuer || got.issuer(oldIssuer+"/9") == nil || got.issuer(oldIssuer+"/0") != nil {
		t.Errorf("%d issuers: %v", len(list), got)
	}
}

// SEC-28: what one authorization server knows, another does not.
func TestSEC_28_Ledger(t *testing.T) {
	one := newBench(t, named)
	two := one.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
	one.visits(visit{email: bob, sub: "bob-1"})
	if res := two.show("domains"); res.text != `{"domains":[]}` {
		t.Errorf("%s", res.text)
	}
	if res := two.change("domains/forget", `{"domain":"bob.example"}`); res.status != 404 {
		t.Errorf("%d %s", res.status, res.text)
	}
	two.visits(visit{email: bob, sub: "bob-2"})
	one.visits(visit{email: bob, sub: "bob-1"})
	if diff := cmp.Diff(1.0, one.domainView("bob.example")["addresses"]); diff != "" {
		t.Error(diff)
	}
}
