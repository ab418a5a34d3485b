package uma_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// upgrading is a bench whose api has two resources, and people of bob.example.
type upgrading struct {
	*bench
	pat, one, two string
}

func newUpgrading(t *testing.T, edits ...func(*bench)) upgrading {
	t.Helper()
	edits = append([]func(*bench){func(b *bench) { b.cfg.Policies[0].From = from("bob.example") }}, edits...)
	b := newBench(t, edits...)
	pat := b.pat("api")
	return upgrading{b, pat, b.register(pat, "one", "", "get", "post"), b.register(pat, "two", "", "get")}
}

// UG-20, UG-38, UG-40: the new RPT has the old permissions, too; the old one dies.
func TestUG_40_Upgrade(t *testing.T) {
	for name, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "opaque": opaque} {
		for age, pass := range map[string]time.Duration{"live": 0, "UG-20 expired": 5 * time.Minute, "almost too old": 7*time.Minute - time.Second} {
			t.Run(name+" "+age, func(t *testing.T) {
				b := newUpgrading(t, refreshing, edit)
				old := b.webGrant(b.ticket(b.pat, b.one, "get"))
				b.pass(pass)
				res := b.webGrant(b.ticket(b.pat, b.two, "get"), map[string]string{"rpt": old.get("access_token")})
				if res.body["upgraded"] != true {
					t.Fatalf("UG-38: %s", res.text)
				}
				want := map[string][]string{b.one: {"get"}, b.two: {"get"}}
				if got := b.opens(res.get("access_token")); !cmp.Equal(got, want) {
					t.Errorf("%v", got)
				}
				if b.active(old.get("access_token")) {
					t.Error("the old RPT is active")
				}
				if got := b.renew(old.get("refresh_token")); got.code() != "invalid_grant" {
					t.Errorf("the old refresh token: %s", got.text)
				}
				next := b.renew(res.get("refresh_token"))
				if got := b.opens(next.get("access_token")); !cmp.Equal(got, want) || next.body["upgraded"] != nil {
					t.Errorf("refreshed: %v", got)
				}
				if diff := cmp.Diff([]string{"upgraded"}, b.revocations()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	t.Run("more scopes of the same resource, and again", func(t *testing.T) {
		b := newUpgrading(t)
		res := b.ask(b.ticket(b.pat, b.one, "get"))
		for _, step := range []struct {
			id, scope string
			want      map[string][]string
		}{
			{b.one, "post", map[string][]string{b.one: {"get", "post"}}},
			{b.two, "get", map[string][]string{b.one: {"get", "post"}, b.two: {"get"}}},
			{b.one, "get", map[string][]string{b.one: {"get", "post"}, b.two: {"get"}}},
		} {
			ticket := b.ticket(b.pat, step.id, step.scope)
			res = b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"rpt": res.get("access_token")})
			if got := b.permissions(res); res.body["upgraded"] != true || !cmp.Equal(got, step.want) {
				t.Fatalf("%s: %s", res.text, got)
			}
		}
	})
}

// UG-20, UG-38, A24: whatever else stands in rpt gives a separate RPT, without a word.
func TestUG_20_NoUpgrade(t *testing.T) {
	bob := map[string]any{}
	for _, tc := range []struct {
		name string
		// rpt makes the value; the RPT in it opens one.
		rpt func(b upgrading) string
		// next are the claims in the second request.
		next map[string]any
		want bool
	}{
		{"the same", func(b upgrading) string { return b.ask(b.ticket(b.pat, b.one, "get")).get("access_token") }, bob, true},
		{"another address of the same sub", func(b upgrading) string { return b.ask(b.ticket(b.pat, b.one, "get")).get("access_token") }, map[string]any{"email": "robert@bob.example"}, true},
		{"garbage", func(upgrading) string { return "x.y.z" }, bob, false},
		{"an unknown reference", func(upgrading) string { return "rpt_" + strings.Repeat("A", 43) }, bob, false},
		{"another requesting party", func(b upgrading) string { return b.ask(b.ticket(b.pat, b.one, "get")).get("access_token") }, map[string]any{"sub": "eve"}, false},
		{"another client", func(b upgrading) string { return b.webGrant(b.ticket(b.pat, b.one, "get")).get("access_token") }, bob, false},
		{"another key", func(b upgrading) string { return b.boundGrant(b.ticket(b.pat, b.one, "get")).get("access_token") }, bob, false},
		{"another resource server", func(b upgrading) string {
			pat := b.bench.pat("photos")
			ticket := b.ticket(pat, b.register(pat, "x", "", "get"), "get")
			return b.present(ticket, b.sign(b.claims(ticket, map[string]any{"aud": "Photos"}))).get("access_token")
		}, bob, false},
		{"too old", func(b upgrading) string {
			rpt := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
			b.pass(7 * time.Minute)
			return rpt
		}, bob, false},
		{"revoked", func(b upgrading) string {
			rpt := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
			b.send("revoke", map[string]string{"token": rpt, "client_id": "app"})
			return rpt
		}, bob, false},
		{"its resource was deleted", func(b upgrading) string {
			rpt := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
			b.call(b.pat, http.MethodDelete, "resource/"+b.one, "")
			return rpt
		}, bob, false},
		{"a PAT", func(b upgrading) string { return b.pat }, bob, false},
		{"a ticket", func(b upgrading) string { return b.ticket(b.pat, b.one, "get") }, bob, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newUpgrading(t)
			rpt := tc.rpt(b)
			before := b.introspect(rpt)
			revoked := len(b.revocations())
			ticket := b.ticket(b.pat, b.two, "get")
			res := b.present(ticket, b.sign(b.claims(ticket, tc.next)), map[string]string{"rpt": rpt})
			got := b.permissions(res)
			if _, there := res.body["upgraded"]; there != tc.want || len(got[b.two]) != 1 || (len(got) == 2) != tc.want {
				t.Fatalf("%s: %v", res.text, got)
			}
			if tc.want {
				return
			}
			if after := b.introspect(rpt); after.text != before.text || len(b.revocations()) != revoked {
				t.Errorf("it had an effect: %s, then %s", before.text, after.text)
			}
			same := b.ask(b.ticket(b.pat, b.two, "get"))
			for _, body := range []map[string]any{res.body, same.body} {
				for _, name := range []string{"access_token", "decision_id"} {
					delete(body, name)
				}
			}
			if diff := cmp.Diff(same.body, res.body); diff != "" {
				t.Errorf("UG-20 the answer differs from one without rpt:\n%s", diff)
			}
		})
	}
	t.Run("another owner", func(t *testing.T) {
		b := newUpgrading(t, func(b *bench) { b.cfg.ResourceServers[0].Owner = "*" })
		make := func(owner string) string {
			return b.call(b.pat, http.MethodPost, "resource", `{"name":"x","owner":"`+owner+`","resource_scopes":["get"]}`).get("_id")
		}
		rpt := b.ask(b.ticket(b.pat, make("carol"), "get")).get("access_token")
		ticket := b.ticket(b.pat, make("dave"), "get")
		res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"rpt": rpt})
		if res.body["upgraded"] != nil || len(b.permissions(res)) != 1 || !b.active(rpt) {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("another resource server of the same owner", func(t *testing.T) {
		b := newUpgrading(t, func(b *bench) { b.cfg.ResourceServers[0].Owner, b.cfg.ResourceServers[1].Owner = "alice", "alice" })
		rpt := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
		pat := b.bench.pat("photos")
		ticket := b.ticket(pat, b.register(pat, "x", "", "get"), "get")
		res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"aud": "Photos"})), map[string]string{"rpt": rpt})
		if res.body["upgraded"] != nil || len(b.permissions(res)) != 1 || !b.active(rpt) {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("too much for one token", func(t *testing.T) {
		for size, want := range map[int][]bool{1900: {false, true, false}, 2000: {false, false, false}} {
			b := newUpgrading(t)
			long := strings.Repeat("s", size)
			rpt, upgraded := "", []bool{}
			for range 3 {
				ticket := b.ticket(b.pat, b.register(b.pat, "x", "", long), long)
				res := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"rpt": rpt})
				rpt = res.get("access_token")
				upgraded = append(upgraded, res.body["upgraded"] == true)
			}
			if !cmp.Equal(upgraded, want) {
				t.Errorf("scopes of %d bytes: %v", size, upgraded)
			}
		}
	})
}

