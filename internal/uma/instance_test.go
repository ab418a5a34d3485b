package uma_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// gallery is a bench whose api names owners and has the pattern
// /users/:user/photos/:id.
type gallery struct {
	*bench
	pat, photo string
}

func newGallery(t *testing.T, edits ...func(*bench)) *gallery {
	t.Helper()
	edits = append([]func(*bench){func(b *bench) { b.cfg.ResourceServers[0].Owner = "*" }}, edits...)
	b := newBench(t, edits...)
	g := &gallery{bench: b, pat: b.pat("api")}
	g.photo = g.pattern(`"captures":["user","id"]`)
	return g
}

// wait lets time pass, and the PAT with it.
func (g *gallery) wait(d time.Duration) {
	g.t.Helper()
	g.pass(d)
	g.pat = g.bench.pat("api")
}

// pattern registers a pattern with these further members.
func (g *gallery) pattern(members string) string {
	g.t.Helper()
	res := g.call(g.pat, http.MethodPost, "resource", `{"name":"photo","resource_scopes":["get","post"],`+members+`}`)
	if res.status != http.StatusCreated {
		g.t.Fatalf("%d %s", res.status, res.text)
	}
	return res.get("_id")
}

// entry is an entry of a permission request for a photo of a user, who owns it.
func (g *gallery) entry(user, id string) string {
	return `{"resource_id":"` + g.photo + `","resource_scopes":["get"],"captures":{"user":"` + user + `","id":"` + id + `"},"owner":"` + user + `"}`
}

func (g *gallery) permit(body string) reply {
	g.t.Helper()
	return g.call(g.pat, http.MethodPost, "permission", body)
}

func (g *gallery) ticketOf(user, id string) string {
	g.t.Helper()
	res := g.permit(g.entry(user, id))
	if res.status != http.StatusCreated {
		g.t.Fatalf("%d %s", res.status, res.text)
	}
	return res.get("ticket")
}

// instance is the id that the resource server computes.
func (g *gallery) instance(user, id string) string {
	return oauth.InstanceID(g.photo, user, []oauth.Capture{{Name: "user", Value: user}, {Name: "id", Value: id}})
}

// count counts the documents of some kinds.
func (b *bench) count(kinds ...string) int {
	b.t.Helper()
	n := 0
	for _, kind := range kinds {
		docs, err := b.faulty.List(b.t.Context(), store.Tenant("as", issuer), kind, "", "", 100_000)
		if err != nil {
			b.t.Fatal(err)
		}
		n += len(docs)
	}
	return n
}

