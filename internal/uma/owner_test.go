package uma_test

import (
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// A41: a resource server that was given to another owner speaks for the one before
// no longer, and neither do the tickets and grants of that time.
func TestA41_AnotherOwner(t *testing.T) {
	for _, tc := range []struct {
		name        string
		first, then string
		want        bool
	}{
		{"the same", "alice", "alice", true},
		{"any owner now", "alice", "*", true},
		{"another one", "alice", "carol", false},
		{"its own now", "alice", "", false},
		{"any owner before", "*", "api", true}, // what it did not name is its own
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, refreshing, func(b *bench) { b.cfg.ResourceServers[0].Owner = tc.first })
			ticket, first := b.fresh(), b.webGrant(b.fresh())
			next := b.reload(func(c *uma.Config) { c.ResourceServers[0].Owner = tc.then })
			res := next.ask(ticket)
			if (res.status == 200) != tc.want || !tc.want && res.code() != "request_denied" {
				t.Errorf("ticket: %d %s", res.status, res.code())
			}
			if got := next.active(first.get("access_token")); got != tc.want {
				t.Errorf("introspection: %v", got)
			}
			res = next.renew(first.get("refresh_token"))
			if (res.status == 200) != tc.want || !tc.want && res.code() != "invalid_grant" {
				t.Errorf("refresh: %d %s", res.status, res.code())
			}
		})
	}
}