// An upgrade grants nothing that would not be granted at this moment.
func TestUG_38_OldPermissionsAreJudged(t *testing.T) {
	b := newUpgrading(t)
	rpt := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
	only := func(name string) func(*uma.Config) {
		return func(c *uma.Config) {
			c.Policies = []uma.Policy{{Name: "some", From: from("bob.example"), Resources: []string{name}, ResourceServers: []string{"api"}}}
		}
	}
	t.Run("with a new revision the old grant dies", func(t *testing.T) {
		next := b.reload(only("two"), func(c *uma.Config) { c.PolicyRevision = "2" })
		ticket := next.ticket(b.pat, b.two, "get")
		res := next.present(ticket, next.sign(next.claims(ticket, nil)), map[string]string{"rpt": rpt})
		if res.body["upgraded"] != nil || !cmp.Equal(next.permissions(res), map[string][]string{b.two: {"get"}}) || next.active(rpt) {
			t.Errorf("%s", res.text)
		}
		if diff := cmp.Diff([]string{"the policies changed"}, next.revocations()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("claims that were there and are not any more", func(t *testing.T) {
		b := newUpgrading(t, func(b *bench) {
			b.cfg.Policies = []uma.Policy{
				{Name: "staff", From: from("bob.example"), Resources: []string{"one"}, RequiredClaims: []string{"groups"}, ResourceServers: []string{"api"}},
				{Name: "all", From: from("bob.example"), Resources: []string{"two"}, ResourceServers: []string{"api"}},
			}
		})
		rpt := b.ask(b.ticket(b.pat, b.one, "get"), map[string]any{"groups": []string{"staff"}}).get("access_token")
		for _, groups := range []any{nil, []string{"staff"}} {
			ticket := b.ticket(b.pat, b.two, "get")
			res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"groups": groups})), map[string]string{"rpt": rpt})
			if got := res.body["upgraded"] == true; got != (groups != nil) || b.active(rpt) != (groups == nil) {
				t.Errorf("groups %v: %s", groups, res.text)
			}
		}
	})
	t.Run("UG-60 the upgraded grant is judged as a whole", func(t *testing.T) {
		b := newUpgrading(t)
		rpt := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
		ticket := b.ticket(b.pat, b.two, "get")
		up := b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"rpt": rpt}).get("access_token")
		if !b.reload(func(c *uma.Config) { c.PolicyRevision = "2" }).active(up) {
			t.Error("nothing changed, and it is inactive")
		}
		if b.reload(only("two"), func(c *uma.Config) { c.PolicyRevision = "3" }).active(up) {
			t.Error("the old permission is not allowed any more")
		}
	})
}

