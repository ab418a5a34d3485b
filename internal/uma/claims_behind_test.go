package uma_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// The event says which claims the policies looked at that decided: not those of
// other policies, and of the person nothing else.
func TestSEC_22_ClaimsBehindADecision(t *testing.T) {
	compile := func(expression string) policy.Policy {
		p, _, err := cel.Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	staff := uma.Policy{Name: "staff", From: from("bob.example"), When: compile(`"staff" in claims.groups && claims.level > 2`), RequiredClaims: []string{"dept"}}
	other := uma.Policy{Name: "other", From: from("other.example"), When: compile(`claims.secret == "x"`)}
	whole := uma.Policy{Name: "whole", From: from("bob.example"), When: compile(`claims.exists(c, c == "level") || claims.level == 1`)}
	deny := uma.Policy{Name: "deny", From: from("bob.example"), Deny: true, When: compile(`claims.suspended == true`)}
	shadow := uma.Policy{Name: "shadow", From: from("bob.example"), Shadow: true, When: compile(`claims.secret == "x"`)}
	guest := uma.Policy{Name: "guest", From: from("bob.example"), Guest: policy.Guard(looker{}, 0)}
	silent := uma.Policy{Name: "silent", From: from("bob.example"), Guest: policy.Guard(when(func(*policy.Input) (bool, error) { return true, nil }), 0)}
	bob := uma.Policy{Name: "bob", From: from("bob@bob.example")}
	claims := map[string]any{"groups": []string{"staff"}, "level": 3, "dept": "x", "secret": "y", "suspended": false}
	without := func(name string) map[string]any {
		some := map[string]any{}
		for n, v := range claims {
			if n != name {
				some[n] = v
			}
		}
		return some
	}
	all := []event.Claim{{Name: "dept", Value: "x"}, {Name: "groups", Value: []any{"staff"}}, {Name: "level", Value: 3.0}}
	for _, tc := range []struct {
		name     string
		policies []uma.Policy
		claims   map[string]any
		code     string
		want     []event.Claim
	}{
		{"allowed", []uma.Policy{other, shadow, deny, staff}, claims, "", all},
		{"allowed by the address alone", []uma.Policy{other, bob, staff}, claims, "", nil},
		{"not met", []uma.Policy{staff, other}, map[string]any{"groups": []string{"users"}, "dept": "x"}, "request_denied", []event.Claim{{Name: "dept", Value: "x"}, {Name: "groups", Value: []any{"users"}}, {Name: "level"}}},
		{"lacking", []uma.Policy{staff, other}, without("dept"), "need_info", []event.Claim{{Name: "dept"}, all[1], all[2]}},
		{"denied", []uma.Policy{staff, deny}, map[string]any{"suspended": true}, "request_denied", []event.Claim{{Name: "suspended", Value: true}}},
		{"all of them", []uma.Policy{whole}, claims, "", []event.Claim{all[2], {Name: "*"}}},
		{"a guest that tells", []uma.Policy{guest}, claims, "", []event.Claim{{Name: "level", Value: 3.0}}},
		{"a guest that does not", []uma.Policy{silent}, claims, "", nil},
	} {
		t.Run("SEC-22 "+tc.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.Policies = tc.policies })
			if res := b.ask(b.fresh(), tc.claims); res.code() != tc.code {
				t.Fatalf("%d %s", res.status, res.text)
			}
			got := b.lastDecision()
			for i, c := range got.Claims {
				if n, ok := c.Value.(interface{ Float64() (float64, error) }); ok {
					got.Claims[i].Value, _ = n.Float64()
				}
			}
			if diff := cmp.Diff(tc.want, got.Claims); diff != "" {
				t.Error(diff)
			}
			if got.Key == "" || got.Evidence == "" {
				t.Errorf("no evidence: %+v", got)
			}
		})
	}
}

// looker is a guest that tells what it looks at.
type looker struct{}

func (looker) Evaluate(context.Context, *policy.Input) (bool, error) { return true, nil }

func (looker) LooksAt() (names []string, whole bool) { return []string{"level"}, false }
