package uma_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// TestUG_32_ScopeArithmetic is the example of UMA Grant §3.3.4: a ticket for
// photo1 and photo2, a client with pre-registered scopes.
func TestUG_32_ScopeArithmetic(t *testing.T) {
	open := func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "bob", From: from("bob@bob.example")}}
		for i := range b.cfg.Clients {
			if b.cfg.Clients[i].ID == "app" {
				b.cfg.Clients[i].Scopes = []string{"download", "print"}
			}
		}
	}
	for _, tc := range []struct {
		name, scope string
		want        map[string][]string
		code        string
	}{
		{"no scope parameter", "", map[string][]string{"photo1": {"view"}, "photo2": {"view", "resize"}}, ""},
		{"UG-21 registered and offered by one", "download", map[string][]string{"photo1": {"view", "download"}, "photo2": {"view", "resize"}}, ""},
		{"registered and offered by both", "print", map[string][]string{"photo1": {"view", "print"}, "photo2": {"view", "resize", "print"}}, ""},
		{"UG-21 offered, not registered", "resize", map[string][]string{"photo1": {"view"}, "photo2": {"view", "resize"}}, ""},
		{"UG-42 offered by none", "all", nil, "invalid_scope"},
		{"UG-42 one of two offered by none", "download all", nil, "invalid_scope"},
		{"UG-01 another case", "Download", nil, "invalid_scope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, open)
			pat := b.pat("api")
			ids := map[string]string{
				b.register(pat, "photo1", "", "view", "resize", "print", "download"): "photo1",
				b.register(pat, "photo2", "", "view", "resize", "print"):             "photo2",
			}
			ticket := b.ticketFor(pat, ids)
			res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"scope": tc.scope})
			if tc.code != "" {
				if res.status != http.StatusBadRequest || res.code() != tc.code {
					t.Errorf("%d %s", res.status, res.text)
				}
				return
			}
			got := map[string][]string{}
			for id, scopes := range b.permissions(res) {
				got[ids[id]] = slices.Sorted(slices.Values(scopes))
			}
			for name := range tc.want {
				slices.Sort(tc.want[name])
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("permissions (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("A38 a scope of an earlier request does not count", func(t *testing.T) {
		b := newBench(t, open)
		pat := b.pat("api")
		id := b.register(pat, "photo", "", "view", "download")
		ticket := b.ticket(pat, id, "view")
		res := b.token(map[string]string{
			"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket, "scope": "download",
		})
		if got := b.permissions(b.ask(res.get("ticket"))); !slices.Equal(got[id], []string{"view"}) {
			t.Errorf("%v", got)
		}
	})
}

// ticketFor asks for one ticket: view of photo1, view and resize of photo2.
func (b *bench) ticketFor(pat string, ids map[string]string) string {
	b.t.Helper()
	var one, two string
	for id, name := range ids {
		if name == "photo1" {
			one = id
		} else {
			two = id
		}
	}
	res := b.call(pat, http.MethodPost, "permission",
		`[{"resource_id":"`+one+`","resource_scopes":["view"]},{"resource_id":"`+two+`","resource_scopes":["view","resize"]}]`)
	if res.status != http.StatusCreated {
		b.t.Fatal(res.text)
	}
	return res.get("ticket")
}

// UG-34: both settings. Bob may view, and nothing else.
func TestUG_34_Partial(t *testing.T) {
	rules := func(b *bench) {
		b.cfg.Policies = []uma.Policy{
			{Name: "viewers", From: from("bob@bob.example"), Scopes: []string{"view"}},
			{Name: "printers", From: from("bob@bob.example"), Scopes: []string{"print"}, RequiredClaims: []string{"badge"}},
		}
	}
	for _, tc := range []struct {
		name    string
		partial bool
		scopes  []string
		claims  map[string]any
		want    []string
		code    string
	}{
		{"all", false, []string{"view"}, nil, []string{"view"}, ""},
		{"all or nothing", false, []string{"view", "resize"}, nil, nil, "request_denied"},
		{"the part", true, []string{"view", "resize"}, nil, []string{"view"}, ""},
		{"no part", true, []string{"resize"}, nil, nil, "request_denied"},
		{"claims would help", false, []string{"view", "print"}, nil, nil, "need_info"},
		{"claims help", false, []string{"view", "print"}, map[string]any{"badge": "7"}, []string{"view", "print"}, ""},
		{"claims would not help", false, []string{"print", "resize"}, nil, nil, "request_denied"},
		{"a part, although claims would help", true, []string{"view", "print"}, nil, []string{"view"}, ""},
		{"claims would help to a part", true, []string{"print", "resize"}, nil, nil, "need_info"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, rules, func(b *bench) { b.cfg.PartialGrant = tc.partial })
			pat := b.pat("api")
			id := b.register(pat, "photo", "", "view", "print", "resize")
			claims := map[string]any{}
			maps.Copy(claims, tc.claims)
			res := b.ask(b.ticket(pat, id, tc.scopes...), claims)
			if tc.code != "" {
				if res.code() != tc.code {
					t.Errorf("%d %s", res.status, res.text)
				}
				return
			}
			if got := b.permissions(res)[id]; !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

// SEC-18: a body full of scopes is not compared with everything.
func TestUG_42_TooManyScopes(t *testing.T) {
	b := newBench(t)
	ticket := b.fresh()
	list := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, "s"+strconv.Itoa(i))
		}
		return strings.Join(names, " ")
	}
	present := func(scope string) reply {
		return b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"scope": scope})
	}
	if res := present(list(257)); res.code() != "invalid_scope" {
		t.Fatalf("%d %s", res.status, res.text)
	}
	if res := present(strings.Repeat("get ", 10_000)); res.status != http.StatusOK { // one scope; and the ticket was usable still
		t.Errorf("%d %s", res.status, res.text)
	}
}