// SEC-13: old and new change together or not at all.
func TestSEC_13_UpgradeFailsClosed(t *testing.T) {
	b := newUpgrading(t)
	old := b.ask(b.ticket(b.pat, b.one, "get")).get("access_token")
	ask := func() reply {
		ticket := b.ticket(b.pat, b.two, "get")
		return b.present(ticket, b.sign(b.claims(ticket, nil)), map[string]string{"rpt": old})
	}
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") })
	if res := ask(); res.status != 503 || res.body["access_token"] != nil {
		t.Errorf("%d %s", res.status, res.text)
	}
	b.faulty.Repair()
	if !b.active(old) || len(b.revocations()) != 0 {
		t.Error("the old RPT is inactive")
	}
	t.Run("the old RPT is revoked at the same time", func(t *testing.T) {
		b.between(func() { b.send("revoke", map[string]string{"token": old, "client_id": "app"}) })
		res := ask()
		if res.body["upgraded"] != nil || !cmp.Equal(b.permissions(res), map[string][]string{b.two: {"get"}}) {
			t.Errorf("%s", res.text)
		}
		if diff := cmp.Diff([]string{"revoked by the client"}, b.revocations()); diff != "" {
			t.Error(diff)
		}
	})
}

// SEC-26: what the conditions of one request may cost is bounded, an upgrade
// included.
func TestSEC_26_UpgradeHasABudget(t *testing.T) {
	calls, unbounded := 0, 0
	b := newUpgrading(t, func(b *bench) {
		b.cfg.Policies[0].When = when(func(in *policy.Input) (bool, error) {
			calls++
			if in.Budget == nil {
				unbounded++
			}
			return true, nil
		})
	})
	old := b.webGrant(b.ticket(b.pat, b.one, "get"))
	if res := b.webGrant(b.ticket(b.pat, b.two, "get"), map[string]string{"rpt": old.get("access_token")}); res.body["upgraded"] != true {
		t.Error("no upgrade")
	}
	if calls != 3 || unbounded != 0 {
		t.Errorf("%d evaluations, %d of them without a bound", calls, unbounded)
	}
}
