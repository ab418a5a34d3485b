package uma_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// A claim that a policy names and nobody brings is told, and one that somebody brought is
// not; of policies that nobody came for nothing can be said.
func TestUnseenClaims(t *testing.T) {
	compile := func(expression string) policy.Policy {
		p, _, err := cel.Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{
			{Name: "typo", From: from("bob.example"), When: compile(`"staff" in claims.gruops || claims.level > 2`), RequiredClaims: []string{"dept"}},
			{Name: "good", From: from("bob.example"), When: compile(`"staff" in claims.groups`)},
			{Name: "others", From: from("other.example"), When: compile(`claims.secret == "x"`)},
			{Name: "all", From: from("bob.example"), When: compile(`claims.exists(c, c == "level")`)},
			{Name: "none", From: from("bob.example")},
			{Name: "anyone", From: uma.From{Anyone: true}, Guest: policy.Guard(looker{}, 0)}, // it sees no claims
		}
	})
	if got := b.server.UnseenClaims(); got != nil {
		t.Errorf("before anybody came: %+v", got)
	}
	for _, tc := range []struct {
		claims map[string]any
		want   []uma.Unseen
	}{
		{map[string]any{"groups": []string{"users"}}, []uma.Unseen{{Policy: "typo", Claims: []string{"dept", "gruops", "level"}, Asked: 1}}},
		{map[string]any{"level": 1}, []uma.Unseen{{Policy: "typo", Claims: []string{"dept", "gruops"}, Asked: 2}}},
		{map[string]any{"dept": "x", "gruops": nil}, []uma.Unseen{{Policy: "typo", Claims: []string{"gruops"}, Asked: 3}}},
		{map[string]any{"gruops": []string{"x"}}, nil},
	} {
		b.ask(b.fresh(), tc.claims)
		if diff := cmp.Diff(tc.want, b.server.UnseenClaims()); diff != "" {
			t.Error(diff)
		}
	}
}

// A dry run of an administrator brings nothing.
func TestUnseenClaims_DryRun(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "typo", From: from("bob.example"), RequiredClaims: []string{"gruops"}}}
	})
	b.ask(b.fresh(), map[string]any{"x": 1})
	const ask = `{"claims":{"iss":"https://bob.example","sub":"1","email":"eve@bob.example","gruops":["x"]},"resource_server":"api","resource":"RS API","scopes":["get"],"client_id":"app"}`
	if got := b.admin(http.MethodPost, "/show/explain", ask); got.status != 200 || got.get("outcome") != "granted" {
		t.Fatalf("%d %s", got.status, got.text)
	}
	want := []uma.Unseen{{Policy: "typo", Claims: []string{"gruops"}, Asked: 1}}
	if diff := cmp.Diff(want, b.server.UnseenClaims()); diff != "" {
		t.Error(diff)
	}
}
