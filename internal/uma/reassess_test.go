package uma_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// UG-60, UG-52: when the policies change, live grants are evaluated once more as
// they were asked, at introspection and at refresh.
func TestUG_60_PoliciesChange(t *testing.T) {
	bob := uma.Policy{Name: "bob", From: from("bob@bob.example")}
	for _, tc := range []struct {
		name string
		edit func(*uma.Config)
		want bool
	}{
		{"UG-52 nothing", func(*uma.Config) {}, true},
		{"UG-52 others, but the revision stayed", func(c *uma.Config) { c.Policies = nil }, true},
		{"the same in other words", func(c *uma.Config) { c.PolicyRevision, c.Policies = "2", []uma.Policy{bob} }, true},
		{"more people", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "all", From: from("bob.example")}}
		}, true},
		{"none", func(c *uma.Config) { c.PolicyRevision, c.Policies = "2", nil }, false},
		{"others", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "carol", From: from("carol@bob.example")}}
		}, false},
		{"denied now", func(c *uma.Config) {
			c.PolicyRevision = "2"
			c.Policies = []uma.Policy{bob, {Name: "no", Deny: true, From: from("bob.example")}}
		}, false},
		{"denied in a shadow", func(c *uma.Config) {
			c.PolicyRevision = "2"
			c.Policies = []uma.Policy{bob, {Name: "no", Deny: true, Shadow: true, From: from("bob.example")}}
		}, true},
		{"a part of the scopes", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), Scopes: []string{"post"}}}
		}, false},
		{"of another client", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), Clients: []string{"app"}}}
		}, false},
		{"of this client", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), Clients: []string{"web"}}}
		}, true},
		{"a claim that was there", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), RequiredClaims: []string{"groups"}}}
		}, true},
		{"a claim that was not", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), RequiredClaims: []string{"badge"}}}
		}, false},
		{"only bound tokens", func(c *uma.Config) {
			c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), Require: uma.BindDPoP}}
		}, false},
		{"the domain is denied", func(c *uma.Config) {
			c.PolicyRevision = "2"
			c.Finder, _ = discovery.New(discovery.Config{Client: c.Outbound, Now: c.Now, Observe: event.None, Domains: []discovery.Domain{{Pattern: "bob.example", Deny: true}}})
		}, false},
	} {
		for kind, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "opaque": opaque} {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				b := newBench(t, refreshing, edit, func(b *bench) { b.cfg.PolicyRevision = "1" })
				grant := func() reply {
					ticket := b.fresh()
					return b.webGrant(ticket, map[string]string{"claim_token": b.sign(b.claims(ticket, map[string]any{"groups": []string{"staff"}}))})
				}
				one, two := grant(), grant()
				b.pass(time.Minute)
				next := b.reload(tc.edit)
				if got := next.active(one.get("access_token")); got != tc.want {
					t.Errorf("introspection: %v", got)
				}
				if got := next.renew(two.get("refresh_token")); (got.status == 200) != tc.want || !tc.want && got.code() != "invalid_grant" {
					t.Errorf("refresh: %s", got.text)
				}
				var want []string
				if !tc.want {
					want = []string{"the policies changed", "the policies changed"}
				}
				if diff := cmp.Diff(want, next.revocations()); diff != "" {
					t.Error(diff)
				}
				// What is revoked stays so, even if the old policies come back.
				if got := b.active(one.get("access_token")); got != tc.want {
					t.Errorf("under the old policies: %v", got)
				}
			})
		}
	}
}

