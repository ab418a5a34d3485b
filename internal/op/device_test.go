package op_test

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

var errBroken = errors.New("disk")

func TestDevice(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	if d.ExpiresIn != 600 || d.Interval != 5 || d.URI != issuer+"/sts/device" || d.Complete != d.URI+"?user_code="+d.UserCode {
		t.Errorf("answer = %+v", d)
	}
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(d.UserCode) {
		t.Errorf("user code = %s", d.UserCode)
	}
	b.poll(d).want(t, 400, "authorization_pending")
	page := b.confirm(strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " ")))
	checkPage(t, page)
	for _, text := range []string{"<bdi>app</bdi>", d.UserCode, "Only go on if you see this code on your device", "your e-mail address", "Bob@Bob.example"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	b.poll(d).want(t, 400, "authorization_pending") // looking is not deciding
	b.outcomes()
	if a := b.decide(page, "allow"); a.status != 200 || !strings.Contains(a.body, "connected") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := b.outcomes(); len(got) != 1 || got[0] != event.Granted {
		t.Errorf("outcomes = %v", got)
	}
	if a := b.decide(page, "deny"); a.status != 400 {
		t.Errorf("decided twice: %d", a.status)
	}
	b.poll(d, "client_id", "native").want(t, 400, "invalid_grant")
	b.poll(d, "client_id", "web", "client_secret", webKey).want(t, 400, "invalid_grant")
	tokens := b.redeem(pollParams(d))
	if _, claims := decode(t, tokens.IDToken); claims["email"] != "Bob@Bob.example" || claims["aud"] != "app" {
		t.Errorf("claims = %v", claims)
	}
	if s, err := b.provider.Resolve(t.Context(), tokens.AccessToken); err != nil || s.Email != "Bob@Bob.example" || s.ClientID != "app" {
		t.Errorf("%+v %v", s, err)
	}
	b.poll(d).want(t, 400, "invalid_grant")
	if page := b.confirm(d.UserCode); page.status != 400 {
		t.Errorf("the code of a device that has its tokens: %d", page.status)
	}
}

func TestDevice_Denied(t *testing.T) {
	b := newBench(t, nil)
	for _, decision := range []string{"deny", ""} {
		d := b.newDevice()
		page := b.confirm(d.UserCode)
		if a := b.decide(page, decision); a.status != 200 || !strings.Contains(a.body, "not connected") {
			t.Errorf("%d %s", a.status, a.body)
		}
		b.poll(d).want(t, 400, "access_denied")
		b.poll(d).want(t, 400, "invalid_grant")
	}
}

func TestDevice_Expires(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	page := b.confirm(d.UserCode)
	b.pass(10*time.Minute - time.Second)
	b.post("token", pollParams(d)).want(t, 400, "authorization_pending")
	b.pass(time.Second)
	b.post("token", pollParams(d)).want(t, 400, "expired_token")
	if a := b.decide(page, "allow"); a.status != 400 {
		t.Errorf("approved too late: %d", a.status)
	}
	if a := b.confirm(d.UserCode); a.status != 400 || !strings.Contains(a.body, "not known") {
		t.Errorf("typed too late: %d", a.status)
	}
	// Approved in time, asked for too late.
	d = b.newDevice()
	b.decide(b.confirm(d.UserCode), "allow")
	b.pass(10 * time.Minute)
	b.post("token", pollParams(d)).want(t, 400, "expired_token")
}

func TestDevice_SlowDown(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	for i, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "authorization_pending"},
		{3 * time.Second, "slow_down"},
		{time.Second, "authorization_pending"}, // a second for the way; the one between does not count
		{3 * time.Second, "slow_down"},
		{500 * time.Millisecond, "slow_down"},
		{500 * time.Millisecond, "authorization_pending"},
		{20 * time.Second, "authorization_pending"},
	} {
		b.pass(c.after)
		if got := b.post("token", pollParams(d)).error(t); got != c.want {
			t.Errorf("request %d: %s, want %s", i+1, got, c.want)
		}
	}
	other := b.newDevice()
	b.post("token", pollParams(other)).want(t, 400, "authorization_pending")
}

