package op_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

const target = "https://api.example"

// subject is bob as the security token service sees him.
func (b *bench) subject() oauth.Subject {
	b.t.Helper()
	token := b.redeem(tokenParams(b.code("prompt", "login"))).AccessToken
	s, err := b.provider.Resolve(b.t.Context(), token)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func ask(s oauth.Subject, release ...string) oauth.Consent {
	return oauth.Consent{Subject: s, ClientID: "app", Target: target, Release: release}
}

// consented asks the provider; the link is below base, "" when the user agreed.
func (b *bench) consented(c oauth.Consent) string {
	b.t.Helper()
	agreed, uri, err := b.provider.Consented(b.t.Context(), c)
	if err != nil || agreed != (uri == "") {
		b.t.Fatalf("Consented = %v, %q, %v", agreed, uri, err)
	}
	if agreed {
		return ""
	}
	path, ok := strings.CutPrefix(uri, issuer+"/sts/")
	if !ok {
		b.t.Fatalf("uri = %s", uri)
	}
	return path
}

func (b *bench) answer(page answer, decision string) answer {
	b.t.Helper()
	return b.post("consent", url.Values{"request": {page.sealed(b.t)}, "decision": {decision}})
}

func TestConsent(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	b.browser = b.newBrowser() // the link opens anywhere
	path := b.consented(ask(s, "groups", "name", "groups"))
	page := b.open(path)
	checkPage(t, page)
	for _, text := range []string{"<bdi>app</bdi>", target, "your e-mail address", "your name", "your groups", "Bob@Bob.example", "15 January 2028"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	if a := b.answer(page, "deny"); a.status != 200 || !strings.Contains(a.body, "Nothing was shared") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if b.consented(ask(s, "name")) == "" {
		t.Fatal("a refusal counts as consent")
	}
	if a := b.answer(page, "allow"); a.status != 200 || !strings.Contains(a.body, "Thank you") {
		t.Errorf("%d %s", a.status, a.body)
	}
	for name, c := range map[string]struct {
		asked oauth.Consent
		want  bool
	}{
		"the same":       {ask(s, "name", "groups"), true},
		"less":           {ask(s, "name"), true},
		"nothing more":   {ask(s), true},
		"more":           {ask(s, "name", "birthdate"), false},
		"another target": {oauth.Consent{Subject: s, ClientID: "app", Target: target + "/x", Release: []string{"name"}}, false},
		"another client": {oauth.Consent{Subject: s, ClientID: "web", Target: target, Release: []string{"name"}}, false},
	} {
		if got := b.consented(c.asked) == ""; got != c.want {
			t.Errorf("%s: agreed = %v", name, got)
		}
	}
	t.Run("what is agreed to grows", func(t *testing.T) {
		b.answer(b.open(b.consented(ask(s, "birthdate"))), "allow")
		if b.consented(ask(s, "name", "groups", "birthdate")) != "" {
			t.Error("what was agreed to before is forgotten")
		}
	})
	t.Run("it ends", func(t *testing.T) {
		b.pass(365*24*time.Hour - time.Second)
		if b.consented(ask(s, "name")) != "" {
			t.Error("too early")
		}
		b.pass(time.Second)
		if b.consented(ask(s, "name")) == "" {
			t.Error("never")
		}
	})
	var outcomes []event.Outcome
	for _, e := range b.consents {
		outcomes = append(outcomes, e.Outcome)
		if e.ClientID != "app" || e.Target != target || e.Person.Email != "Bob@Bob.example" {
			t.Errorf("event = %+v", e)
		}
	}
	if len(outcomes) != 3 || outcomes[0] != event.Denied || outcomes[1] != event.Granted {
		t.Errorf("outcomes = %v", outcomes)
	}
}

// Only whom it speaks of can answer, and only what we asked.
func TestConsent_Refuses(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	path := b.consented(ask(s, "name"))
	page := b.open(path)
	form := url.Values{"request": {page.sealed(t)}, "decision": {"allow"}}
	bob := b.browser
	refused := func(name string, status int, a answer) {
		t.Helper()
		if a.status != status || strings.Contains(a.body, "Allow") {
			t.Errorf("%s: %d, want %d", name, a.status, status)
		}
		if b.consented(ask(s, "name")) == "" {
			t.Fatalf("%s: counts", name)
		}
	}
	b.browser = b.newBrowser()
	refused("nobody is logged in", 403, b.post("consent", form))
	refused("another user opens it", 403, b.openAs("eve@bob.example", path))
	refused("another user sends it", 400, b.post("consent", form))
	if a := b.get(path + "&prompt=login"); !strings.Contains(a.body, `name="password"`) {
		t.Errorf("no way to log in with another account: %s", a.body)
	}
	b.browser = bob
	cross := b.request(http.MethodPost, "consent", form.Encode())
	cross.Header.Set("Sec-Fetch-Site", "same-site")
	refused("from another site", 400, b.do(cross))
	refused("a forged link", 400, b.get("consent?request="+strings.Repeat("A", 200)))
	refused("no link", 400, b.get("consent"))
	refused("the form is no link", 400, b.get("consent?request="+url.QueryEscape(form.Get("request"))))
	link, _ := url.ParseQuery(strings.TrimPrefix(path, "consent?"))
	refused("the link is no form", 400, b.post("consent", with(form, "request", link.Get("request"))))
	b.pass(30 * time.Minute)
	refused("an old link", 400, b.get(path))
	refused("an old page", 400, b.post("consent", form))
	if a := b.do(b.request(http.MethodDelete, "consent", "")); a.status != 405 {
		t.Errorf("DELETE: %d", a.status)
	}
}

func TestConsented_Strangers(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	for name, change := range map[string]func(*oauth.Subject){
		"unknown":       func(s *oauth.Subject) { s.Email = "x@bob.example" },
		"another user":  func(s *oauth.Subject) { s.Email = "eve@bob.example" },
		"other issuer":  func(s *oauth.Subject) { s.Issuer = "https://other.example" },
		"no identifier": func(s *oauth.Subject) { s.ID = "" },
	} {
		other := s
		change(&other)
		if agreed, uri, err := b.provider.Consented(t.Context(), ask(other)); agreed || uri != "" || err != nil {
			t.Errorf("%s: %v %q %v", name, agreed, uri, err)
		}
	}
	b.store.fail(errBroken, nil)
	if agreed, _, err := b.provider.Consented(t.Context(), ask(s)); agreed || err == nil {
		t.Errorf("a store that fails: %v %v", agreed, err)
	}
}

func TestSEC_13_Consent(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	page := b.open(b.consented(ask(s, "name")))
	b.store.fail(nil, errBroken)
	if a := b.answer(page, "allow"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d", a.status)
	}
	b.store.fail(nil, nil)
	if b.consented(ask(s, "name")) == "" {
		t.Error("it counts")
	}
}

// Two answers at once, at two nodes, make one consent of both.
func TestConsent_Race(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	one, two := b.open(b.consented(ask(s, "name"))), b.open(b.consented(ask(s, "groups")))
	var wg sync.WaitGroup
	for _, page := range []answer{one, two} {
		request := page.sealed(t)
		wg.Go(func() {
			r := b.request(http.MethodPost, "consent", url.Values{"request": {request}, "decision": {"allow"}}.Encode())
			if resp, err := b.browser.Do(r); err == nil {
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	if b.consented(ask(s, "name", "groups")) != "" {
		t.Error("one of the answers is lost")
	}
}

// Names of others cannot look like a part of the page.
func TestSEC_16_HostileNames(t *testing.T) {
	evil := "<b>x</b>\u202egnp.exe\u2069\x7f" + strings.Repeat("long", 100)
	b := newBench(t, func(c *op.Config) {
		c.Clients = append(c.Clients, op.Client{ID: evil, Public: true, RedirectURIs: []string{callback}})
	})
	for name, page := range map[string]answer{
		"login":  b.authorize("client_id", evil),
		"device": b.confirm(b.newDevice("client_id", evil).UserCode),
		"logout": b.get("logout?" + url.Values{"client_id": {evil}}.Encode()),
	} {
		for _, part := range []string{"<b>x", "\u202e", "\u2069", "\x7f", strings.Repeat("long", 30)} {
			if strings.Contains(page.body, part) {
				t.Errorf("%s: the page holds %q", name, part)
			}
		}
		if !strings.Contains(page.body, "&lt;b&gt;x&lt;/b&gt;\ufffdgnp.exe\ufffd\ufffdlong") || !strings.Contains(page.body, "…</bdi>") {
			t.Errorf("%s: the name is not marked: %s", name, page.body)
		}
	}
}

// The end of a host says whose it is; it is not cut off, however long the host.
func TestSEC_16_LongHosts(t *testing.T) {
	host := "api.alice.example." + strings.Repeat(strings.Repeat("a", 50)+".", 3) + "evil.example"
	b := newBench(t, func(c *op.Config) {
		c.Clients = append(c.Clients, op.Client{ID: "long", Public: true, RedirectURIs: []string{"https://" + host + "/cb"}})
	})
	page := b.authorize("client_id", "long", "redirect_uri", "https://"+host+"/cb")
	if !strings.Contains(page.body, "return to <strong><bdi>"+host+"</bdi>") {
		t.Errorf("the page hides where it leads: %s", page.body)
	}
}
