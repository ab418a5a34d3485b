package uma_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Clients of all three sources are listed, page by page, and only a registered one can
// be removed.
func TestAdminClients(t *testing.T) {
	b := registering(t, refreshing, func(b *bench) { b.cfg.ClientDocuments = &uma.ClientDocuments{} })
	b.op.Misbehave(docHost+"/client", publish(document(nil)))
	b.knock(docID)
	var own []string
	for range 3 {
		res := b.signUp(members{"client_name": "Bad\u202e\u001b[2J", "token_endpoint_auth_method": "none", "grant_types": umaGrant})
		if res.status != http.StatusCreated {
			t.Fatal(res.text)
		}
		own = append(own, res.get("client_id"))
	}
	all := sorted(append(slices.Clone(own), "app", "other", "web", "gone", docID)...)
	for _, limit := range []string{"1", "2", "3", "4", "100"} {
		if diff := cmp.Diff(all, b.pages("clients?limit="+limit, "clients", "client_id", nil)); diff != "" {
			t.Errorf("limit %s: %s", limit, diff)
		}
	}
	for id, source := range map[string]string{"app": "configured", own[0]: "registered", docID: "document", docOther: "document"} {
		if res := b.show("client?client_id=" + url.QueryEscape(id)); res.get("source") != source || res.get("client_id") != id {
			t.Errorf("%s: %d %s", id, res.status, res.text)
		}
	}
	for id, want := range map[string]string{"nobody": "no such client", "": "no such client", "api": "resource server", "c-" + strings.Repeat("A", 22): "no such client"} {
		if res := b.show("client?client_id=" + id); res.status != 404 || !strings.Contains(res.text, want) {
			t.Errorf("%q: %d %s", id, res.status, res.text)
		}
	}
	for _, after := range []string{"x", "nowhere x", "registered \x00"} {
		if res := b.show("clients?after=" + url.QueryEscape(after)); res.status != 400 {
			t.Errorf("%q: %d %s", after, res.status, res.text)
		}
	}

	rpt := b.ask2(own[0])
	other := b.ask2(own[1])
	if res := b.show("client?client_id=" + own[0]); res.body["grants"] != 1.0 || res.get("registered_at") == "" {
		t.Errorf("%s", res.text)
	}
	for id, want := range map[string]string{"app": "write 'disabled'", docID: "nobody registered this client", "api": "resource server"} {
		if res := b.change("clients/revoke", `{"client_id":"`+id+`"}`); res.status != 409 && res.status != 404 || !strings.Contains(res.text, want) {
			t.Errorf("%s: %d %s", id, res.status, res.text)
		}
	}
	if res := b.change("clients/revoke", `{"client_id":"`+own[0]+`"}`); res.status != 200 || res.body["ended"] != 1.0 {
		t.Fatalf("%d %s", res.status, res.text)
	}
	if b.active(rpt) || !b.listed(rpt) || !b.active(other) {
		t.Error("the wrong grants live")
	}
	if res := b.knock(own[0]); res.code() != "invalid_client" {
		t.Errorf("it is still there: %s", res.text)
	}
	if res := b.change("clients/revoke", `{"client_id":"`+own[0]+`"}`); res.status != 404 {
		t.Errorf("once more: %d %s", res.status, res.text)
	}
	want := []event.Administration{{Action: "client_removed", ID: own[0], ClientID: own[0], Ended: 1}}
	if diff := cmp.Diff(want, b.administrations()); diff != "" {
		t.Error(diff)
	}
}

// A removal that broke off is given again, although the client is gone already.
func TestSEC_13_AdminClients(t *testing.T) {
	b := registering(t)
	id := b.signUp(members{"token_endpoint_auth_method": "none", "grant_types": umaGrant}).get("client_id")
	rpt := b.ask2(id)
	commits := 0
	b.faulty.FailBefore(func(c storetest.Call) bool {
		if c.Method == "Commit" {
			commits++
		}
		return c.Method == "Commit" && commits == 2
	})
	for i, want := range []int{503, 200, 404} {
		if res := b.change("clients/revoke", `{"client_id":"`+id+`"}`); res.status != want {
			t.Fatalf("%d: %d %s", i, res.status, res.text)
		}
	}
	if !b.listed(rpt) {
		t.Error("its RPT is not on the list")
	}
}

