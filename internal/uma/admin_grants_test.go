package uma_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// listed asks page by page, and gives one member of each entry, sorted.
func (b *bench) pages(path, list, member string, body map[string]any) []string {
	b.t.Helper()
	got := []string{}
	for after, n := "", 0; ; n++ {
		var res reply
		if body == nil {
			res = b.show(path + "&after=" + url.QueryEscape(after))
		} else {
			body["after"] = after
			res = b.admin(http.MethodPost, "/show/"+path, text(b.t, body))
		}
		entries, ok := res.body[list].([]any)
		if res.status != http.StatusOK || !ok || n > 50 {
			b.t.Fatalf("%s: %d %s", path, res.status, res.text)
		}
		for _, entry := range entries {
			m, _ := entry.(map[string]any)
			got = append(got, fmt.Sprint(m[member]))
		}
		if after = res.get("next"); after == "" {
			slices.Sort(got)
			return got
		}
	}
}

// administrations are the changes by hand that were observed, without what is the
// same in each.
func (b *bench) administrations() []event.Administration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []event.Administration
	for _, e := range b.events {
		if a, ok := e.(event.Administration); ok {
			if a.Role != "as" || a.Issuer != b.cfg.Issuer {
				b.t.Errorf("%+v", a)
			}
			a.Role, a.Issuer = "", ""
			all = append(all, a)
		}
	}
	return all
}

func sorted(list ...string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return list
}

// grantOf is the grant of a decision.
func (b *bench) grantOf(res reply) string {
	b.t.Helper()
	ids := b.pages("grants?all=true&decision_id="+res.get("decision_id"), "grants", "grant_id", nil)
	if len(ids) != 1 {
		b.t.Fatalf("%v: %s", ids, res.text)
	}
	return ids[0]
}

