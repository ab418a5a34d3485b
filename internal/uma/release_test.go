package uma_test

import (
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// A claim of the protocol that a stranger's provider asserts must not get into
// an RPT.
func TestAT_02_ReleaseOfProtocolClaims(t *testing.T) {
	for name, ok := range map[string]bool{"groups": true, "name": true, "nbf": false, "cnf": false, "permissions": false, "act": false} {
		cfg := uma.Config{ResourceServers: []uma.ResourceServer{{ID: "api", URI: apiURI, Local: true, Release: []string{name}}}}
		if err := cfg.Check(); (err == nil) != ok {
			t.Errorf("release %s: %v", name, err)
		}
	}
}

// A deny rule is not passed by another spelling of the local part; an allow rule
// is for one spelling.
func TestSEC_26_CaseOfTheLocalPart(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rules []uma.Policy
		email string
		code  string
	}{
		{"deny folds case", []uma.Policy{{Name: "d", Deny: true, From: from("mallory@bob.example")}, {Name: "a", From: from("bob.example")}}, "Mallory@bob.example", "request_denied"},
		{"another person", []uma.Policy{{Name: "d", Deny: true, From: from("mallory@bob.example")}, {Name: "a", From: from("bob.example")}}, "mallory2@bob.example", ""},
		{"allow does not", []uma.Policy{{Name: "a", From: from("bob@bob.example")}}, "Bob@bob.example", "request_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.Policies = tc.rules })
			ticket := b.fresh()
			res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"email": tc.email})))
			if res.code() != tc.code || strings.Contains(res.text, "mallory") {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
}
