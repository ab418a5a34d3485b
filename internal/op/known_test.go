package op_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

func (b *bench) from(ip string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ip = ip
}

// try logs in as bob from an address, in a browser, and gives the status.
func (b *bench) try(ip string, browser *http.Client, pass string) int {
	b.t.Helper()
	b.from(ip)
	old := b.browser
	defer func() { b.browser = old }()
	b.browser = browser
	return b.login("bob@bob.example", pass, "prompt", "login").status
}

// A stranger who tries a user's name all the time does not lock him out where he
// has logged in before.
func TestSEC_18_NoLockOut(t *testing.T) {
	b := newBench(t, func(c *op.Config) { c.Logins = limit.New(3, time.Minute, 100, c.Now) })
	own, other, fresh := b.newBrowser(), b.newBrowser(), b.newBrowser()
	if got := b.try("192.0.2.1", own, password); got != 303 {
		t.Fatalf("status %d", got)
	}
	for range 3 {
		b.try("192.0.2.66", other, "wrong")
	}
	if got := b.try("192.0.2.2", fresh, password); got != 429 {
		t.Errorf("from a new place, in a new browser: %d", got)
	}
	if got := b.try("192.0.2.3", own, password); got != 303 {
		t.Errorf("from a new place, in his browser: %d", got)
	}
	for _, want := range []int{303, 403, 429} { // the source has its own limit
		pass := password
		if want != 303 {
			pass = "wrong"
		}
		if got := b.try("192.0.2.1", fresh, pass); got != want {
			t.Errorf("from his place, in a new browser: %d, want %d", got, want)
		}
	}
}

// What a browser keeps of a login is of use to one user, for some time, at this
// issuer, and not for guessing.
func TestSEC_18_KnownBrowser(t *testing.T) {
	b := newBench(t, func(c *op.Config) { c.Logins = limit.New(3, time.Minute, 100, c.Now) })
	lockOut := func() {
		for range 3 {
			b.try("192.0.2.66", b.newBrowser(), "wrong")
		}
	}
	own := b.newBrowser()
	if got := b.try("192.0.2.1", own, password); got != 303 {
		t.Fatalf("status %d", got)
	}
	t.Run("of another user", func(t *testing.T) {
		b.pass(time.Minute)
		eves := b.newBrowser()
		b.browser = eves
		b.from("192.0.2.4")
		if a := b.login("eve@bob.example", password); a.status != 303 {
			t.Fatal(a.status)
		}
		lockOut()
		if got := b.try("192.0.2.5", eves, password); got != 429 {
			t.Errorf("%d", got)
		}
	})
	t.Run("a stolen one does not open the account to guessing", func(t *testing.T) {
		b.pass(time.Minute)
		lockOut()
		for i, want := range []int{403, 403, 403, 429} {
			if got := b.try("192.0.2.1"+strconv.Itoa(i), own, "wrong"); got != want {
				t.Errorf("attempt %d: %d, want %d", i+1, got, want)
			}
		}
	})
	t.Run("too old", func(t *testing.T) {
		b.pass(90 * 24 * time.Hour)
		lockOut()
		if got := b.try("192.0.2.7", own, password); got != 429 {
			t.Errorf("%d", got)
		}
	})
}

// Many sources together cannot guess on for days: after a burst a user has one
// attempt in half an hour, from all places together where he is not known.
func TestSEC_18_PauseGrows(t *testing.T) {
	b := newBench(t, func(c *op.Config) { c.Logins = limit.New(10, time.Minute, 10_000, c.Now) })
	own := b.newBrowser()
	if got := b.try("192.0.2.1", own, password); got != 303 {
		t.Fatalf("status %d", got)
	}
	let, refused := 0, 0
	for i := range 200 {
		b.pass(10 * time.Second)
		switch b.try("198.51.100."+strconv.Itoa(i), b.newBrowser(), "wrong") {
		case 403:
			let++
		case 429:
			refused++
		}
	}
	if let < 45 || let > 60 || refused == 0 {
		t.Errorf("%d attempts were let through, %d refused", let, refused)
	}
	page := func() string {
		b.browser = b.newBrowser()
		return b.login("bob@bob.example", "wrong").body
	}
	if body := page(); !strings.Contains(body, " minutes before you try again") {
		t.Errorf("the page does not say how long to wait: %s", body)
	}
	if got := b.try("192.0.2.1", own, password); got != 303 {
		t.Errorf("the user himself: %d", got)
	}
	b.pass(30 * time.Minute)
	if got := b.try("192.0.2.200", b.newBrowser(), password); got != 303 {
		t.Errorf("after the pause: %d", got)
	}
}
