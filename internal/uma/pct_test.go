package uma_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// withPCT presents a ticket with a PCT and no claims token, as the confidential
// client.
func (b *bench) withPCT(ticket, pct string) reply {
	b.t.Helper()
	return b.asWeb(map[string]string{"ticket": ticket, "pct": pct})
}

func TestUG_18_PCT(t *testing.T) {
	b := newBench(t, persisting)
	first := b.webGrant(b.fresh())
	pct := first.get("pct")
	t.Run("another resource", func(t *testing.T) {
		res := b.withPCT(b.fresh(), pct)
		if res.status != 200 || res.body["pct"] != nil {
			t.Fatalf("%d %s", res.status, res.text)
		}
		if one, two := payload(t, first.get("access_token")), payload(t, res.get("access_token")); one["sub"] != two["sub"] {
			t.Errorf("%v and %v", one["sub"], two["sub"])
		}
	})
	t.Run("another resource server", func(t *testing.T) {
		photos := b.pat("photos")
		if res := b.withPCT(b.ticket(photos, b.register(photos, "x", "", "get"), "get"), pct); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("a claims token in the same request wins, and gives a new PCT", func(t *testing.T) {
		ticket := b.fresh()
		res := b.asWeb(map[string]string{
			"ticket": ticket, "pct": pct, "claim_token_format": oauth.ClaimTokenFormatJWT,
			"claim_token": b.sign(b.claims(ticket, map[string]any{"email": "eve@bob.example", "sub": "eve"})),
		})
		if res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.webGrant(b.fresh(), map[string]string{"pct": pct}); res.get("pct") == "" || res.get("pct") == pct {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("UG-21 the policies are asked", func(t *testing.T) {
		next := b.reload(func(c *uma.Config) {
			c.Policies = []uma.Policy{{Name: "carol", From: from("carol@bob.example"), AcceptPCT: true}}
		})
		if res := next.withPCT(next.fresh(), pct); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("A18 a policy demands a fresh token by default", func(t *testing.T) {
		next := b.reload(func(c *uma.Config) { c.Policies = []uma.Policy{{Name: "bob", From: from("bob@bob.example")}} })
		res := next.withPCT(next.fresh(), pct)
		if res.code() != "need_info" {
			t.Fatalf("%d %s", res.status, res.text)
		}
		if res := next.webGrant(res.get("ticket")); res.status != 200 {
			t.Errorf("%s", res.text)
		}
	})
}

// UG-57: whatever is wrong with a PCT, it is as if there were none.
func TestUG_57_Unusable(t *testing.T) {
	for _, tc := range []struct {
		name string
		code string
		use  func(b *bench, pct string) reply
	}{
		{"good", "", func(b *bench, pct string) reply { return b.withPCT(b.fresh(), pct) }},
		{"one second before it expires", "", func(b *bench, pct string) reply {
			b.pass(time.Hour - time.Second)
			return b.withPCT(b.fresh(), pct)
		}},
		{"expired", "need_info", func(b *bench, pct string) reply { b.pass(time.Hour); return b.withPCT(b.fresh(), pct) }},
		{"its use does not lengthen its life", "need_info", func(b *bench, pct string) reply {
			b.pass(59 * time.Minute)
			b.withPCT(b.fresh(), pct)
			b.pass(time.Minute)
			return b.withPCT(b.fresh(), pct)
		}},
		{"garbage", "need_info", func(b *bench, _ string) reply { return b.withPCT(b.fresh(), "x") }},
		{"unknown", "need_info", func(b *bench, _ string) reply { return b.withPCT(b.fresh(), "pct_"+strings.Repeat("A", 43)) }},
		{"another confidential client", "need_info", func(b *bench, pct string) reply {
			return b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": b.fresh(), "pct": pct}, basic("web2", webSecret))
		}},
		{"a public client", "need_info", func(b *bench, pct string) reply {
			return b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": b.fresh(), "pct": pct, "client_id": "app"})
		}},
		{"the client became public", "need_info", func(b *bench, pct string) reply {
			next := b.reload(func(c *uma.Config) { c.Clients = []clientauth.Client{{ID: "web", Public: true}} })
			return next.token(map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": next.fresh(), "pct": pct, "client_id": "web"})
		}},
		{"the client became public, and has a key", "need_info", func(b *bench, pct string) reply {
			next := b.reload(func(c *uma.Config) { c.Clients = []clientauth.Client{{ID: "web", Public: true}} })
			return next.bound(strangersKey, map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": next.fresh(), "pct": pct, "client_id": "web"})
		}},
		{"switched off", "need_info", func(b *bench, pct string) reply {
			next := b.reload(func(c *uma.Config) {
				c.PCTLifetime, c.Policies = 0, []uma.Policy{{Name: "bob", From: from("bob@bob.example")}}
			})
			return next.withPCT(next.fresh(), pct)
		}},
		{"another tenant", "need_info", func(b *bench, pct string) reply {
			next := b.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
			return next.withPCT(next.fresh(), pct)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, persisting, func(b *bench) {
				b.cfg.Clients = append(b.cfg.Clients, clientauth.Client{ID: "web2", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(webSecret)}}})
			})
			res := tc.use(b, b.webGrant(b.fresh()).get("pct"))
			if res.code() != tc.code || (tc.code == "") != (res.status == 200) {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("A25 bound to the key of a public client", func(t *testing.T) {
		b := newBench(t, persisting)
		form := map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "pct": b.boundGrant(b.fresh()).get("pct")}
		form["ticket"] = b.fresh()
		if res := b.token(form); res.code() != "need_info" {
			t.Errorf("without a proof: %s", res.text)
		}
		form["ticket"] = b.fresh()
		if res := b.bound(strangersKey, form); res.code() != "need_info" {
			t.Errorf("with another key: %s", res.text)
		}
		form["ticket"] = b.fresh()
		if res := b.bound(proofKey, form); res.status != 200 || res.get("token_type") != "DPoP" {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("its domain was denied since", func(t *testing.T) {
		b := newBench(t, persisting)
		pct := b.webGrant(b.fresh()).get("pct")
		finder, err := discovery.New(discovery.Config{
			Client: b.cfg.Outbound, Now: b.clock, Observe: event.None, Domains: []discovery.Domain{{Pattern: "bob.example", Deny: true}},
		})
		if err != nil {
			t.Fatal(err)
		}
		next := b.reload(func(c *uma.Config) { c.Finder = finder })
		if res := next.withPCT(next.fresh(), pct); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestSEC_13_PCTFailsClosed(t *testing.T) {
	b := newBench(t, persisting)
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "pct") })
	ticket := b.fresh()
	if res := b.pushWeb(ticket, b.sign(b.claims(ticket, nil))); res.status != http.StatusServiceUnavailable || res.body["access_token"] != nil {
		t.Errorf("%d %s", res.status, res.text)
	}
	b.faulty.Repair()
	pct := b.webGrant(b.fresh()).get("pct")
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "pct" })
	if res := b.withPCT(b.fresh(), pct); res.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", res.status, res.text)
	}
}

// UG-57, SEC-27: the word of an issuer that the administrator pinned counts no
// longer than his pin, whatever was kept of it; a grant ends with it, too.
func TestUG_57_PinnedThen(t *testing.T) {
	pin := func(issuer string) func(*bench) {
		return func(b *bench) {
			b.domain = nil
			if issuer != "" {
				b.domain = []discovery.Domain{{Pattern: "bob.example", BaseURL: issuer, NoWebFinger: true}}
			}
		}
	}
	for _, tc := range []struct {
		name        string
		first, then string
		want        bool
	}{
		{"the same pin", oldIssuer, oldIssuer, true},
		{"pinned now, found then", "", oldIssuer, true},
		{"another pin", oldIssuer, newIssuer, false},
		{"another pin, found then", "", newIssuer, false},
		{"no pin any more", oldIssuer, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, refreshing, persisting, pin(tc.first), func(b *bench) { b.cfg.PolicyRevision = "1" })
			first := b.webGrant(b.fresh())
			next := b.repin(func(b *bench) { pin(tc.then)(b); b.cfg.PolicyRevision = "2" })
			res := next.withPCT(next.fresh(), first.get("pct"))
			if (res.status == 200) != tc.want || !tc.want && res.code() != "need_info" {
				t.Errorf("PCT: %d %s", res.status, res.code())
			}
			known := oldIssuer
			if got := next.domainView("bob.example").known(); got != known {
				t.Errorf("the domain is known with %s", got)
			}
			if got := next.active(first.get("access_token")); got != tc.want {
				t.Errorf("RPT: %v", got)
			}
			if got := next.renew(first.get("refresh_token")); (got.status == 200) != tc.want {
				t.Errorf("refresh: %d %s", got.status, got.code())
			}
		})
	}
}