// The evaluation sees the request as it was: time, method and address.
func TestUG_60_AsItWasAsked(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.PolicyRevision = "1" })
	then := b.clock()
	rpt := b.ask(b.fresh()).get("access_token")
	b.pass(2 * time.Minute)
	var asked []*policy.Input
	next := b.reload(func(c *uma.Config) {
		c.PolicyRevision = "2"
		c.Policies = []uma.Policy{{Name: "bob", From: from("bob@bob.example"), When: when(func(in *policy.Input) (bool, error) {
			asked = append(asked, in)
			return true, nil
		})}}
	})
	for range 2 {
		if !next.active(rpt) {
			t.Error("inactive")
		}
	}
	if len(asked) != 1 {
		t.Fatalf("evaluated %d times, want once", len(asked))
	}
	in := asked[0]
	if !in.Now.Equal(then) || in.Request.IP != "192.0.2.1" || in.Request.Method != http.MethodPost || in.Client != "app" || in.Subject != "bob-1" || !cmp.Equal(in.Scopes, []string{"get"}) {
		t.Errorf("%+v", in)
	}
}

func TestUG_60_FailsClosed(t *testing.T) {
	setup := func(t *testing.T) (b, next *bench, rpt string) {
		t.Helper()
		b = newBench(t, func(b *bench) { b.cfg.PolicyRevision = "1" })
		rpt = b.ask(b.fresh()).get("access_token")
		return b, b.reload(func(c *uma.Config) { c.PolicyRevision = "2" }), rpt
	}
	t.Run("SEC-13 the new revision cannot be recorded", func(t *testing.T) {
		b, next, rpt := setup(t)
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") })
		if res := next.introspect(rpt); res.status != 503 || res.body["active"] != nil {
			t.Errorf("%d %s", res.status, res.text)
		}
		b.faulty.Repair()
		if !next.active(rpt) {
			t.Error("inactive")
		}
	})
	t.Run("SEC-13 the end cannot be recorded", func(t *testing.T) {
		b, _, rpt := setup(t)
		closed := b.reload(func(c *uma.Config) { c.PolicyRevision, c.Policies = "3", nil })
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") })
		if res := closed.introspect(rpt); res.status != 503 || len(closed.revocations()) != 0 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("the decision is gone", func(t *testing.T) {
		b, next, rpt := setup(t)
		b.faulty.Before(func(_ context.Context, c storetest.Call) error {
			if c.Method == "Get" && c.Key.Kind == "decided" {
				return store.ErrNotFound
			}
			return nil
		})
		if next.active(rpt) || !cmp.Equal(next.revocations(), []string{"the policies changed"}) {
			t.Errorf("active; %v", next.revocations())
		}
	})
	t.Run("another node was quicker", func(t *testing.T) {
		b, next, rpt := setup(t)
		b.between(func() { next.active(rpt) })
		if !next.active(rpt) {
			t.Error("inactive")
		}
	})
	t.Run("many at once", func(t *testing.T) {
		b, _, rpt := setup(t)
		closed := b.reload(func(c *uma.Config) { c.PolicyRevision, c.Policies = "3", nil })
		pat := closed.pat("api")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if res := closed.send("introspect", map[string]string{"token": rpt}, bearer(pat)); res.text != inactive {
					t.Errorf("%d %s", res.status, res.text)
				}
			})
		}
		wg.Wait()
		if n := len(closed.revocations()); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// UG-60, A40: what a replayed ticket ends, and what it does not.
func TestUG_60_Replay(t *testing.T) {
	t.Run("the accepted claims token, after the grace", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		token := b.sign(b.claims(ticket, nil))
		rpt := b.present(ticket, token).get("access_token")
		b.pass(9 * time.Second)
		if res := b.present(ticket, token); res.code() != "invalid_grant" || !b.active(rpt) {
			t.Errorf("within the grace: %s", res.text)
		}
		b.pass(time.Second)
		if res := b.present(ticket, token); res.code() != "invalid_grant" || b.active(rpt) {
			t.Errorf("after the grace: %s", res.text)
		}
		b.present(ticket, token)
		if diff := cmp.Diff([]string{"a ticket was presented again"}, b.revocations()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("50 bare replays by another client", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		rpt := b.present(ticket, b.sign(b.claims(ticket, nil))).get("access_token")
		b.pass(time.Minute)
		for range 50 {
			b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "other", "ticket": ticket})
		}
		if !b.active(rpt) || len(b.revocations()) != 0 {
			t.Error("the winner's RPT was revoked")
		}
	})
	t.Run("the same public client, bare", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		rpt := b.present(ticket, b.sign(b.claims(ticket, nil))).get("access_token")
		b.pass(time.Minute)
		if b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket}); !b.active(rpt) {
			t.Error("anybody can say that he is this client")
		}
	})
	t.Run("the same authenticated client: RPTs, refresh token and PCT", func(t *testing.T) {
		b := newBench(t, refreshing, persisting, opaque)
		ticket := b.fresh()
		res := b.webGrant(ticket)
		next := b.renew(res.get("refresh_token"))
		b.pass(time.Minute)
		if got := b.asWeb(map[string]string{"ticket": ticket}); got.code() != "invalid_grant" {
			t.Errorf("%s", got.text)
		}
		if b.active(res.get("access_token")) || b.active(next.get("access_token")) {
			t.Error("an RPT is active")
		}
		if got := b.renew(next.get("refresh_token")); got.code() != "invalid_grant" {
			t.Errorf("refresh token: %s", got.text)
		}
		if got := b.withPCT(b.fresh(), res.get("pct")); got.code() != "need_info" {
			t.Errorf("UG-57 PCT: %s", got.text)
		}
	})
	t.Run("what an upgrade made of it ends, too", func(t *testing.T) {
		b := newUpgrading(t)
		ticket := b.ticket(b.pat, b.one, "get")
		token := b.sign(b.claims(ticket, nil))
		rpt := b.present(ticket, token).get("access_token")
		second := b.ticket(b.pat, b.two, "get")
		up := b.present(second, b.sign(b.claims(second, nil)), map[string]string{"rpt": rpt})
		if up.body["upgraded"] != true {
			t.Fatal(up.text)
		}
		b.pass(time.Minute)
		if b.present(ticket, token); b.active(up.get("access_token")) {
			t.Error("active")
		}
		if got := strings.Join(b.revocations(), ", "); got != "upgraded, a ticket was presented again" {
			t.Errorf("%s", got)
		}
	})
	t.Run("SEC-13 the revocation cannot be recorded", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		token := b.sign(b.claims(ticket, nil))
		b.present(ticket, token)
		b.pass(time.Minute)
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionSwap, "grant") })
		if res := b.present(ticket, token); res.status != 503 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

