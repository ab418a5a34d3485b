package op_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

var again = regexp.MustCompile(`<a href="([^"]*)">Start again</a>`)

// A login page that is too old, or was used, leads to the same request again; one
// of another browser leads nowhere.
func TestLogin_StartAgain(t *testing.T) {
	b := newBench(t, nil)
	page := b.authorize("max_age", "600", "login_hint", "bob@bob.example")
	form := url.Values{"request": {page.sealed(t)}, "username": {"bob@bob.example"}, "password": {password}}
	for name, before := range map[string]func(){
		"too old": func() { b.pass(10 * time.Minute) },
		"used":    func() { form.Set("request", b.authorize("max_age", "600").sealed(t)); b.post("login", form) },
	} {
		before()
		a := b.post("login", form)
		m := again.FindStringSubmatch(a.body)
		if a.status != 400 || m == nil {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		checkPage(t, a)
		to, ok := strings.CutPrefix(html.UnescapeString(m[1]), base+"authorize?")
		v, err := url.ParseQuery(to)
		if !ok || err != nil {
			t.Fatalf("%s: leads to %s", name, m[1])
		}
		want := authorizeParams("max_age", "600")
		for param := range want {
			if v.Get(param) != want.Get(param) {
				t.Errorf("%s: %s = %q, want %q", name, param, v.Get(param), want.Get(param))
			}
		}
	}
	b.browser = b.newBrowser()
	if a := b.post("login", form); a.status != 400 || again.MatchString(a.body) {
		t.Errorf("another browser: %d %s", a.status, a.body)
	}
}

// Errors are announced: in the title, in an alert that leads to the field, and at
// the fields themselves (WCAG 3.3.1, 2.4.2).
func TestLogin_Accessible(t *testing.T) {
	b := newBench(t, func(c *op.Config) { c.Logins = limit.New(1, 150*time.Second, 100, c.Now) })
	if page := b.authorize(); strings.Contains(page.body, "<title>Error") || strings.Contains(page.body, `role="alert"`) || !strings.Contains(page.body, `<html lang="en">`) {
		t.Errorf("page: %s", page.body)
	}
	wrong := b.login("bob@bob.example", "wrong")
	for _, part := range []string{
		"<title>Error: Log in to id.example", `role="alert"`, `<a href="#password">`, `aria-invalid="true" aria-describedby="alert"`, `value="bob@bob.example"`,
	} {
		if !strings.Contains(wrong.body, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	if strings.Count(wrong.body, " autofocus") != 1 {
		t.Error("not one field has the focus")
	}
	many := b.login("bob@bob.example", password)
	if many.status != http.StatusTooManyRequests || many.header.Get("Retry-After") != "150" || !strings.Contains(many.body, "Wait 3 minutes before you try again.") {
		t.Errorf("%d %v %s", many.status, many.header, many.body)
	}
	if strings.Contains(many.body, "aria-invalid") {
		t.Error("a field is marked wrong that may be right")
	}
}

// Every page and redirect of ours says what SEC-16 wants.
func TestSEC_16_AllPages(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	d := b.newDevice()
	link := b.consented(ask(s, "name"))
	device, consent := b.open("device"), b.open(link)
	for name, a := range map[string]answer{
		"device": device, "consent": consent, "account": b.get("account"), "logout": b.get("logout"),
		"code unknown": b.post("device", url.Values{"request": {device.sealed(t)}, "user_code": {"BCDF-GHJK"}}),
		"confirm":      b.confirm(d.UserCode),
		"bad link":     b.get("consent?request=x"),
		"bad logout":   b.get("logout?client_id=nobody"),
		"bad form":     b.post("account", url.Values{"request": {"x"}}),
		"note":         b.answer(consent, "allow"),
		"by form":      b.post("logout", url.Values{"state": {"x"}}),
	} {
		t.Run(name, func(t *testing.T) { checkPage(t, a) })
	}
	for path, methods := range map[string][]string{"device": {"PUT"}, "account": {"DELETE"}, "device_authorization": {"GET", "PUT"}} {
		for _, method := range methods {
			if a := b.do(b.request(method, path, "")); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
				t.Errorf("%s %s: %d", method, path, a.status)
			}
		}
	}
}
