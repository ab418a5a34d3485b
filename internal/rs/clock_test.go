package rs_test

import (
	"testing"
	"time"
)

// The clock of the resource server jumps while that of the authorization server is
// right. A token counts only while it is valid by the clock of here, whatever was
// remembered of it, and as soon as the clock is right again it counts again.
func TestAT_05_ClockJumpsAtTheResourceServer(t *testing.T) {
	for name, by := range map[string]time.Duration{
		"an hour ahead": time.Hour, "a day ahead": 24 * time.Hour, "an hour back": -time.Hour, "a day back": -24 * time.Hour,
	} {
		t.Run("AT-05 "+name, func(t *testing.T) {
			w := newWorld(t)
			right := start
			w.as.status.now = func() time.Time { return right }
			token := w.rpt()
			if got := w.status("GET", token); got != 200 {
				t.Fatalf("before: %d", got)
			}
			w.now = right.Add(by)
			for range 3 {
				if got := w.status("GET", token); got != 401 {
					t.Errorf("by the wrong clock: %d, want 401", got)
				}
			}
			right = right.Add(2 * time.Second)
			w.now = right
			if got := w.status("GET", token); got != 200 {
				t.Errorf("by the right clock again: %d", got)
			}
			// What is taken back is seen within the bound, as if nothing had been.
			w.as.set(func() { w.as.status.revoked = []int64{7} })
			right = right.Add(10 * time.Second)
			w.now = right
			if got := w.status("GET", token); got != 401 {
				t.Errorf("revoked: %d", got)
			}
		})
	}
}
