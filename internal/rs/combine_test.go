package rs_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// TestDP_06_OpaqueReplay: a proof with an opaque RPT is good once, whether the answer
// about the RPT is new or remembered.
func TestDP_06_OpaqueReplay(t *testing.T) {
	w := newAsking(t)
	h := newHolder(t, "ES256")
	token := w.opaque("bound", set("cnf", map[string]any{"jkt": h.jkt}), set("token_type", "DPoP"))
	proof := w.proof(h, token, nil, nil)
	if g, f := w.present("DPoP", token, proof); g == nil {
		t.Fatalf("refusal = %+v", f)
	}
	if g, _ := w.present("DPoP", token, proof); g != nil {
		t.Error("the proof is good twice")
	}
	if got := w.status("GET", token); got != 401 {
		t.Errorf("as a bearer token = %d", got)
	}
}

// TestSEC_14_AlsoOfAPatternRequires: what a further resource demands counts for the
// instance of a pattern, too, and each instance is its own.
func TestSEC_14_AlsoOfAPatternRequires(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{
			{Name: "photo", Captures: []string{"user"}, Also: []rs.Also{{Resource: "area"}}},
			{Name: "area", Captures: []string{"user"}, Require: rs.BindDPoP},
		}
	})
	captures := func(user string) []oauth.Capture { return []oauth.Capture{{Name: "user", Value: user}} }
	w.rs.Check(w.request("GET", ""), rs.Target{Captures: captures("a")})
	id := func(pattern, user string) string { return oauth.InstanceID(pattern, "", captures(user)) }
	h := newHolder(t, "ES256")
	both := set("permissions", []any{permission(id("id-1", "a"), "get"), permission(id("id-2", "a"), "get")})
	mixed := set("permissions", []any{permission(id("id-1", "a"), "get"), permission(id("id-2", "b"), "get"), permission("id-2", "get")})
	for name, tc := range map[string]struct {
		token, user, scheme string
		passes              bool
	}{
		"bound":            {w.bound(h, both), "a", "DPoP", true},
		"not bound":        {w.rpt(both), "a", "Bearer", false},
		"another instance": {w.bound(h, both), "b", "DPoP", false},
		"the other's":      {w.bound(h, mixed), "a", "DPoP", false},
	} {
		r := w.request("GET", "")
		r.Header.Set("Authorization", tc.scheme+" "+tc.token)
		r.Header.Set("DPoP", w.proof(h, tc.token, nil, nil))
		if g, f := w.rs.Check(r, rs.Target{Captures: captures(tc.user), Source: "s"}); (g != nil) != tc.passes {
			t.Errorf("%s: %v, %+v", name, g, f)
		}
	}
}
