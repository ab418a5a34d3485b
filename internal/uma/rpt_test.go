package uma_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// UG-03: one RPT is of one requesting party, client, resource server and owner.
func TestUG_03_OneCombination(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Policies[0].From = from("bob.example") })
	rpt := func(rs, audience, client, sub string) map[string]any {
		pat := b.pat(rs)
		ticket := b.ticket(pat, b.register(pat, "x", "", "get"), "get")
		claims := b.claims(ticket, map[string]any{"aud": audience, "sub": sub, "email": sub + "@bob.example"})
		res := b.present(ticket, b.sign(claims), map[string]string{"client_id": client})
		if res.status != 200 {
			t.Fatal(res.text)
		}
		return payload(t, res.get("access_token"))
	}
	base := rpt("api", apiURI, "app", "bob")
	t.Run("CA-40 the same party again has the same sub", func(t *testing.T) {
		again := rpt("api", apiURI, "app", "bob")
		if again["sub"] != base["sub"] || again["jti"] == base["jti"] {
			t.Errorf("%v %v", base, again)
		}
	})
	for name, tc := range map[string]struct {
		other  map[string]any
		member string
	}{
		"another person":                {rpt("api", apiURI, "app", "eve"), "sub"},
		"another client":                {rpt("api", apiURI, "other", "bob"), "client_id"},
		"CA-40 another resource server": {rpt("photos", "Photos", "app", "bob"), "aud"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, member := range []string{"sub", "client_id", "aud"} {
				if (tc.other[member] != base[member]) != (member == tc.member) {
					t.Errorf("%s: %v and %v", member, base[member], tc.other[member])
				}
			}
		})
	}
}

// What changed between ticket and token counts as it is now.
func TestUG_33_ChangedSince(t *testing.T) {
	setup := func(t *testing.T, partial bool) (b *bench, pat, one, two, ticket string) {
		t.Helper()
		b = newBench(t, func(b *bench) { b.cfg.PartialGrant = partial })
		pat = b.pat("api")
		one, two = b.register(pat, "one", "", "get", "post"), b.register(pat, "two", "", "get")
		body := `[{"resource_id":"` + one + `","resource_scopes":["get","post"]},{"resource_id":"` + two + `","resource_scopes":["get"]}]`
		return b, pat, one, two, b.call(pat, http.MethodPost, "permission", body).get("ticket")
	}
	remove := func(b *bench, pat string, ids ...string) {
		for _, id := range ids {
			b.call(pat, http.MethodDelete, "resource/"+id, "")
		}
	}
	shrink := func(b *bench, pat, id string) {
		b.call(pat, http.MethodPut, "resource/"+id, `{"name":"one","resource_scopes":["get","delete"]}`)
	}
	for _, partial := range []bool{false, true} {
		b, _, one, two, ticket := setup(t, partial)
		if got := b.permissions(b.ask(ticket)); !cmp.Equal(got, map[string][]string{one: {"get", "post"}, two: {"get"}}) {
			t.Errorf("unchanged: %v", got)
		}
	}
	t.Run("a resource was deleted", func(t *testing.T) {
		b, pat, _, two, ticket := setup(t, false)
		remove(b, pat, two)
		if res := b.ask(ticket); res.code() != "request_denied" {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("a resource was deleted, UG-34 partial", func(t *testing.T) {
		b, pat, one, two, ticket := setup(t, true)
		remove(b, pat, two)
		if got := b.permissions(b.ask(ticket)); !cmp.Equal(got, map[string][]string{one: {"get", "post"}}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("a scope was lost", func(t *testing.T) {
		b, pat, one, _, ticket := setup(t, false)
		shrink(b, pat, one)
		if res := b.ask(ticket); res.code() != "request_denied" {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("a scope was lost, UG-34 partial", func(t *testing.T) {
		b, pat, one, two, ticket := setup(t, true)
		shrink(b, pat, one)
		if got := b.permissions(b.ask(ticket)); !cmp.Equal(got, map[string][]string{one: {"get"}, two: {"get"}}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("everything was deleted", func(t *testing.T) {
		b, pat, one, two, ticket := setup(t, true)
		remove(b, pat, one, two)
		if res := b.ask(ticket); res.code() != "request_denied" || b.op.Conns() != 0 {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("the resource server is gone", func(t *testing.T) {
		b, _, _, _, ticket := setup(t, false)
		next := b.reload(func(c *uma.Config) { c.ResourceServers = c.ResourceServers[1:] })
		if res := next.ask(ticket); res.code() != "invalid_grant" {
			t.Errorf("%s", res.text)
		}
	})
}

// Ids that people type do not look like flags.
func TestID_Typed(t *testing.T) {
	for range 2000 { // one in 64 would
		if id := uma.NewID(); id[0] == '-' {
			t.Fatal(id)
		}
	}
}
