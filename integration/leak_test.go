package integration_test

import (
	"net/http"
	"runtime"
	"testing"
	"time"
)

// TestReloadLeavesNothingBehind: the number of goroutines does not grow with
// the number of reloads.
func TestReloadLeavesNothingBehind(t *testing.T) {
	w := example(t)
	access := w.login("bob@bob.localhost", "bob-demo")
	use := func() {
		ticket, _ := w.challenged(http.MethodGet, "/")
		if a := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
	}
	count := func(reloads int) int {
		for range reloads {
			w.reload()
			w.await()
			use()
		}
		w.client.CloseIdleConnections()
		return settled()
	}
	few := count(3)
	if many := count(12); many > few+6 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines after 3 reloads, %d after 15\n%s", few, many, buf[:runtime.Stack(buf, true)])
	}
}

// settled waits until the number of goroutines has stopped falling.
func settled() int {
	least := runtime.NumGoroutine()
	for range 20 {
		time.Sleep(50 * time.Millisecond) // goroutines of real servers end when they end
		least = min(least, runtime.NumGoroutine())
	}
	return least
}