func TestDevice_Refuses(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []struct {
		name   string
		change []string
		status int
		code   string
	}{
		{"unknown client", []string{"client_id", "nobody"}, 401, "invalid_client"},
		{"disabled client", []string{"client_id", "old"}, 401, "invalid_client"},
		{"no client", []string{"client_id", ""}, 400, "invalid_request"},
		{"confidential client without secret", []string{"client_id", "web"}, 401, "invalid_client"},
		{"scope", []string{"scope", `"x"`}, 400, "invalid_scope"},
	} {
		b.post("device_authorization", deviceParams(c.change...)).want(t, c.status, c.code)
	}
	if a := b.get("device_authorization"); a.status != 405 {
		t.Errorf("GET: %d", a.status)
	}
	a := b.post("device_authorization", deviceParams("client_id", "web", "client_secret", webKey))
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	d := b.newDevice()
	for name, code := range map[string]string{
		"none": "", "a code of ours": b.code(), "another box": b.authorize().sealed(t), "altered": d.DeviceCode[:len(d.DeviceCode)-1] + "_",
	} {
		want := "invalid_grant"
		if code == "" {
			want = "invalid_request"
		}
		if got := b.post("token", pollParams(d, "device_code", code)).error(t); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	off := newBench(t, func(c *op.Config) { c.NoDeviceFlow = true })
	off.post("token", pollParams(d)).want(t, 400, "unsupported_grant_type")
	if a := off.post("device_authorization", deviceParams()); a.status != 404 || off.provider.Handles(base+"device") {
		t.Errorf("device flow off: %d", a.status)
	}
}

// The code of a link is filled in; nothing happens before somebody sends it and
// decides (RFC 8628 §5.4).
func TestDevice_Complete(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	_, query, _ := strings.Cut(d.Complete, "?")
	page := b.open("device?" + query)
	if !strings.Contains(page.body, `value="`+d.UserCode+`"`) || strings.Contains(page.body, "Allow") {
		t.Errorf("page: %s", page.body)
	}
	b.poll(d).want(t, 400, "authorization_pending")
	if a := b.get(`device?user_code=%22%3E%3Cscript%3E`); strings.Contains(a.body, "script") {
		t.Errorf("a code that is none: %s", a.body)
	}
	sent := b.post("device", url.Values{"request": {page.sealed(t)}, "user_code": {d.UserCode}})
	if !strings.Contains(sent.body, "Allow") {
		t.Errorf("page: %s", sent.body)
	}
}

// Forms of the pages are of use in the session they were made in alone.
func TestDevice_CSRF(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	page := b.confirm(d.UserCode)
	bob := b.browser
	form := url.Values{"request": {page.sealed(t)}, "decision": {"allow"}}
	refused := func(name string, status int, req *http.Request) {
		t.Helper()
		if a := b.do(req); a.status != status {
			t.Errorf("%s: %d, want %d", name, a.status, status)
		}
		b.poll(d).want(t, 400, "authorization_pending")
	}
	post := func(f url.Values) *http.Request { return b.request(http.MethodPost, "device", f.Encode()) }
	b.browser = b.newBrowser()
	refused("nobody is logged in", 403, post(form))
	b.openAs("eve@bob.example", "device")
	refused("another user", 400, post(form))
	b.browser = bob
	cross := post(form)
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	refused("from another site", 400, cross)
	refused("no form of ours", 400, post(with(form, "request", "x")))
	refused("the form of another page", 400, post(with(form, "request", b.get("account").sealed(t))))
	refused("the page before", 400, post(with(form, "request", b.get("device").sealed(t))))
	if a := b.decide(page, "allow"); a.status != 200 {
		t.Errorf("the page itself: %d", a.status)
	}
}

// Codes are for people: who tries many is stopped, per user and per source
// (RFC 8628 §5.1).
func TestSEC_18_UserCodes(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	page := b.open("device")
	try := func(code string) answer {
		return b.post("device", url.Values{"request": {page.sealed(t)}, "user_code": {code}})
	}
	for range 20 { // what is no code costs nothing
		if a := try("AAAA-AAAA"); a.status != 400 || !strings.Contains(a.body, "eight letters, such as") {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for range 10 {
		if a := try("BCDF-GHJK"); a.status != 400 || !strings.Contains(a.body, "not known") || !strings.Contains(a.body, `aria-invalid="true"`) {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if a := try(d.UserCode); a.status != 429 || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "minute") {
		t.Errorf("eleventh code: %d", a.status)
	}
	b.from("192.0.2.2")
	if a := try(d.UserCode); a.status != 429 {
		t.Errorf("the same user from elsewhere: %d", a.status)
	}
	b.from("192.0.2.1")
	b.browser = b.newBrowser()
	page = b.openAs("eve@bob.example", "device")
	if a := try(d.UserCode); a.status != 429 {
		t.Errorf("another user from the same source: %d", a.status)
	}
	b.pass(time.Minute)
	if a := try(d.UserCode); a.status != 200 {
		t.Errorf("after a while: %d", a.status)
	}
}

// Anonymous requests store no more than a bound.
func TestSEC_18_Devices(t *testing.T) {
	b := newBench(t, nil)
	for i := range 20 {
		if a := b.post("device_authorization", deviceParams()); a.status != 200 {
			t.Fatalf("device %d: %d", i+1, a.status)
		}
	}
	if a := b.post("device_authorization", deviceParams()); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("too many from one source: %d", a.status)
	}
	b.from("192.0.2.2")
	if a := b.post("device_authorization", deviceParams()); a.status != 200 {
		t.Errorf("from another source: %d", a.status)
	}
}

// One code is redeemed once, whoever asks where at the same time.
func TestDevice_RedeemedOnce(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	b.decide(b.confirm(d.UserCode), "allow")
	results := make(chan int, 8)
	var wg sync.WaitGroup
	for range cap(results) {
		node := b.second(func(*op.Config) {})
		wg.Go(func() { results <- call(node, "token", pollParams(d)) })
	}
	wg.Wait()
	close(results)
	won := 0
	for status := range results {
		if status == http.StatusOK {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d got tokens, want one", won)
	}
}

// What cannot be recorded is not said to be done.
func TestSEC_13_Device(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	page := b.confirm(d.UserCode)
	b.store.fail(nil, errBroken)
	if a := b.decide(page, "allow"); a.status != 503 {
		t.Errorf("decision: %d", a.status)
	}
	if a := b.post("device_authorization", deviceParams()); a.status != 503 {
		t.Errorf("device authorization: %d", a.status)
	}
	b.store.fail(errBroken, nil)
	if a := b.poll(d); a.status != 503 {
		t.Errorf("poll: %d", a.status)
	}
	b.store.fail(nil, nil)
	b.poll(d).want(t, 400, "authorization_pending")
	if a := b.decide(page, "allow"); a.status != 200 {
		t.Errorf("decision: %d", a.status)
	}
	b.store.fail(nil, errBroken)
	if a := b.poll(d); a.status != 503 || strings.Contains(a.body, "access_token") {
		t.Errorf("token: %d", a.status)
	}
	b.store.fail(nil, nil)
	b.pass(5 * time.Second)
	b.redeem(pollParams(d))
}

// Whoever is gone meanwhile gets nothing.
func TestDevice_UserGone(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice()
	b.decide(b.confirm(d.UserCode), "allow")
	if err := b.provider.SetUsers(b.cfg.Users[1:]); err != nil {
		t.Fatal(err)
	}
	b.poll(d).want(t, 400, "access_denied")
}