// ask2 lets bob in with a client, and gives the RPT.
func (b *bench) ask2(client string) string {
	b.t.Helper()
	ticket := b.fresh()
	res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"client_id": client})
	if res.status != http.StatusOK {
		b.t.Fatal(res.text)
	}
	return res.get("access_token")
}

func TestAdminResourceServers(t *testing.T) {
	b := newBench(t)
	b.ask(b.fresh())
	b.fresh()
	for _, limit := range []string{"1", "100"} {
		if diff := cmp.Diff([]string{"api", "photos"}, b.pages("resource-servers?limit="+limit, "resource_servers", "client_id", nil)); diff != "" {
			t.Error(diff)
		}
	}
	res := b.show("resource-server?client_id=api")
	if res.get("resource_uri") != apiURI || res.get("audience") != apiURI || res.body["resources"] != 2.0 || res.body["grants"] != 1.0 ||
		res.body["pats"] != 2.0 || res.get("last_pat_at") != b.clock().UTC().Format(time.RFC3339) {
		t.Errorf("%s", res.text)
	}
	if res := b.show("resource-server?client_id=photos"); res.get("audience") != "Photos" || res.body["resources"] != 0.0 || res.get("last_pat_at") != "" {
		t.Errorf("%s", res.text)
	}
	for _, id := range []string{"app", "", "ap"} {
		if res := b.show("resource-server?client_id=" + id); res.status != 404 {
			t.Errorf("%q: %d", id, res.status)
		}
	}
}

// A resource is shown with its grants; revoking ends these, and the resource stays.
func TestAdminResource(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	id, other := b.register(pat, "RS API", "urn:t", "get"), b.register(pat, "other", "", "get")
	gone, stays := b.ask(b.ticket(pat, id, "get")), b.ask(b.ticket(pat, other, "get"))
	if res := b.show("resources/" + id); res.get("name") != "RS API" || res.body["grants"] != 1.0 {
		t.Errorf("%s", res.text)
	}
	for _, none := range []string{"x", strings.Repeat("A", 22), strings.Repeat("A", 43)} {
		if res := b.show("resources/" + none); res.status != 404 {
			t.Errorf("%s: %d", none, res.status)
		}
		if res := b.change("resources/revoke", `{"resource_id":"`+none+`"}`); res.status != 404 {
			t.Errorf("%s: %d", none, res.status)
		}
	}
	if res := b.change("resources/revoke", `{"resource_id":"`+id+`"}`); res.body["ended"] != 1.0 {
		t.Errorf("%s", res.text)
	}
	if b.active(gone.get("access_token")) || !b.active(stays.get("access_token")) || b.show("resources/" + id).body["grants"] != 0.0 {
		t.Error("the wrong grants live")
	}
	want := []event.Administration{{Action: "resource_revoked", ID: id, ResourceServer: "api", Ended: 1}}
	if diff := cmp.Diff(want, b.administrations()); diff != "" {
		t.Error(diff)
	}
}

// The grants on instances are those of their pattern, too.
func TestAdminResource_Pattern(t *testing.T) {
	g := newGallery(t)
	one, two := g.ask(g.ticketOf("alice", "1")), g.ask(g.ticketOf("alice", "2"))
	if one.status != 200 || two.status != 200 {
		t.Fatal(one.text, two.text)
	}
	res := g.show("resources/" + g.photo)
	if res.body["instances"] != 2.0 || res.body["max_instances"] != 10000.0 || res.body["grants"] != 2.0 {
		t.Errorf("%s", res.text)
	}
	var instance string
	for id := range g.permissions(one) {
		instance = id
	}
	if res := g.show("resources/" + instance); res.get("pattern") != g.photo || res.get("owner") != "alice" || res.body["grants"] != 1.0 || !strings.Contains(res.text, `"values":{"id":"1","user":"alice"}`) {
		t.Errorf("%s", res.text)
	}
	if res := g.change("resources/revoke", `{"resource_id":"`+instance+`"}`); res.body["ended"] != 1.0 || g.active(one.get("access_token")) || !g.active(two.get("access_token")) {
		t.Errorf("%s", res.text)
	}
	if res := g.change("resources/revoke", `{"resource_id":"`+g.photo+`"}`); res.body["ended"] != 1.0 || g.active(two.get("access_token")) {
		t.Errorf("%s", res.text)
	}
}

