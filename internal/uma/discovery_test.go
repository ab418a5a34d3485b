package uma_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// Once Bob's provider is known, tokens that it did not sign cost no request,
// whatever address at his domain they name.
func TestSEC_09_ForgedTokensOfAKnownIssuer(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "domain", From: from("bob.example")}}
	})
	ticket := b.fresh()
	if res := b.present(ticket, b.sign(b.claims(ticket, nil))); res.status != 200 {
		t.Fatalf("%s", res.text)
	}
	b.op.Forget()
	for i := range 5 {
		ticket := b.fresh()
		c := b.claims(ticket, map[string]any{"email": fmt.Sprintf("u%d@bob.example", i)})
		if res := b.present(ticket, b.op.Forge(c, oauth.TypClaimsToken)); res.code() != "need_info" {
			t.Errorf("forged: %s", res.text)
		}
	}
	if n := b.op.Hits(""); n != 0 {
		t.Errorf("%d requests for forged tokens, want none", n)
	}
	ticket = b.fresh()
	if res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"email": "u1@bob.example"}))); res.status != 200 {
		t.Errorf("a good token of one whom they named: %s", res.text)
	}
}

// A grant puts Bob where the budget of strangers does not matter: the client
// that has used it up still works for him when his entries are too old.
func TestSEC_09_GrantIsRemembered(t *testing.T) {
	for _, granted := range []bool{true, false} {
		b := newBench(t, func(b *bench) {
			b.cfg.Policies = []uma.Policy{{Name: "domain", From: from("bob.example")}}
			b.newPerSource = 2
		})
		if granted {
			ticket := b.fresh()
			if res := b.present(ticket, b.sign(b.claims(ticket, nil))); res.status != 200 {
				t.Fatalf("%s", res.text)
			}
		}
		b.pass(15 * time.Minute)
		for i := range 4 { // unknown kids of unknown people: nothing is free
			ticket := b.fresh()
			c := b.claims(ticket, map[string]any{"email": fmt.Sprintf("u%d@bob.example", i)})
			if res := b.present(ticket, b.op.Forge(c, oauth.TypClaimsToken)); res.code() != "need_info" {
				t.Errorf("forged: %s", res.text)
			}
		}
		ticket := b.fresh()
		if res := b.present(ticket, b.sign(b.claims(ticket, nil))); (res.status == 200) != granted {
			t.Errorf("granted before: %v; now %s", granted, res.text)
		}
	}
}