// SEC-18: a ticket for an instance leaves nothing; the first grant registers it.
func TestSEC_18_InstancesAreRegisteredAtTheGrant(t *testing.T) {
	g := newGallery(t)
	writes := 0
	g.faulty.Before(nil)
	g.faulty.FailBefore(func(c storetest.Call) bool { writes += len(c.Ops); return false })
	ticket := g.ticketOf("alice", "7")
	for i := range 100 {
		g.ticketOf("alice", strings.Repeat("x", i+1))
	}
	if writes != 0 || g.count("instance", "slot") != 0 {
		t.Fatalf("%d writes", writes)
	}
	g.faulty.Before(nil)
	if res := g.present(ticket, g.sign(g.claims(ticket, map[string]any{"email": "eve@bob.example"}))); res.code() != "request_denied" || g.count("instance", "slot") != 0 {
		t.Fatalf("denied: %s, %d documents", res.text, g.count("instance", "slot"))
	}
	id := g.instance("alice", "7")
	want := map[string][]string{id: {"get"}}
	for range 2 { // the second grant finds the instance
		res := g.ask(g.ticketOf("alice", "7"))
		if got := g.permissions(res); !cmp.Equal(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
		if got := g.opens(res.get("access_token")); !cmp.Equal(got, want) {
			t.Error("introspection: " + cmp.Diff(want, got))
		}
		if g.count("instance") != 1 || g.count("slot") != 1 {
			t.Errorf("%d instances, %d slots", g.count("instance"), g.count("slot"))
		}
	}
	g.ask(g.ticketOf("alice", "8"))
	g.ask(g.ticketOf("carol", "7"))
	if g.count("instance") != 3 || g.count("slot") != 3 {
		t.Errorf("%d instances, %d slots", g.count("instance"), g.count("slot"))
	}
	if d := g.lastDecision(); d.Owner != "carol" || !cmp.Equal(d.ResourceIDs, []string{g.instance("carol", "7")}) {
		t.Errorf("%+v", d)
	}
}

// A41, UF-04: what a resource server may say about an instance, and what not.
func TestUF_04_InstanceRequests(t *testing.T) {
	g := newGallery(t)
	plain := g.register(g.pat, "plain", "", "get")
	byOwner := g.pattern(`"captures":[]`)
	foreignPAT := g.bench.pat("photos")
	g.ask(g.ticketOf("alice", "7"))
	entry := func(id, members string) string {
		return `{"resource_id":"` + id + `","resource_scopes":["get"]` + members + `}`
	}
	long := strings.Repeat("a", 257)
	for name, tc := range map[string]struct{ body, code string }{
		"an instance":                {g.entry("alice", "7"), ""},
		"A41 the pattern's owner":    {entry(g.photo, `,"captures":{"id":"7","user":"alice"}`), ""},
		"A41 named, too":             {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":"api"`), ""},
		"A41 any owner":              {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":"https://alice.example"`), ""},
		"A41 empty owner":            {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":""`), "invalid_request"},
		"A41 owner *":                {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":"*"`), "invalid_request"},
		"A41 owner with a line end":  {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":"a\n"`), "invalid_request"},
		"A41 long owner":             {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":"`+long+`"`), "invalid_request"},
		"A41 owner is a number":      {entry(g.photo, `,"captures":{"id":"7","user":"alice"},"owner":1`), "invalid_request"},
		"the pattern itself":         {entry(g.photo, ""), "invalid_request"},
		"null":                       {entry(g.photo, `,"captures":null`), "invalid_request"},
		"one is missing":             {entry(g.photo, `,"captures":{"user":"alice"}`), "invalid_request"},
		"one too many":               {entry(g.photo, `,"captures":{"user":"alice","id":"7","x":"1"}`), "invalid_request"},
		"another name":               {entry(g.photo, `,"captures":{"User":"alice","id":"7"}`), "invalid_request"},
		"a repeated one":             {entry(g.photo, `,"captures":{"user":"alice","id":"7","id":"8"}`), "invalid_request"},
		"an empty one":               {entry(g.photo, `,"captures":{"user":"","id":"7"}`), "invalid_request"},
		"a null one":                 {entry(g.photo, `,"captures":{"user":null,"id":"7"}`), "invalid_request"},
		"a number":                   {entry(g.photo, `,"captures":{"user":"alice","id":7}`), "invalid_request"},
		"a list":                     {entry(g.photo, `,"captures":["alice","7"]`), "invalid_request"},
		"a zero byte":                {entry(g.photo, `,"captures":{"user":"alice\u0000","id":"7"}`), "invalid_request"},
		"a long one":                 {entry(g.photo, `,"captures":{"user":"`+long+`","id":"7"}`), "invalid_request"},
		"a control character":        {entry(g.photo, `,"captures":{"user":"\u0001","id":"7"}`), "invalid_request"},
		"captures of a plain one":    {entry(plain, `,"captures":{"user":"alice","id":"7"}`), "invalid_request"},
		"no captures of a plain one": {entry(plain, `,"captures":{}`), "invalid_request"},
		"owner of a plain one":       {entry(plain, `,"owner":"alice"`), "invalid_request"},
		"its own owner":              {entry(plain, `,"owner":"api"`), ""},
		"by owner":                   {entry(byOwner, `,"captures":{},"owner":"alice"`), ""},
		"by owner, with captures":    {entry(byOwner, `,"captures":{"user":"x"},"owner":"alice"`), "invalid_request"},
		"the id of an instance":      {entry(g.instance("alice", "7"), ""), "invalid_resource_id"},
		"with captures":              {entry(g.instance("alice", "7"), `,"captures":{"user":"alice","id":"7"}`), "invalid_resource_id"},
		"UF-26 two owners":           {"[" + g.entry("alice", "7") + "," + g.entry("carol", "7") + "]", "invalid_request"},
		"UF-26 two of one owner":     {"[" + g.entry("alice", "7") + "," + g.entry("alice", "8") + "]", ""},
		"UF-26 another scope":        {strings.Replace(g.entry("alice", "7"), `"get"`, `"put"`, 1), "invalid_scope"},
		"32 of the longest":          {"[" + strings.TrimSuffix(strings.Repeat(g.entry("alice", long[1:])+",", 32), ",") + "]", ""}, // all the same
	} {
		t.Run(name, func(t *testing.T) {
			res := g.permit(tc.body)
			if res.code() != tc.code || tc.code != "" && res.status != 400 || tc.code == "" && res.status != 201 {
				t.Fatalf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("UF-04 of another resource server", func(t *testing.T) {
		if res := g.call(foreignPAT, http.MethodPost, "permission", g.entry("alice", "7")); res.code() != "invalid_resource_id" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("too much for one ticket", func(t *testing.T) {
		var all []string
		for i := range 20 {
			all = append(all, g.entry("alice", strings.Repeat("x", 200)+string(rune('a'+i))))
		}
		if res := g.permit("[" + strings.Join(all, ",") + "]"); res.code() != "invalid_request" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("A41 a resource server with one owner", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].Owner = "alice" })
		g := gallery{bench: b, pat: b.pat("api")}
		g.photo = g.pattern(`"captures":["user","id"]`)
		for owner, code := range map[string]string{`,"owner":"alice"`: "", "": "", `,"owner":"carol"`: "invalid_request", `,"owner":""`: "invalid_request"} {
			if res := g.permit(entry(g.photo, `,"captures":{"user":"carol","id":"7"}`+owner)); res.code() != code {
				t.Errorf("%s: %d %s", owner, res.status, res.text)
			}
		}
	})
}

// UF-09, UF-15: the extension members of a description.
func TestInstance_Descriptions(t *testing.T) {
	g := newGallery(t)
	for members, want := range map[string]bool{
		`"captures":["a"]`: true,
		`"captures":[]`:    true,
		`"captures":["a","b","c","d","e","f","g","h"]`:         true,
		`"captures":["a"],"max_instances":1`:                   true,
		`"captures":["a"],"max_instances":100000`:              true,
		`"max_instances":"of somebody else"`:                   true, // no pattern: unknown members are ignored
		`"captures":["a","b","c","d","e","f","g","h","i"]`:     false,
		`"captures":["a","a"]`:                                 false,
		`"captures":["a-b"]`:                                   false,
		`"captures":[""]`:                                      false,
		`"captures":[null]`:                                    false,
		`"captures":[1]`:                                       false,
		`"captures":"a"`:                                       false,
		`"captures":null`:                                      false,
		`"captures":{"a":"b"}`:                                 false,
		`"captures":["a"],"max_instances":0`:                   false,
		`"captures":["a"],"max_instances":100001`:              false,
		`"captures":["a"],"max_instances":"1"`:                 false,
		`"captures":["a"],"max_instances":null`:                false,
		`"captures":["a"],"max_instances":1.5`:                 false,
		`"captures":["a"],"captures":["b"],"max_instances":10`: false,
	} {
		res := g.call(g.pat, http.MethodPost, "resource", `{"resource_scopes":["get"],`+members+`}`)
		if (res.status == 201) != want || !want && res.code() != "invalid_request" {
			t.Errorf("%s: %d %s", members, res.status, res.text)
		}
	}
	id := g.pattern(`"captures":["user","id"],"max_instances":5`)
	res := g.call(g.pat, http.MethodGet, "resource/"+id, "")
	want := map[string]any{
		"_id": id, "name": "photo", "resource_scopes": []any{"get", "post"}, "owner": "api",
		"captures": []any{"user", "id"}, "max_instances": 5.0,
	}
	if diff := cmp.Diff(want, res.body); diff != "" {
		t.Error(diff)
	}
}

// UF-13, UF-19: an instance is no registration of the resource server: it can be
// read, is not listed, and ends with its pattern.
func TestInstance_IsNoRegistration(t *testing.T) {
	g := newGallery(t)
	token := g.ask(g.ticketOf("alice", "7")).get("access_token")
	id := g.instance("alice", "7")
	if res := g.call(g.pat, http.MethodGet, "resource", ""); res.text != `["`+g.photo+`"]` {
		t.Errorf("list: %s", res.text)
	}
	want := map[string]any{
		"_id": id, "name": "photo", "resource_scopes": []any{"get", "post"}, "owner": "alice",
		"pattern": g.photo, "captures": map[string]any{"user": "alice", "id": "7"},
	}
	if res := g.call(g.pat, http.MethodGet, "resource/"+id, ""); !cmp.Equal(res.body, want) {
		t.Error(cmp.Diff(want, res.body))
	}
	body := `{"resource_scopes":["get"]}`
	for name, res := range map[string]reply{
		"PUT":                     g.call(g.pat, http.MethodPut, "resource/"+id, body),
		"DELETE":                  g.call(g.pat, http.MethodDelete, "resource/"+id, ""),
		"not granted":             g.call(g.pat, http.MethodGet, "resource/"+g.instance("alice", "8"), ""),
		"another resource server": g.call(g.bench.pat("photos"), http.MethodGet, "resource/"+id, ""),
		"zero byte":               g.call(g.pat, http.MethodGet, "resource/"+id[1:]+"%00", ""),
	} {
		if res.status != 404 {
			t.Errorf("%s: %d %s", name, res.status, res.text)
		}
	}
	if !g.active(token) {
		t.Fatal("not active")
	}
	ticket := g.ticketOf("alice", "9")
	for _, change := range []struct{ name, captures string }{
		{"other captures", `,"captures":["user","photo"]`}, {"no pattern any more", ``},
	} {
		res := g.call(g.pat, http.MethodPut, "resource/"+g.photo, `{"name":"photo","resource_scopes":["get"]`+change.captures+`}`)
		if res.status != 200 || g.active(token) {
			t.Errorf("%s: %d, active %v", change.name, res.status, g.active(token))
		}
		if res := g.call(g.pat, http.MethodGet, "resource/"+id, ""); res.status != 404 {
			t.Errorf("%s: %d %s", change.name, res.status, res.text)
		}
	}
	if res := g.ask(ticket); res.code() != "request_denied" {
		t.Errorf("a ticket of before: %s", res.text)
	}
	g.call(g.pat, http.MethodPut, "resource/"+g.photo, `{"name":"photo","resource_scopes":["get"],"captures":["id","user"]}`)
	if !g.active(token) {
		t.Error("declared in another order: not active")
	}
	ticket = g.ticketOf("alice", "9")
	g.call(g.pat, http.MethodDelete, "resource/"+g.photo, "")
	if res := g.ask(ticket); res.code() != "request_denied" || g.active(token) {
		t.Errorf("the pattern is gone: %s, active %v", res.text, g.active(token))
	}
}

// A ticket for a resource that has become a pattern is good for nothing.
func TestInstance_TicketOfBefore(t *testing.T) {
	g := newGallery(t)
	plain := g.register(g.pat, "plain", "", "get")
	ticket, token := g.ticket(g.pat, plain, "get"), g.ask(g.ticket(g.pat, plain, "get")).get("access_token")
	g.call(g.pat, http.MethodPut, "resource/"+plain, `{"name":"plain","resource_scopes":["get"],"captures":["user"]}`)
	if res := g.ask(ticket); res.code() != "request_denied" {
		t.Errorf("%d %s", res.status, res.text)
	}
	if g.active(token) {
		t.Error("an RPT for the whole of it is active")
	}
}

// A41: with the owner that it names, the resource server loses the instances.
func TestA41_InstanceOwner(t *testing.T) {
	g := newGallery(t, refreshing)
	ticket, own := g.ticketOf("alice", "7"), g.permit(`{"resource_id":"`+g.photo+`","resource_scopes":["get"],"captures":{"user":"alice","id":"7"}}`).get("ticket")
	first := g.webGrant(g.ticketOf("alice", "8"))
	next := g.reload(func(c *uma.Config) { c.ResourceServers[0].Owner = "" })
	if res := next.ask(ticket); res.code() != "request_denied" {
		t.Errorf("%d %s", res.status, res.text)
	}
	if next.active(first.get("access_token")) {
		t.Error("active")
	}
	if res := next.renew(first.get("refresh_token")); res.code() != "invalid_grant" {
		t.Errorf("%d %s", res.status, res.text)
	}
	if res := next.ask(own); res.status != 200 { // of nobody else
		t.Errorf("%d %s", res.status, res.text)
	}
}

// Conditions see the captures and the owner; refresh, new policies, upgrade and
// explanations speak of the instance.
func TestInstance_Policies(t *testing.T) {
	mine := when(func(in *policy.Input) (bool, error) {
		return in.Resource.Captures["user"] == in.Email.Local && in.Resource.Owner == in.Email.Local && in.Resource.Name == "photo", nil
	})
	g := newGallery(t, refreshing, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "mine", From: from("bob.example"), When: mine, ResourceServers: []string{"api"}, Resources: []string{"photo"}}}
	})
	if res := g.ask(g.ticketOf("alice", "7")); res.code() != "request_denied" {
		t.Fatalf("%s", res.text)
	}
	denied := g.lastDecision().DecisionID
	first := g.webGrant(g.ticketOf("bob", "7"))
	second := g.webGrant(g.ticketOf("bob", "8"), map[string]string{"rpt": first.get("access_token")})
	want := map[string][]string{g.instance("bob", "7"): {"get"}, g.instance("bob", "8"): {"get"}}
	if got := g.opens(second.get("access_token")); second.body["upgraded"] != true || !cmp.Equal(got, want) {
		t.Fatalf("upgrade: %s %v", second.text, got)
	}
	third := g.renew(second.get("refresh_token"))
	if got := g.opens(third.get("access_token")); !cmp.Equal(got, want) {
		t.Errorf("refresh: %s %v", third.text, got)
	}
	t.Run("explain", func(t *testing.T) {
		for id, outcome := range map[string]string{denied: "condition is false", first.get("decision_id"): "matches"} {
			res := g.show("decisions/" + id)
			resources, _ := res.body["resources"].([]any)
			if len(resources) != 1 || !strings.Contains(res.text, `"result":"`+outcome+`"`) || !strings.Contains(res.text, `"captures":{"id":"7","user":`) {
				t.Errorf("%s: %s", outcome, res.text)
			}
		}
		ask := `{"claims":{"iss":"https://bob.example","sub":"1","email":"bob@bob.example"},"resource_server":"api","resource":"photo","scopes":["get"],"client_id":"app"`
		for members, outcome := range map[string]string{
			`,"captures":{"user":"bob","id":"1"},"owner":"bob"}`: "granted", `,"captures":{"user":"bob","id":"1"}}`: "denied",
			`,"captures":{"user":"alice","id":"1"},"owner":"bob"}`: "denied", `}`: "denied",
		} {
			res := g.admin(http.MethodPost, "/show/explain", ask+members)
			note := strings.Contains(res.text, "name these captures to ask about one: user, id")
			if res.get("outcome") != outcome || note != (members == `}`) {
				t.Errorf("%s: %s", members, res.text)
			}
		}
	})
	t.Run("UG-60 the same policies", func(t *testing.T) {
		next := g.reload(func(c *uma.Config) { c.PolicyRevision = "2" })
		if !next.active(third.get("access_token")) {
			t.Error("not active")
		}
	})
	t.Run("UG-60 others", func(t *testing.T) {
		next := g.reload(func(c *uma.Config) {
			c.PolicyRevision = "3"
			c.Policies = append(c.Policies, uma.Policy{Name: "no", Deny: true, From: from("bob.example"), When: when(func(in *policy.Input) (bool, error) {
				return in.Resource.Captures["id"] == "8", nil
			})})
		})
		if next.active(third.get("access_token")) {
			t.Error("active")
		}
	})
}

// The bound: who comes too late is denied, what is there goes on, and what nobody
// needs any more makes room.
func TestInstance_Bound(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	g := newGallery(t, func(b *bench) { b.cfg.Log = zap.New(core) })
	g.photo = g.pattern(`"captures":["user","id"],"max_instances":2`)
	first := g.ask(g.ticketOf("alice", "1"))
	g.wait(24 * time.Hour)
	for _, id := range []string{"2", "1", "2"} {
		if res := g.ask(g.ticketOf("alice", id)); res.status != 200 {
			t.Fatalf("%s: %s", id, res.text)
		}
	}
	for range 2 {
		res := g.ask(g.ticketOf("alice", "3"))
		if res.code() != "request_denied" || g.count("instance", "slot") != 4 {
			t.Fatalf("%d %s", res.status, res.text)
		}
		if d := g.lastDecision(); !strings.Contains(d.Reason, "'photo'") || !strings.Contains(d.Reason, "max_instances 2") || d.DecisionID != res.get("decision_id") {
			t.Errorf("%+v", d)
		}
		if got := g.show("decisions/" + res.get("decision_id")); got.get("outcome") != "denied" {
			t.Errorf("%s", got.text)
		}
	}
	if logs.FilterField(zap.String("resource", "photo")).FilterField(zap.Int("max_instances", 2)).FilterMessageSnippet("raise max_instances").Len() == 0 {
		t.Errorf("%v", logs.All())
	}
	if res := g.ask(g.ticketOf("alice", "1")); res.status != 200 {
		t.Errorf("one that is there: %s", res.text)
	}
	both := g.permit("[" + g.entry("alice", "1") + "," + g.entry("alice", "3") + "]").get("ticket")
	if res := g.ask(both); res.code() != "request_denied" {
		t.Errorf("all or nothing: %s", res.text)
	}
	if g.ask(g.ticketOf("alice", "2")).status != 200 || first.status != 200 {
		t.Error("denied")
	}
	g.wait(7 * 24 * time.Hour) // 1 and 2 were granted again, but not since
	g.ask(g.ticketOf("alice", "2"))
	g.wait(24 * time.Hour)
	if res := g.ask(g.ticketOf("alice", "3")); res.status != 200 {
		t.Errorf("1 has expired: %s", res.text)
	}
	if res := g.ask(g.ticketOf("alice", "1")); res.code() != "request_denied" {
		t.Errorf("2 was needed and 3 is new: %s", res.text)
	}
	t.Run("a higher bound", func(t *testing.T) {
		g.call(g.pat, http.MethodPut, "resource/"+g.photo, `{"name":"photo","resource_scopes":["get"],"captures":["user","id"],"max_instances":3}`)
		if res := g.ask(g.ticketOf("alice", "1")); res.status != 200 {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("a grant of several", func(t *testing.T) {
		g.photo = g.pattern(`"captures":["user","id"],"max_instances":3`)
		all := g.permit("[" + g.entry("alice", "1") + "," + g.entry("alice", "2") + "," + g.entry("alice", "3") + "]").get("ticket")
		if got := g.permissions(g.ask(all)); len(got) != 3 {
			t.Errorf("%v", got)
		}
	})
}

// An instance outlives every grant that it is part of.
func TestInstance_OutlivesItsGrants(t *testing.T) {
	g := newGallery(t, refreshing, func(b *bench) { b.cfg.RefreshLifetime = 30 * 24 * time.Hour })
	g.webGrant(g.ticketOf("alice", "7"))
	g.wait(10 * 24 * time.Hour)
	res := g.webGrant(g.ticketOf("alice", "7"))
	for range 29 {
		g.wait(24 * time.Hour)
		if res = g.renew(res.get("refresh_token")); res.status != 200 || !g.active(res.get("access_token")) {
			t.Fatalf("%d %s", res.status, res.text)
		}
	}
	g.wait(60 * 24 * time.Hour)
	if n := g.count("instance", "slot"); n != 0 {
		t.Errorf("%d documents are there for ever", n)
	}
}

// Many who are granted one instance, or several of one pattern, at once: each is
// registered once, and nobody is turned away.
func TestInstance_AtOnce(t *testing.T) {
	for name, photo := range map[string]func(i int) string{
		"one": func(int) string { return "7" }, "several": func(i int) string { return string(rune('a' + i)) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGallery(t)
			g.photo = g.pattern(`"captures":["user","id"],"max_instances":16`)
			nodes := []*bench{g.bench, g.reload()}
			var wg sync.WaitGroup
			start := make(chan struct{})
			want := map[string]bool{}
			for i := range 16 {
				ticket := g.ticketOf("alice", photo(i))
				token := g.sign(g.claims(ticket, nil))
				want[photo(i)] = true
				wg.Go(func() {
					<-start
					if res := nodes[i%2].present(ticket, token); res.status != 200 {
						t.Errorf("%d %s", res.status, res.text)
					}
				})
			}
			close(start)
			wg.Wait()
			if g.count("instance") != len(want) || g.count("slot") != len(want) {
				t.Errorf("%d instances and %d slots of %d", g.count("instance"), g.count("slot"), len(want))
			}
		})
	}
}

// SEC-13: what cannot be registered is not granted.
func TestSEC_13_InstanceFailsClosed(t *testing.T) {
	g := newGallery(t)
	for name, match := range map[string]func(storetest.Call) bool{
		"reading the instance": func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "instance" },
		"reading a slot":       func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "slot" },
		"reading the pattern":  func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "resource" },
		"writing":              func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "instance") },
	} {
		ticket := g.ticketOf("alice", "7")
		token := g.sign(g.claims(ticket, nil))
		g.faulty.FailBefore(match)
		if res := g.present(ticket, token); res.status != 503 {
			t.Errorf("%s: %d %s", name, res.status, res.text)
		}
		g.faulty.Repair()
	}
	if n := g.count("instance", "slot", "grant"); n != 0 {
		t.Errorf("%d documents", n)
	}
	g.ask(g.ticketOf("alice", "7"))
	g.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "instance" })
	if res := g.call(g.pat, http.MethodGet, "resource/"+g.instance("alice", "7"), ""); res.status != 503 {
		t.Errorf("%d %s", res.status, res.text)
	}
}