// The grants of the nine steps, found by everything that can be asked for.
func TestAdminGrants(t *testing.T) {
	b := newBench(t, refreshing, persisting, domainPolicy)
	api, photos := b.pat("api"), b.pat("photos")
	shared, album := b.register(api, "RS API", "", "get"), b.register(photos, "Holidays", "", "view")
	bob := b.webGrant(b.ticket(api, shared, "get"))
	eve := b.ask(b.ticket(api, shared, "get"), map[string]any{"sub": "eve-1", "email": "Eve@bob.example"})
	ticket := b.ticket(photos, album, "view")
	old := b.ask(ticket, map[string]any{"aud": []string{"Photos"}, "sub": "old-1", "email": "old@bob.example"})
	for _, res := range []reply{bob, eve, old} {
		if res.status != http.StatusOK {
			t.Fatal(res.text)
		}
	}
	bobs, eves, olds := b.grantOf(bob), b.grantOf(eve), b.grantOf(old)
	all := sorted(bobs, eves, olds)
	for query, want := range map[string][]string{
		"":                            all,
		"limit=1":                     all,
		"client_id=web":               {bobs},
		"client_id=app":               sorted(eves, olds),
		"client_id=ap":                {},
		"resource_server=api":         sorted(bobs, eves),
		"resource_server=photos":      {olds},
		"owner=api":                   sorted(bobs, eves),
		"owner=photos":                {olds},
		"resource_id=" + shared:       sorted(bobs, eves),
		"resource_id=" + album:        {olds},
		"resource_id=x":               {},
		"decision_id=x":               {},
		"client_id=web&owner=photos":  {},
		"client_id=app&resource_id=x": {},
	} {
		if diff := cmp.Diff(want, b.pages("grants?"+query, "grants", "grant_id", nil)); diff != "" {
			t.Errorf("%q: %s", query, diff)
		}
	}
	for who, want := range map[string][]string{
		"bob@bob.example": {bobs}, "eve@bob.example": {eves}, "EVE@bob.example": {eves}, "nobody@bob.example": {},
		"bob.example": all, "*.bob.example": {}, "carol.example": {}, oldIssuer: all, "https://carol.example": {},
	} {
		if diff := cmp.Diff(want, b.pages("grants/search", "grants", "grant_id", map[string]any{"person": who, "limit": 1})); diff != "" {
			t.Errorf("%q: %s", who, diff)
		}
	}
	if got := b.pages("grants/search", "grants", "grant_id", map[string]any{"person": "bob.example", "client_id": "web"}); len(got) != 1 || got[0] != bobs {
		t.Errorf("%v", got)
	}

	t.Run("one", func(t *testing.T) {
		res := b.show("grants/" + bobs)
		live, _ := res.body["live_rpts"].([]any)
		if res.get("state") != "live" || res.get("client_id") != "web" || res.get("policy") != "all" || res.get("decision_id") != bob.get("decision_id") ||
			res.get("issued_at") != b.clock().UTC().Format(time.RFC3339) || res.body["refresh_token"] != true || res.body["pct"] != true ||
			len(live) != 1 || !strings.Contains(res.text, `"name":"RS API"`) {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("SEC-24 no credentials, and no address", func(t *testing.T) {
		dump := b.show("grants").text + b.show("grants/"+bobs).text + b.show("decisions").text + b.show("resource-servers").text
		for _, secret := range []string{bob.get("access_token"), bob.get("refresh_token"), bob.get("pct"), api, "@bob.example", "bob-1"} {
			for _, part := range []string{secret, strings.TrimPrefix(secret, "pat_"), hashOf(secret)} {
				if part == "" || strings.Contains(dump, part) {
					t.Errorf("%q is shown", part)
				}
			}
		}
	})
	t.Run("what cannot be asked", func(t *testing.T) {
		for path, status := range map[string]int{
			"grants?limit=0": 400, "grants?limit=1001": 400, "grants?limit=x": 400, "grants?client=app": 400, "grants?person=bob.example": 400,
			"grants?after=%00": 400, "grants?resource_server=%00": 400, "grants?after=" + strings.Repeat("x", 5000): 400,
			"grants/x": 404, "grants/" + strings.Repeat("A", 22): 404, "grants/" + bobs + "x": 404, "grants/%00": 404,
		} {
			if res := b.show(path); res.status != status {
				t.Errorf("%.60s: %d %s", path, res.status, res.text)
			}
		}
		for _, body := range []string{`{"person":"bob"}`, `{"persons":"bob.example"}`, `{"limit":-1}`, `[]`, `{"person":1}`} {
			if res := b.admin(http.MethodPost, "/show/grants/search", body); res.status != 400 {
				t.Errorf("%s: %d %s", body, res.status, res.text)
			}
		}
	})
	t.Run("SEC-28 another issuer's", func(t *testing.T) {
		other := b.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
		for _, path := range []string{"grants?all=true", "decisions?", "resources?", "clients?limit=1000"} {
			name, _, _ := strings.Cut(path, "?")
			want := 0
			if name == "clients" {
				want = len(b.cfg.Clients)
			}
			if got := other.pages(path, name, "client_id", nil); len(got) != want {
				t.Errorf("%s: %v", path, got)
			}
		}
		for _, path := range []string{"grants/" + bobs, "resources/" + shared, "decisions/" + bob.get("decision_id")} {
			if res := other.show(path); res.status != 404 {
				t.Errorf("%s: %d", path, res.status)
			}
		}
		for _, res := range []reply{other.change("grants/revoke", `{"grant_id":"`+bobs+`"}`), other.change("resources/revoke", `{"resource_id":"`+shared+`"}`)} {
			if res.status != 404 {
				t.Errorf("%d %s", res.status, res.text)
			}
		}
		if res := other.change("grants/revoke", `{"resource_server":"api"}`); res.status != 200 || res.body["ended"] != 0.0 || !b.active(bob.get("access_token")) {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("live ones only", func(t *testing.T) {
		b.pass(10 * time.Minute) // bob has a refresh token
		if got := b.pages("grants?", "grants", "grant_id", nil); !slices.Equal(got, []string{bobs}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("SEC-13 store faults", func(t *testing.T) {
		b.faulty.FailBefore(func(storetest.Call) bool { return true })
		defer b.faulty.Repair()
		for _, path := range []string{"grants", "grants/" + bobs, "decisions", "resource-servers", "resource-server?client_id=api", "clients", "client?client_id=app", "resources/" + shared} {
			if res := b.show(path); res.status != 503 {
				t.Errorf("%s: %d %s", path, res.status, res.text)
			}
		}
		for path, body := range map[string]string{"grants/revoke": `{"grant_id":"` + bobs + `"}`, "grants/revoke ": `{"client_id":"web"}`, "resources/revoke": `{"resource_id":"` + shared + `"}`} {
			if res := b.change(strings.TrimSpace(path), body); res.status != 503 {
				t.Errorf("%s: %d %s", path, res.status, res.text)
			}
		}
	})
}

// A grant that the administrator revokes is dead at once, with everything that came of
// it; the others live on.
func TestAdminGrantsRevoke(t *testing.T) {
	const reason = "revoked by the administrator"
	b := newBench(t, refreshing, domainPolicy, persisting)
	pat := b.pat("api")
	one, two := b.register(pat, "one", "", "get"), b.register(pat, "two", "", "get")
	gone, stays := b.webGrant(b.ticket(pat, one, "get")), b.webGrant(b.ticket(pat, two, "get"))
	id := b.grantOf(gone)
	for _, body := range []string{
		`{}`, `{"grant_id":""}`, `{"after":"x"}`, `{"grant":"` + id + `"}`, `{"grant_id":"` + id + `","client_id":"web"}`, `{"person":"bob"}`,
	} {
		if res := b.change("grants/revoke", body); res.status != 400 {
			t.Errorf("%s: %d %s", body, res.status, res.text)
		}
	}
	for _, none := range []string{"x", strings.Repeat("A", 22)} {
		if res := b.change("grants/revoke", `{"grant_id":"`+none+`"}`); res.status != 404 {
			t.Errorf("%s: %d %s", none, res.status, res.text)
		}
	}
	for i, want := range []float64{1, 0} { // once more is no error
		if res := b.change("grants/revoke", `{"grant_id":"`+id+`"}`); res.status != 200 || res.body["ended"] != want {
			t.Fatalf("%d: %d %s", i, res.status, res.text)
		}
	}
	if b.active(gone.get("access_token")) || !b.listed(gone.get("access_token")) || b.renew(gone.get("refresh_token")).status == 200 {
		t.Error("it lives on")
	}
	if res := b.asWeb(map[string]string{"ticket": b.ticket(pat, one, "get"), "pct": gone.get("pct")}); res.status == 200 {
		t.Error("its PCT lives on")
	}
	if res := b.asWeb(map[string]string{"ticket": b.ticket(b.pat("api"), two, "get"), "pct": stays.get("pct")}); res.status != 200 {
		t.Errorf("another one's PCT is dead: %s", res.text)
	}
	if !b.active(stays.get("access_token")) || b.listed(stays.get("access_token")) {
		t.Error("another grant ended")
	}
	if res := b.show("grants/" + id); res.get("state") != "ended" || res.get("ended_because") != reason || res.body["rpts"] != 0.0 {
		t.Errorf("%s", res.text)
	}
	if diff := cmp.Diff([]string{reason}, b.revocations()); diff != "" {
		t.Error(diff)
	}
	told := event.Administration{
		Action: "grant_revoked", ID: id, ClientID: "web", ResourceServer: "api", Owner: "api", DecisionID: gone.get("decision_id"),
	}
	told.Subject, _ = payload(t, gone.get("access_token"))["sub"].(string)
	again := told
	told.Ended = 1
	if diff := cmp.Diff([]event.Administration{told, again}, b.administrations()); diff != "" {
		t.Error(diff)
	}
}

// What replaced a grant by an upgrade ends with it.
func TestAdminGrantsRevoke_Upgraded(t *testing.T) {
	b := newBench(t, refreshing)
	pat := b.pat("api")
	first := b.webGrant(b.ticket(pat, b.register(pat, "one", "", "get"), "get"))
	second := b.webGrant(b.ticket(pat, b.register(pat, "two", "", "get"), "get"), map[string]string{"rpt": first.get("access_token")})
	id := b.grantOf(first)
	if res := b.show("grants/" + id); res.get("state") != "ended" || res.get("replaced_by") != b.grantOf(second) {
		t.Fatalf("%s", res.text)
	}
	if res := b.change("grants/revoke", `{"grant_id":"`+id+`"}`); res.body["ended"] != 1.0 || b.active(second.get("access_token")) {
		t.Errorf("%s", res.text)
	}
}

// Each filter ends what fits, and nothing else.
func TestAdminGrantsRevoke_Those(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		ends []string
		want event.Administration
	}{
		"a client":       {`{"client_id":"web"}`, []string{"web"}, event.Administration{ClientID: "web", Ended: 1}},
		"an address":     {`{"person":"Eve@bob.example"}`, []string{"eve"}, event.Administration{Person: event.Person{Email: "eve@bob.example"}, Ended: 1}},
		"a domain":       {`{"person":"bob.example"}`, []string{"web", "eve"}, event.Administration{Domain: "bob.example", Ended: 2}},
		"an issuer":      {`{"person":"` + oldIssuer + `","client_id":"app"}`, []string{"eve", "evil"}, event.Administration{Person: event.Person{Issuer: oldIssuer}, ClientID: "app", Ended: 2}},
		"nobody":         {`{"person":"carol@bob.example"}`, nil, event.Administration{Person: event.Person{Email: "carol@bob.example"}}},
		"a server":       {`{"resource_server":"api"}`, []string{"web", "eve", "evil"}, event.Administration{ResourceServer: "api", Ended: 3}},
		"another server": {`{"resource_server":"photos"}`, nil, event.Administration{ResourceServer: "photos"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, domainPolicy)
			rpts := map[string]string{"web": b.webGrant(b.fresh()).get("access_token")}
			for name, address := range map[string]string{"eve": "eve@bob.example", "evil": "evil@evil.example"} {
				rpts[name] = b.ask(b.fresh(), map[string]any{"sub": name, "email": address}).get("access_token")
			}
			res := b.change("grants/revoke", tc.body)
			if res.status != 200 || res.body["ended"] != float64(len(tc.ends)) || res.get("next") != "" {
				t.Fatalf("%d %s", res.status, res.text)
			}
			for name, rpt := range rpts {
				if b.active(rpt) == slices.Contains(tc.ends, name) {
					t.Errorf("%s is active: %v", name, b.active(rpt))
				}
			}
			tc.want.Action = "grants_revoked"
			if diff := cmp.Diff([]event.Administration{tc.want}, b.administrations()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A grant that cannot be ended does not save the others, and the answer says so.
func TestSEC_13_AdminGrantsRevoke(t *testing.T) {
	b := newBench(t, domainPolicy)
	var rpts []string
	for i := range 3 {
		rpts = append(rpts, b.ask(b.fresh(), map[string]any{"sub": strconv.Itoa(i), "email": strconv.Itoa(i) + "@bob.example"}).get("access_token"))
	}
	failed := false
	b.faulty.FailBefore(func(c storetest.Call) bool {
		first := c.Method == "Commit" && !failed
		failed = failed || first
		return first
	})
	if res := b.change("grants/revoke", `{"client_id":"app"}`); res.status != 503 || !strings.Contains(res.text, "give the command again") {
		t.Fatalf("%d %s", res.status, res.text)
	}
	b.faulty.Repair()
	live := 0
	for _, rpt := range rpts {
		if b.active(rpt) {
			live++
		}
	}
	if live != 1 {
		t.Errorf("%d live", live)
	}
	if res := b.change("grants/revoke", `{"client_id":"app"}`); res.body["ended"] != 1.0 {
		t.Errorf("%s", res.text)
	}
}

// However many grants there are, a page looks at a bounded number of them, and all
// pages together at each one once.
func TestAdminGrants_Many(t *testing.T) {
	const n = 5300 // above maxLooked
	b := newBench(t)
	var ops []store.Op
	for i := range n {
		more, _, _, err := b.server.Seed(t.Context(), i, "api", "bob-"+strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		if ops = append(ops, more...); len(ops) > store.MaxOps-8 || i == n-1 {
			if err := b.faulty.Commit(t.Context(), ops...); err != nil {
				t.Fatal(err)
			}
			ops = ops[:0]
		}
	}
	if got := b.pages("grants?limit=1000", "grants", "grant_id", nil); len(slices.Compact(got)) != n {
		t.Errorf("%d", len(got))
	}
	last := fmt.Sprintf("bob-%d@bob.example", n-1)
	res := b.admin(http.MethodPost, "/show/grants/search", `{"person":"`+last+`"}`)
	if list, _ := res.body["grants"].([]any); res.status != 200 || len(list) != 0 || res.get("next") == "" {
		t.Errorf("the first page is not bounded: %d %.200s", res.status, res.text)
	}
	if got := b.pages("grants/search", "grants", "grant_id", map[string]any{"person": last}); len(got) != 1 {
		t.Errorf("%v", got)
	}
	var view struct {
		Grants, Resources int
		MoreG             bool `json:"more_grants"`
		MoreR             bool `json:"more_resources"`
	}
	if err := json.Unmarshal([]byte(b.show("resource-server?client_id=api").text), &view); err != nil || view.Grants != 5000 || view.Resources != 5000 || !view.MoreG || !view.MoreR {
		t.Errorf("%v %+v", err, view)
	}
	if got := b.pages("decisions?limit=1000", "decisions", "decision_id", nil); len(slices.Compact(got)) != n {
		t.Errorf("%d decisions", len(got))
	}
	next, ended := "", 0.0
	for {
		res := b.change("grants/revoke", `{"person":"`+last+`","after":"`+next+`"}`)
		n, _ := res.body["ended"].(float64)
		ended += n
		if next = res.get("next"); next == "" || res.status != 200 {
			break
		}
	}
	if ended != 1 {
		t.Errorf("%v ended", ended)
	}
	if res := b.change("grants/revoke", `{"client_id":"app"}`); res.body["ended"] != 250.0 || res.get("next") == "" {
		t.Errorf("one call is not bounded: %s", res.text)
	}
	// One that a newer program wrote saves none of the others, wherever they stand.
	tenant := store.Tenant("as", issuer)
	newer := store.Doc{Key: store.Key{Tenant: tenant, Kind: "grant", ID: "-"}, Body: []byte(`{"v":2}`)}
	if err := b.faulty.Commit(t.Context(), store.Create(newer)); err != nil {
		t.Fatal(err)
	}
	if res := b.change("grants/revoke", `{"client_id":"app"}`); res.status != 503 {
		t.Errorf("%d %s", res.status, res.text)
	}
	if got := b.pages("grants?limit=1000", "grants", "grant_id", nil); len(got) != 0 {
		t.Errorf("%d live", len(got))
	}
}

func hashOf(credential string) string {
	if credential == "" {
		return ""
	}
	sum := clientauth.HashSecret(credential)
	return base64URL(sum[:])
}
