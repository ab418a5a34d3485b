package uma_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// Holes that other authorization servers had, by their published reports.
func TestUF_04_PublishedHoles(t *testing.T) {
	entry := func(id string) string { return `{"resource_id":"` + id + `","resource_scopes":["get"]}` }

	t.Run("keycloak 53073: tickets by name merge scopes across owners", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].Owner = "*" })
		pat := b.pat("api")
		make := func(owner, scopes string) string {
			return b.call(pat, http.MethodPost, "resource", `{"name":"Album","owner":"`+owner+`","resource_scopes":`+scopes+`}`).get("_id")
		}
		carol, dave := make("carol", `["get"]`), make("dave", `["get","delete"]`)
		if res := b.call(pat, http.MethodPost, "permission", `{"resource_id":"Album","resource_scopes":["get"]}`); res.code() != "invalid_resource_id" {
			t.Errorf("by name: %s", res.text)
		}
		if res := b.call(pat, http.MethodPost, "permission", `{"resource_id":"`+carol+`","resource_scopes":["delete"]}`); res.code() != "invalid_scope" {
			t.Errorf("scope of dave's: %s", res.text)
		}
		got := b.permissions(b.ask(b.ticket(pat, carol, "get")))
		if len(got) != 1 || len(got[carol]) != 1 || got[dave] != nil {
			t.Errorf("%v", got)
		}
	})
	t.Run("keycloak 50351: one ticket opens all of a type", func(t *testing.T) {
		b := newBench(t)
		pat := b.pat("api")
		one := b.register(pat, "one", "photo", "get")
		b.register(pat, "two", "photo", "get")
		if got := b.permissions(b.ask(b.ticket(pat, one, "get"))); len(got) != 1 || got[one] == nil {
			t.Errorf("%v", got)
		}
		if res := b.call(pat, http.MethodPost, "permission", entry("photo")); res.code() != "invalid_resource_id" {
			t.Errorf("by type: %s", res.text)
		}
	})
	t.Run("keycloak 41767 47717: another one's ids", func(t *testing.T) {
		b := newBench(t)
		id := b.register(b.pat("api"), "x", "", "get")
		if res := b.call(b.pat("photos"), http.MethodPost, "permission", entry(id)); res.code() != "invalid_resource_id" {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("keycloak 46723: enumeration", func(t *testing.T) {
		b := newBench(t)
		pat := b.pat("api")
		id := b.register(pat, "x", "", "get")
		b.ticket(pat, id, "get")
		other := b.pat("photos")
		for _, path := range []string{"resource", "resource/", "permission", "ticket", "resource?owner=api", "resource?name=x"} {
			if res := b.call(other, http.MethodGet, path, ""); strings.Contains(res.text, id) {
				t.Errorf("%s: %s", path, res.text)
			}
		}
	})
	t.Run("keycloak 46147: ownership of the first one alone", func(t *testing.T) {
		b := newBench(t)
		api, photos := b.pat("api"), b.pat("photos")
		mine, foreign := b.register(photos, "x", "", "get"), b.register(api, "x", "", "get")
		for _, body := range []string{"[" + entry(mine) + "," + entry(foreign) + "]", "[" + entry(foreign) + "," + entry(mine) + "]"} {
			if res := b.call(photos, http.MethodPost, "permission", body); res.code() != "invalid_resource_id" {
				t.Errorf("%s", res.text)
			}
		}
	})
	t.Run("keycloak 30779: a user's token in the place of the client's", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		token := b.sign(b.claims(ticket, nil))
		res := b.token(map[string]string{
			"grant_type": "urn:ietf:params:oauth:grant-type:uma-ticket", "ticket": ticket,
			"claim_token": token, "claim_token_format": "urn:ietf:params:oauth:token-type:jwt",
		}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		if res.status == 200 || res.code() != "invalid_request" {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.present(ticket, token); res.status != 200 {
			t.Errorf("UG-41 the ticket was spent: %s", res.text)
		}
	})
	t.Run("keycloak 49086: an address is no user name", func(t *testing.T) {
		b := newBench(t)
		ticket := b.fresh()
		who := map[string]any{"email": "eve@bob.example", "sub": "bob@bob.example", "preferred_username": "bob@bob.example"}
		if res := b.ask(ticket, who); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("keycloak 51379: the client's claims instead of the clock", func(t *testing.T) {
		past, _, err := cel.Compile(`now < timestamp("2020-01-01T00:00:00Z")`)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "past", From: from("bob.example"), When: past}} })
		claims := map[string]any{"now": "2019-01-01T00:00:00Z", "kc.time.date_time": "2019-01-01 00:00:00", "time": 0}
		if res := b.ask(b.fresh(), claims); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("wg-uma 160: a claims token for somebody else's ticket", func(t *testing.T) {
		b := newBench(t)
		ticket, other := b.fresh(), b.fresh()
		if res := b.present(other, b.sign(b.claims(ticket, nil))); res.code() != "need_info" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

// CA-33, CA-EXT-10, CA-EXT-11: whose provider counts for a domain.
func TestCA_33_EmailDomain(t *testing.T) {
	const other = "https://other.bob.example"
	for _, tc := range []struct {
		name   string
		domain func(*fakeop.OP) discovery.Domain
		link   string
		want   string
	}{
		{"delegated by WebFinger", nil, other, ""},
		{"CA-EXT-11 same_domain refuses the delegation", func(*fakeop.OP) discovery.Domain { return discovery.Domain{Pattern: "bob.example", SameDomain: true} }, other, "need_info"},
		{"CA-EXT-11 same_domain, issuer of the domain", func(*fakeop.OP) discovery.Domain { return discovery.Domain{Pattern: "bob.example", SameDomain: true} }, "https://bob.example", ""},
		{"pinned", func(*fakeop.OP) discovery.Domain {
			return discovery.Domain{Pattern: "bob.example", BaseURL: other, NoWebFinger: true}
		}, "https://evil.example", ""},
		{"pinned to another one", func(*fakeop.OP) discovery.Domain {
			return discovery.Domain{Pattern: "bob.example", BaseURL: "https://evil.example", NoWebFinger: true}
		}, other, "need_info"},
		{"CA-EXT-10 denied", func(*fakeop.OP) discovery.Domain { return discovery.Domain{Pattern: "bob.example", Deny: true} }, other, "request_denied"},
		{"CA-EXT-10 another one is denied", func(*fakeop.OP) discovery.Domain { return discovery.Domain{Pattern: "evil.example", Deny: true} }, other, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.op.Link(func(string) (string, bool) { return tc.link, true })
				issuer := other
				if tc.link == "https://bob.example" {
					issuer = tc.link
				}
				b.op.Edit(func(doc map[string]any) { doc["issuer"] = issuer })
				if tc.domain != nil {
					b.domain = []discovery.Domain{tc.domain(b.op)}
				}
				b.cfg.Policies = []uma.Policy{{Name: "bob", From: from("bob@bob.example")}}
			})
			iss := other
			if tc.link == "https://bob.example" {
				iss = tc.link
			}
			res := b.ask(b.fresh(), map[string]any{"iss": iss})
			if res.code() != tc.want {
				t.Errorf("%d %s", res.status, res.text)
			}
			if tc.want == "request_denied" && b.op.Conns() != 0 {
				t.Error("CA-EXT-10: somebody was called")
			}
		})
	}
}
