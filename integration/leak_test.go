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
	reload := func(times int) {
		for range times {
			w.reload()
			w.await()
			use()
		}
		w.client.CloseIdleConnections()
	}
	reload(3)
	few := settled()
	reload(12)
	fallen(t, few+6, w.client)
}

// fallen waits until there are no more goroutines than that. Connections that a reload or
// the end of the load has left end when both sides have noticed.
func fallen(t *testing.T, most int, clients ...*http.Client) {
	t.Helper()
	n := 0
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // real servers
		for _, c := range clients {
			c.CloseIdleConnections()
		}
		if n = runtime.NumGoroutine(); n <= most {
			return
		}
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, want %d at most\n%s", n, most, buf[:runtime.Stack(buf, true)])
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
