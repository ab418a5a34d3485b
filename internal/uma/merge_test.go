package uma_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// CA-49: what a stranger's provider says of its people, and what a PCT holds, is
// never added to what a claims token says.
func TestCA_49_NothingIsMerged(t *testing.T) {
	compiled, _, err := cel.Compile(`"admin" in claims.groups`)
	if err != nil {
		t.Fatal(err)
	}
	admins := func(b *bench) {
		b.cfg.Policies = []uma.Policy{{
			Name: "admins", From: from("bob.example", "evil.example"), RequiredClaims: []string{"badge"}, When: compiled, AcceptPCT: b.cfg.PCTLifetime > 0,
		}}
		b.domain = append(b.domain, discovery.Domain{Pattern: "evil.example", BaseURL: b.op.Issuer, NoWebFinger: true})
	}
	admin := map[string]any{"groups": []string{"admin"}}
	t.Run("evil.example's groups, then the honest token", func(t *testing.T) {
		b := newBench(t, admins)
		ticket := b.fresh()
		evil := b.claims(ticket, map[string]any{"groups": []string{"admin"}, "email": "x@evil.example", "sub": "x"})
		res := b.pushWeb(ticket, b.sign(evil))
		if res.code() != "need_info" || names(res)[0] != "badge" {
			t.Fatalf("%d %s", res.status, res.text)
		}
		ticket = res.get("ticket")
		if res := b.pushWeb(ticket, b.sign(b.claims(ticket, map[string]any{"badge": "7"}))); res.code() != "request_denied" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("a PCT's groups beside the honest token", func(t *testing.T) {
		b := newBench(t, persisting)
		ticket := b.fresh()
		pct := b.pushWeb(ticket, b.sign(b.claims(ticket, admin))).get("pct")
		if pct == "" {
			t.Fatal("there is no PCT")
		}
		admins(b)
		next := b.reload(func(c *uma.Config) { c.Policies = b.cfg.Policies })
		ticket = next.fresh()
		form := map[string]string{
			"ticket": ticket, "pct": pct, "claim_token": next.sign(next.claims(ticket, map[string]any{"badge": "7"})),
			"claim_token_format": "urn:ietf:params:oauth:token-type:jwt",
		}
		if res := next.asWeb(form); res.code() != "request_denied" { // groups are missing: the condition cannot be evaluated
			t.Errorf("%d %s", res.status, res.text)
		}
		// And the badge is missing in what the PCT holds.
		if res := next.withPCT(next.fresh(), pct); res.code() != "need_info" || names(res)[0] != "badge" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("the same person with everything in one token", func(t *testing.T) {
		b := newBench(t, admins)
		if res := b.ask(b.fresh(), admin, map[string]any{"badge": "7"}); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestCA_EXT_15_PolicyInputs(t *testing.T) {
	rule, _, err := cel.Compile(`request.method == "POST" && claims.acr == "urn:high" && claims.org.unit == "rd" && "get" in scopes`)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "p", From: from("bob.example"), When: rule}} })
	good := map[string]any{"acr": "urn:high", "org": map[string]any{"unit": "rd"}}
	if res := b.ask(b.fresh(), good); res.status != 200 {
		t.Errorf("%d %s", res.status, res.text)
	}
	for name, claims := range map[string]map[string]any{
		"another acr":  {"acr": "urn:low", "org": map[string]any{"unit": "rd"}},
		"another unit": {"acr": "urn:high", "org": map[string]any{"unit": "hr"}},
		"no unit":      {"acr": "urn:high", "org": "rd"},
	} {
		if res := b.ask(b.fresh(), claims); res.code() != "request_denied" {
			t.Errorf("%s: %d %s", name, res.status, res.text)
		}
	}
}
