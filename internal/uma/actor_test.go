package uma_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/cel"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// A claims token may say that another client acts for the person (RFC 8693 §4.1).
// It is no claim about the person: a policy can look at it, the resource server
// does not hear of it.
func TestTX_11_ActorAtTheAuthorizationServer(t *testing.T) {
	nobodyElse, _, err := cel.Compile(`!has(claims.act) || claims.act.sub == "portal"`)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(b *bench) {
		b.cfg.Policies = []uma.Policy{{Name: "p", From: from("bob.example"), When: nobodyElse}}
	})
	for name, tc := range map[string]struct {
		act    any
		status int
	}{
		"TX-11 nobody":         {nil, 200},
		"TX-11 portal":         {map[string]any{"sub": "portal"}, 200},
		"TX-11 somebody else":  {map[string]any{"sub": "robot"}, 403},
		"TX-11 a text":         {"portal", 403},
		"TX-11 without a name": {map[string]any{}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			res := b.askBound(b.fresh(), map[string]any{"act": tc.act})
			if res.status != tc.status {
				t.Fatalf("%d %s", res.status, res.text)
			}
			if rpt := res.get("access_token"); rpt != "" && payload(t, rpt)["act"] != nil {
				t.Errorf("RPT: %v", payload(t, rpt))
			}
		})
	}
}
