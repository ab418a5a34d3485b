package uma_test

import (
	"net/http"
	"testing"
	"time"
)

// The clock of the authorization server jumps ahead and is set back. Nothing is
// accepted that is not valid by the clock of now, beyond the leeway; what was spent
// stays spent; and the moment the clock is right all goes on.
func TestUG_59_ClockJumpsAtTheAuthorizationServer(t *testing.T) {
	for name, by := range map[string]time.Duration{
		"an hour ahead": time.Hour, "a day ahead": 24 * time.Hour, "an hour back": -time.Hour, "a day back": -24 * time.Hour,
	} {
		t.Run("UG-59 "+name, func(t *testing.T) {
			b := newBench(t, refreshing)
			spent, kept := b.fresh(), b.fresh()
			spentClaims, keptClaims := b.sign(b.claims(spent, nil)), b.sign(b.claims(kept, nil))
			first := b.webGrant(spent, map[string]string{"claim_token": spentClaims})
			spentClaims = b.sign(b.claims(spent, map[string]any{"jti": "y"})) // the accepted one would revoke (A40)
			rpt := first.get("access_token")
			if !b.active(rpt) {
				t.Fatal("inactive")
			}

			b.pass(by)
			// The rest of the world has the right clock: for this server it is off by as much.
			if res := b.present(kept, keptClaims); res.code() != "invalid_grant" {
				t.Errorf("a ticket of before: %d %s", res.status, res.text)
			}
			if res := b.present(spent, spentClaims); res.code() != "invalid_grant" {
				t.Errorf("a spent ticket: %d %s", res.status, res.text)
			}
			if by > 0 && b.active(rpt) {
				t.Error("the RPT has not expired")
			}
			made := b.fresh()
			if res := b.present(made, b.sign(b.claims(made, map[string]any{"iat": b.clock().Add(-by).Unix(), "exp": b.clock().Add(-by).Unix() + 120}))); res.code() != "need_info" {
				t.Errorf("a claims token by the right clock: %d %s", res.status, res.text)
			}
			wrong := b.fresh()
			wrongRPT := b.ask(b.fresh())
			if wrongRPT.status != http.StatusOK {
				t.Errorf("who shares the wrong clock: %d %s", wrongRPT.status, wrongRPT.text)
			}

			b.pass(-by)
			if res := b.present(spent, spentClaims); res.code() != "invalid_grant" {
				t.Errorf("the spent ticket, after: %d %s", res.status, res.text)
			}
			if res := b.ask(wrong); res.code() != "invalid_grant" {
				t.Errorf("a ticket of the wrong time: %d %s", res.status, res.text)
			}
			if res := b.ask(kept); res.status != http.StatusOK {
				t.Errorf("the ticket of before, after: %d %s", res.status, res.text)
			}
			if !b.active(rpt) {
				t.Error("the RPT of before does not count any more")
			}
			if res := b.renew(first.get("refresh_token")); res.status != http.StatusOK {
				t.Errorf("the refresh token of before: %d %s", res.status, res.text)
			}
			if res := b.ask(b.fresh()); res.status != http.StatusOK {
				t.Errorf("a new flow: %d %s", res.status, res.text)
			}
		})
	}
}

// The bound on how long a ticket may still live, to the second.
func TestUG_59_TicketOfTheFuture(t *testing.T) {
	b := newBench(t)
	slack := 2 * time.Minute // twice the leeway
	for ahead, ok := range map[time.Duration]bool{slack: true, slack + time.Second: false} {
		ticket := b.fresh()
		b.pass(-ahead)
		if res := b.ask(ticket); (res.status == http.StatusOK) != ok {
			t.Errorf("made %v ahead: %d %s", ahead, res.status, res.text)
		}
		b.pass(ahead)
	}
}
