package op_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Whoever logs out everywhere, or ends an application, means what is still to be
// redeemed, too: a device that was approved, a code on its way.
func TestAccount_EndsWhatWaits(t *testing.T) {
	for _, c := range []struct {
		name         string
		form         func(b *bench, page answer) url.Values
		device, code int
	}{
		{"everywhere", func(_ *bench, page answer) url.Values {
			return url.Values{"request": {page.sealed(t)}, "action": {"everywhere"}}
		}, 400, 400},
		{"nothing", func(*bench, answer) url.Values { return nil }, 200, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil)
			code, d := b.code(), b.newDevice()
			b.decide(b.confirm(d.UserCode), "allow")
			if form := c.form(b, b.open("account")); form != nil {
				if a := b.post("account", form); a.status != http.StatusOK {
					t.Fatalf("%d %s", a.status, a.body)
				}
			}
			if a := b.post("token", pollParams(d)); a.status != c.device {
				t.Errorf("the device: %d %s, want %d", a.status, a.body, c.device)
			}
			if a := b.post("token", tokenParams(code)); a.status != c.code {
				t.Errorf("the code: %d %s, want %d", a.status, a.body, c.code)
			}
		})
	}
}

// A user ends one application: what another one waits for stays.
func TestAccount_EndsWhatOneWaitsFor(t *testing.T) {
	b := newBench(t, nil)
	b.redeem(tokenParams(b.code())) // so that the application is listed
	d := b.newDevice()
	b.decide(b.confirm(d.UserCode), "allow")
	code := b.code("client_id", "native", "redirect_uri", "http://127.0.0.1:4711/cb")
	page := b.open("account")
	if !strings.Contains(page.body, "app") {
		t.Fatal(page.body)
	}
	if a := b.post("account", url.Values{"request": {page.sealed(t)}}); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	b.post("token", pollParams(d)).want(t, 400, "invalid_grant")
	b.redeem(tokenParams(code, "client_id", "native", "redirect_uri", "http://127.0.0.1:4711/cb"))
}

// The page names who goes on. If somebody else has logged in in another window
// since, it must not go on as him.
func TestLogin_ContinueAs(t *testing.T) {
	b := newBench(t, nil)
	b.login("bob@bob.example", password)
	page := b.authorize()
	if !strings.Contains(page.body, "Bob@Bob.example") {
		t.Fatal(page.body)
	}
	goOn := func(page answer) answer {
		return b.post("login", url.Values{"request": {page.sealed(t)}, "action": {"continue"}})
	}
	other := b.authorize("prompt", "login")
	b.post("login", url.Values{"request": {other.sealed(t)}, "username": {"eve@bob.example"}, "password": {password}})
	again := goOn(page)
	if again.status != http.StatusOK || !strings.Contains(again.body, "eve@bob.example") {
		t.Fatalf("went on: %d %s", again.status, again.body)
	}
	if a := goOn(again); a.params(t).Get("code") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
}
