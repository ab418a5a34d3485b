package uma_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

const webSecret = "secret-of-the-web-app"

// asWeb sends the UMA grant as the confidential client.
func (b *bench) asWeb(form map[string]string) reply {
	b.t.Helper()
	all := map[string]string{"grant_type": oauth.GrantUMATicket}
	maps.Copy(all, form)
	return b.token(all, basic("web", webSecret))
}

// pushWeb sends ticket and claims token as the confidential client.
func (b *bench) pushWeb(ticket, claimToken string) reply {
	b.t.Helper()
	return b.asWeb(map[string]string{"ticket": ticket, "claim_token": claimToken, "claim_token_format": oauth.ClaimTokenFormatJWT})
}

// staffOnly lets bob in if his groups are there.
func staffOnly(b *bench) {
	b.cfg.Policies = []uma.Policy{{Name: "staff", From: from("bob.example"), RequiredClaims: []string{"groups"}}}
}

// names are those of the claims that a need_info answer asks for.
func names(res reply) []string {
	var out []string
	list, _ := res.body["required_claims"].([]any)
	for _, entry := range list {
		claim, _ := entry.(map[string]any)
		name, _ := claim["name"].(string)
		out = append(out, name)
	}
	return out
}

func TestUG_17_RequiredClaims(t *testing.T) {
	b := newBench(t, staffOnly)
	first := b.fresh()
	res := b.ask(first)
	if res.status != http.StatusForbidden || res.code() != "need_info" {
		t.Fatalf("%d %s", res.status, res.text)
	}
	if got := names(res); len(got) != 1 || got[0] != "groups" {
		t.Errorf("UG-44: required_claims = %v, want groups", got)
	}
	next := res.get("ticket")
	t.Run("CA-38 the old claims token is of no use with the new ticket", func(t *testing.T) {
		b := newBench(t, staffOnly)
		old := b.fresh()
		token := b.sign(b.claims(old, map[string]any{"groups": []string{"staff"}}))
		res := b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": old})
		if res := b.present(res.get("ticket"), token); res.code() != "need_info" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	if res := b.ask(next, map[string]any{"groups": []string{"staff"}}); res.status != http.StatusOK {
		t.Errorf("with the claim: %d %s", res.status, res.text)
	}
	t.Run("who could not be let in learns nothing", func(t *testing.T) {
		b := newBench(t, staffOnly)
		b.cfg.Policies = append(b.cfg.Policies, uma.Policy{Name: "no", Deny: true, From: from("bob@bob.example")})
		if res := b.reload().ask(b.fresh()); res.code() != "request_denied" || res.body["required_claims"] != nil {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestCA_38_KeptClaims(t *testing.T) {
	staff := map[string]any{"groups": []string{"staff"}}
	t.Run("an authenticated client polls without a token", func(t *testing.T) {
		b := newBench(t, staffOnly)
		ticket := b.fresh()
		res := b.pushWeb(ticket, b.sign(b.claims(ticket, nil)))
		for range 2 {
			if res.code() != "need_info" || len(names(res)) != 1 || names(res)[0] != "groups" {
				t.Fatalf("%d %s", res.status, res.text)
			}
			res = b.asWeb(map[string]string{"ticket": res.get("ticket")})
		}
		t.Run("UG-64 the store names nobody meanwhile", func(t *testing.T) {
			dump, err := os.ReadFile(b.path)
			if err != nil || bytes.Contains(dump, []byte("bob@")) || bytes.Contains(dump, []byte("bob-1")) || bytes.Contains(dump, []byte(res.get("ticket"))) {
				t.Errorf("%v: a name or ticket is in the store", err)
			}
		})
		ticket = res.get("ticket")
		if res := b.pushWeb(ticket, b.sign(b.claims(ticket, staff))); res.status != http.StatusOK {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("a policy that changes meanwhile decides on kept claims", func(t *testing.T) {
		b := newBench(t, staffOnly)
		ticket := b.fresh()
		res := b.pushWeb(ticket, b.sign(b.claims(ticket, nil)))
		next := b.reload(func(c *uma.Config) { c.Policies = []uma.Policy{{Name: "bob", From: from("bob.example")}} })
		if res := next.asWeb(map[string]string{"ticket": res.get("ticket")}); res.status != http.StatusOK {
			t.Errorf("%d %s", res.status, res.text)
		}
		closed := b.reload(func(c *uma.Config) { c.Policies = nil })
		ticket = b.fresh()
		res = b.pushWeb(ticket, b.sign(b.claims(ticket, nil)))
		if res := closed.asWeb(map[string]string{"ticket": res.get("ticket")}); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("for a public client nothing is kept", func(t *testing.T) {
		b := newBench(t, staffOnly)
		res := b.ask(b.fresh())
		res = b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": res.get("ticket")})
		if res.code() != "need_info" || len(names(res)) != 1 || names(res)[0] != "email" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("another client cannot use the successor", func(t *testing.T) {
		b := newBench(t, staffOnly)
		ticket := b.fresh()
		next := b.pushWeb(ticket, b.sign(b.claims(ticket, nil))).get("ticket")
		if res := b.ask(next, staff); res.code() != "invalid_grant" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("kept claims expire with their ticket", func(t *testing.T) {
		b := newBench(t, staffOnly)
		ticket := b.fresh()
		res := b.pushWeb(ticket, b.sign(b.claims(ticket, nil)))
		b.pass(5*time.Minute - time.Second)
		res = b.asWeb(map[string]string{"ticket": res.get("ticket")})
		if names(res)[0] != "groups" {
			t.Fatalf("%d %s", res.status, res.text)
		}
		b.pass(5 * time.Minute)
		if res := b.asWeb(map[string]string{"ticket": res.get("ticket")}); res.code() != "invalid_grant" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("a bad token does not lose them", func(t *testing.T) {
		b := newBench(t, staffOnly)
		ticket := b.fresh()
		next := b.pushWeb(ticket, b.sign(b.claims(ticket, nil))).get("ticket")
		res := b.pushWeb(next, b.sign(b.claims(ticket, staff))) // for the first ticket
		if res.code() != "need_info" || names(res)[0] != "email" {
			t.Fatalf("%d %s", res.status, res.text)
		}
		if res = b.asWeb(map[string]string{"ticket": res.get("ticket")}); res.code() != "need_info" || names(res)[0] != "groups" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestCA_49_OneRequestingParty(t *testing.T) {
	two := func(b *bench) {
		b.cfg.Policies = []uma.Policy{{
			Name: "admins", From: from("bob.example", "evil.example"), RequiredClaims: []string{"groups", "badge"},
		}}
	}
	for _, tc := range []struct {
		name   string
		second map[string]any
		code   string
	}{
		{"the same person again", map[string]any{"badge": "7"}, "need_info"},
		{"the same person with everything", map[string]any{"badge": "7", "groups": []string{"admin"}}, ""},
		{"another sub", map[string]any{"badge": "7", "groups": []string{"admin"}, "sub": "bob-2"}, "request_denied"},
		{"another address", map[string]any{"badge": "7", "groups": []string{"admin"}, "email": "carol@bob.example"}, "request_denied"},
		{"another case of the address", map[string]any{"badge": "7", "groups": []string{"admin"}, "email": "Bob@bob.example"}, "request_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, client := range []string{"app", "web"} {
				b := newBench(t, two)
				push := b.present
				if client == "web" {
					push = func(ticket, token string, _ ...map[string]string) reply { return b.pushWeb(ticket, token) }
				}
				ticket := b.fresh()
				res := push(ticket, b.sign(b.claims(ticket, map[string]any{"groups": []string{"admin"}})))
				if res.code() != "need_info" {
					t.Fatalf("%s: %d %s", client, res.status, res.text)
				}
				ticket = res.get("ticket")
				res = push(ticket, b.sign(b.claims(ticket, tc.second)))
				if res.code() != tc.code {
					t.Errorf("%s: %d %s", client, res.status, res.text)
				}
			}
		})
	}
	t.Run("kept claims are not merged with a new token's", func(t *testing.T) {
		b := newBench(t, two)
		ticket := b.fresh()
		ticket = b.pushWeb(ticket, b.sign(b.claims(ticket, map[string]any{"groups": []string{"admin"}}))).get("ticket")
		res := b.pushWeb(ticket, b.sign(b.claims(ticket, map[string]any{"badge": "7"})))
		if got := names(res); len(got) != 1 || got[0] != "groups" {
			t.Fatalf("%s", res.text)
		}
		res = b.asWeb(map[string]string{"ticket": res.get("ticket")})
		if got := names(res); len(got) != 1 || got[0] != "groups" { // the newest token replaced the first
			t.Errorf("%s", res.text)
		}
	})
}