// Decisions are listed with the newest first, and behind them those that were
// recorded before their ids told the time.
func TestAdminDecisions(t *testing.T) {
	for name, older := range map[string]int{"of now": 0, "of before": 4, "the first two of before": 2} {
		t.Run(name, func(t *testing.T) { testAdminDecisions(t, older) })
	}
}

// testAdminDecisions makes four decisions, the first of them as they were before.
func testAdminDecisions(t *testing.T, older int) {
	t.Helper()
	b := newBench(t)
	var ids []string // the oldest first
	come := func(email string, status int) {
		t.Helper()
		res := b.ask(b.fresh(), map[string]any{"email": email})
		if res.status != status {
			t.Fatal(res.text)
		}
		ids = append(ids, res.get("decision_id"))
		if len(ids) <= older {
			b.makeOlder()
		}
		b.pass(61 * time.Second)
	}
	come("bob@bob.example", 200)
	come("eve@bob.example", 403)
	b.pass(30 * time.Hour) // longer than is looked through for one page
	come("bob@bob.example", 200)
	come("eve@bob.example", 403)
	listed := func(query string) []string {
		t.Helper()
		got := []string{}
		for after, n := "", 0; ; n++ {
			res := b.show("decisions?" + query + "&after=" + after)
			list, ok := res.body["decisions"].([]any)
			if !ok || n > 20 {
				t.Fatalf("%s: %d %s", query, res.status, res.text)
			}
			for _, entry := range list {
				m, _ := entry.(map[string]any)
				id, _ := m["decision_id"].(string)
				got = append(got, id)
			}
			if after = res.get("next"); after == "" {
				return got
			}
		}
	}
	hour := "since=" + b.clock().Add(-time.Hour).UTC().Format(time.RFC3339)
	for query, want := range map[string][]string{
		"":                                {ids[3], ids[2], ids[1], ids[0]},
		"limit=1":                         {ids[3], ids[2], ids[1], ids[0]},
		hour:                              {ids[3], ids[2]},
		"outcome=denied":                  {ids[3], ids[1]},
		"outcome=granted&limit=1":         {ids[2], ids[0]},
		"outcome=granted&" + hour:         {ids[2]},
		"client_id=other":                 {},
		"client_id=app&outcome=denied":    {ids[3], ids[1]},
		"resource_server=photos":          {},
		"resource_server=api&owner=api":   {ids[3], ids[2], ids[1], ids[0]},
		"resource_server=api&owner=alice": {},
	} {
		if diff := cmp.Diff(want, listed(query)); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
	if res := b.show("decisions?client_id=other"); (res.get("next") == "") != (older == 0) {
		t.Errorf("of those of before a page looks at no more than a day: %s", res.text)
	}
	for _, id := range ids {
		if res := b.show("decisions/" + id); res.status != 200 || res.get("decision_id") != id {
			t.Errorf("%d %s", res.status, res.text)
		}
	}
	if got := b.pages("decisions/search", "decisions", "decision_id", map[string]any{"person": "eve@bob.example"}); !slices.Equal(got, sorted(ids[1], ids[3])) {
		t.Errorf("%v", got)
	}
	for _, query := range []string{"outcome=need_info", "since=yesterday", "after=x", "after=1", "after=99999999999.", "limit=0", "outcom=denied", "limit=1&limit=2", "outcome=denied;client_id=app", "client_id=%zz"} {
		if res := b.show("decisions?" + query); res.status != 400 {
			t.Errorf("%s: %d %s", query, res.status, res.text)
		}
	}
	for _, after := range []string{"1.%00", "1.%ff"} { // no store takes the one, PostgreSQL not the other
		if res := b.show("decisions?after=" + after); res.status != 400 {
			t.Errorf("%s: %d", after, res.status)
		}
	}
	for _, id := range []string{"%00", "%ff", strings.Repeat("a", 3000)} {
		if res := b.show("decisions/" + id); res.status != 404 {
			t.Errorf("%s: %d %s", id, res.status, res.text)
		}
	}
	if res := b.show("grants?all=yes"); res.status != 400 {
		t.Errorf("%d", res.status)
	}
	// A filter in the query would be left out, and more would end than was meant.
	if res := b.change("grants/revoke?client_id=web", `{"resource_server":"api"}`); res.status != 400 {
		t.Errorf("%d %s", res.status, res.text)
	}
}

// makeOlder writes the decisions again as they were before their ids told the time.
func (b *bench) makeOlder() {
	b.t.Helper()
	tenant := store.Tenant("as", issuer)
	docs, err := b.faulty.List(b.t.Context(), tenant, "decided", "", "", 100)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, doc := range docs {
		old := doc
		raw, err := hex.DecodeString(doc.ID)
		if err != nil {
			b.t.Fatal(err)
		}
		old.Kind, old.ID, old.Index = "decision", base64.RawURLEncoding.EncodeToString(raw), minute(b.clock())
		if err := b.faulty.Commit(b.t.Context(), store.Delete(doc.Key, doc.Rev), store.Create(old)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A list costs what there is, however long nobody came.
func TestAdminDecisions_Quiet(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.RefreshLifetime = 30 * 24 * time.Hour })
	id := b.ask(b.fresh()).get("decision_id")
	b.pass(20 * 24 * time.Hour)
	lists := 0
	b.faulty.Before(func(_ context.Context, c storetest.Call) error {
		if c.Method == "List" {
			lists++
		}
		return nil
	})
	if got := b.pages("decisions/search", "decisions", "decision_id", map[string]any{}); !slices.Equal(got, []string{id}) || lists > 2 {
		t.Errorf("%v, %d questions to the store", got, lists)
	}
	lists = 0
	since := map[string]any{"since": b.clock().Add(-time.Hour).UTC().Format(time.RFC3339)}
	if got := b.pages("decisions/search", "decisions", "decision_id", since); len(got) != 0 || lists > 2 {
		t.Errorf("%v, %d questions to the store", got, lists)
	}
}

// What is older than asked for is not looked at.
func TestAdminDecisions_Since(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.ask(b.fresh())
	}
	b.put("decided", strings.Repeat("f", 32), "", map[string]any{"v": 2}) // of 1970, and unreadable
	if res := b.show("decisions"); res.get("next") != "" || res.body["unreadable"] != nil {
		t.Errorf("%s", res.text)
	}
	b.pass(5 * time.Minute)
	if res := b.show("decisions?since=" + b.clock().Add(-time.Second).UTC().Format(time.RFC3339)); res.status != 200 || len(list(res, "decisions")) != 0 {
		t.Errorf("%s", res.text)
	}
	if res := b.show("decisions?since=" + b.clock().Add(-5*time.Minute).UTC().Format(time.RFC3339)); len(list(res, "decisions")) != 3 {
		t.Errorf("%s", res.text)
	}
}

// What a newer program wrote is counted and hides nothing else.
func TestAdminLists_Unreadable(t *testing.T) {
	b := newBench(t)
	b.ask(b.fresh())
	b.put("grant", strings.Repeat("A", 22), "api", map[string]any{"v": 2})
	b.put("client", "c-"+strings.Repeat("A", 22), "", map[string]any{"v": 2})
	b.put("decision", strings.Repeat("A", 22), minute(b.clock()), map[string]any{"v": 2})
	b.put("decided", strings.Repeat("0", 32), "", map[string]any{"v": 2})
	b.put("decided", "0", "", map[string]any{"v": 1})
	for path, want := range map[string][2]int{"grants": {1, 1}, "clients": {len(b.cfg.Clients), 1}, "decisions": {1, 3}} {
		res := b.show(path)
		if list, _ := res.body[path].([]any); len(list) != want[0] || res.body["unreadable"] != float64(want[1]) {
			t.Errorf("%s: %s", path, res.text)
		}
	}
}

func minute(t time.Time) string { return uma.MinuteOf(t) }

// Every change by hand is told.
func TestAdminDomains_Told(t *testing.T) {
	b := newBench(t)
	b.ask(b.fresh())
	b.change("domains/accept", `{"domain":"bob.example","issuer":"https://new.example"}`)
	b.change("domains/forget", `{"domain":"bob.example"}`)
	want := []event.Administration{
		{Action: "domain_accepted", Domain: "bob.example", Person: event.Person{Issuer: "https://new.example"}},
		{Action: "domain_forgotten", Domain: "bob.example"},
	}
	if diff := cmp.Diff(want, b.administrations()); diff != "" {
		t.Error(diff)
	}
}