// UG-60: what could not be evaluated under the new policies, because its scope was
// not registered at that moment, does not come back with the scope.
func TestUG_60_ScopeThatComesBack(t *testing.T) {
	for _, tc := range []struct {
		name  string
		allow []string
		want  map[string][]string
	}{
		{"denied now", []string{"get"}, map[string][]string{"x": {"get"}}},
		{"allowed as before", []string{"get", "post"}, map[string][]string{"x": {"get"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, refreshing, func(b *bench) { b.cfg.PolicyRevision = "1" })
			pat := b.pat("api")
			id := b.register(pat, "x", "", "get", "post")
			res := b.webGrant(b.ticket(pat, id, "get", "post"))
			offer := func(scopes string) {
				t.Helper()
				if res := b.call(pat, http.MethodPut, "resource/"+id, `{"resource_scopes":`+scopes+`}`); res.status != 200 {
					t.Fatalf("%d %s", res.status, res.text)
				}
			}
			offer(`["get"]`)
			next := b.reload(func(c *uma.Config) {
				c.PolicyRevision, c.Policies = "2", []uma.Policy{{Name: "bob", From: from("bob@bob.example"), Scopes: tc.allow}}
			})
			want := map[string][]string{id: tc.want["x"]}
			if got := next.opens(res.get("access_token")); !cmp.Equal(got, want) {
				t.Errorf("without the scope: %v", got)
			}
			offer(`["get","post"]`)
			if got := next.opens(res.get("access_token")); !cmp.Equal(got, want) {
				t.Errorf("the scope is there again: %v", got)
			}
			renewed := next.renew(res.get("refresh_token"))
			if got := next.permissions(renewed); !cmp.Equal(got, want) {
				t.Errorf("refreshed: %v", got)
			}
		})
	}
}
