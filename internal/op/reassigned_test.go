package op_test

import (
	"net/http"
	"slices"
	"testing"
)

// An address is given to somebody else: with a sub of his own he is another person,
// to whom nothing of the one before belongs, even if the password is the same.
func TestUsers_ReassignedAddress(t *testing.T) {
	b := newBench(t, nil)
	login := func() (token string) { return b.redeem(tokenParams(b.code("prompt", "login"))).AccessToken }
	old, first := login(), b.browser
	before, err := b.provider.Resolve(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if a := b.answer(b.open(b.consented(ask(before, "name"))), "allow"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	users := b.cfg.Users
	for _, c := range []struct {
		sub  string
		same bool
	}{{"2026", false}, {"", true}} {
		changed := slices.Clone(users)
		changed[0].Sub = c.sub
		if err := b.provider.SetUsers(changed); err != nil {
			t.Fatal(err)
		}
		b.browser = first
		if lives(b.provider, old) != c.same || b.loggedIn() != c.same {
			t.Errorf("sub %q: the old token counts %t, the old session %t", c.sub, lives(b.provider, old), b.loggedIn())
		}
		b.browser = b.newBrowser()
		now, err := b.provider.Resolve(t.Context(), login())
		if err != nil || (now.ID == before.ID) != c.same {
			t.Errorf("sub %q: identifier %q, before %q, %v", c.sub, now.ID, before.ID, err)
		}
		if agreed := b.consented(ask(now, "name")) == ""; agreed != c.same {
			t.Errorf("sub %q: the old consent counts: %t", c.sub, agreed)
		}
	}
}
