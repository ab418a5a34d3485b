package op_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// device is what a device has got.
type device struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// call posts a form to a provider as it is, without a browser.
func call(p *op.Provider, path string, form url.Values) int {
	r := httptest.NewRequest(http.MethodPost, base+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code
}

func deviceParams(changes ...string) url.Values {
	return with(url.Values{"client_id": {"app"}, "scope": {"openid email"}}, changes...)
}

func (b *bench) newDevice(changes ...string) device {
	b.t.Helper()
	a := b.post("device_authorization", deviceParams(changes...))
	var d device
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != http.StatusOK {
		b.t.Fatalf("device authorization: %d %s", a.status, a.body)
	}
	return d
}

// poll asks as the device does, after the interval.
func (b *bench) poll(d device, changes ...string) answer {
	b.t.Helper()
	b.pass(5 * time.Second)
	return b.post("token", pollParams(d, changes...))
}

func pollParams(d device, changes ...string) url.Values {
	return with(url.Values{"grant_type": {oauth.GrantDeviceCode}, "client_id": {"app"}, "device_code": {d.DeviceCode}}, changes...)
}

// open opens a page of ours and logs bob in if that is asked for.
func (b *bench) open(path string) answer { return b.openAs("bob@bob.example", path) }

func (b *bench) openAs(user, path string) answer {
	b.t.Helper()
	page := b.get(path)
	if !strings.Contains(page.body, `name="password"`) {
		return page
	}
	back := b.post("login", url.Values{"request": {page.sealed(b.t)}, "username": {user}, "password": {password}})
	if back.status != http.StatusSeeOther {
		b.t.Fatalf("login: %d %s", back.status, back.body)
	}
	to, ok := strings.CutPrefix(back.header.Get("Location"), base)
	if !ok {
		b.t.Fatalf("the login leads to %s", back.header.Get("Location"))
	}
	return b.get(to)
}

// confirm types the code and gives the page that asks.
func (b *bench) confirm(code string) answer {
	b.t.Helper()
	page := b.open("device")
	return b.post("device", url.Values{"request": {page.sealed(b.t)}, "user_code": {code}})
}

func (b *bench) decide(page answer, decision string) answer {
	b.t.Helper()
	return b.post("device", url.Values{"request": {page.sealed(b.t)}, "decision": {decision}})
}
