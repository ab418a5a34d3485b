package op_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// location is where a GET request is redirected to.
func location(p *op.Provider, path, query string) string {
	r := httptest.NewRequest(http.MethodGet, base+path, nil)
	r.URL.RawQuery = query
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Header().Get("Location")
}

// forms are the hidden fields of a page.
func (a answer) forms() []string {
	var all []string
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestAccount(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	b.answer(b.open(b.consented(ask(s, "name"))), "allow")
	other := ask(s, "groups")
	other.Target = "https://other.example"
	b.answer(b.open(b.consented(other)), "allow")
	page := b.get("account")
	checkPage(t, page)
	for _, text := range []string{"Bob@Bob.example", target, "https://other.example", "your name", "your groups", "15 January 2027", "Stop sharing"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page lacks %s", text)
		}
	}
	t.Run("another user sees nothing of it", func(t *testing.T) {
		bob := b.browser
		defer func() { b.browser = bob }()
		b.browser = b.newBrowser()
		if a := b.openAs("eve@bob.example", "account"); strings.Contains(a.body, target) || !strings.Contains(a.body, "not agreed to share anything") {
			t.Errorf("page: %s", a.body)
		}
		if a := b.post("account", url.Values{"request": {page.forms()[0]}}); a.status != 400 {
			t.Errorf("a form of bob's: %d", a.status)
		}
	})
	t.Run("an application loses its access", func(t *testing.T) {
		token := b.redeem(tokenParams(b.code("client_id", "web"), "client_id", "web", "client_secret", webKey)).AccessToken
		ours := b.redeem(tokenParams(b.code())).AccessToken
		page := b.get("account")
		apps := strings.Split(page.body, "End access")
		if len(apps) != 3 || !strings.Contains(apps[0], "app") || !strings.Contains(apps[1], "web") || !strings.Contains(apps[0], "by 2 logins") {
			t.Fatalf("page: %s", page.body)
		}
		forms := page.forms()
		if a := b.post("account", url.Values{"request": {forms[len(forms)-2]}}); a.status != 303 {
			t.Fatal(a.status)
		}
		if _, err := b.provider.Resolve(t.Context(), token); !errors.Is(err, oauth.ErrSubjectToken) {
			t.Errorf("its token lives on: %v", err)
		}
		if _, err := b.provider.Resolve(t.Context(), ours); err != nil {
			t.Errorf("that of another application: %v", err)
		}
	})
	t.Run("a consent is taken back", func(t *testing.T) {
		page := b.get("account")
		var form string
		for i, part := range strings.Split(page.body, `class="entry"`)[1:] {
			if strings.Contains(part, target) {
				form = page.forms()[i]
			}
		}
		a := b.post("account", url.Values{"request": {form}})
		if a.status != 303 || a.header.Get("Location") != base+"account" {
			t.Fatalf("%d to %q", a.status, a.header.Get("Location"))
		}
		if b.consented(ask(s, "name")) == "" || b.consented(other) != "" {
			t.Error("the wrong consent ended, or none")
		}
		if a := b.post("account", url.Values{"request": {form}}); a.status != 303 {
			t.Errorf("once more: %d", a.status)
		}
	})
}

func TestAccount_Logout(t *testing.T) {
	b := newBench(t, nil)
	here := b.browser
	b.open("account")
	there := b.newBrowser()
	b.browser = there
	b.open("account")
	eves := b.newBrowser()
	b.browser = eves
	b.openAs("eve@bob.example", "account")

	b.browser = here
	send := func(action string) answer {
		forms := b.get("account").forms()
		return b.post("account", url.Values{"request": {forms[len(forms)-1]}, "action": {action}})
	}
	if a := send("here"); a.status != 200 || b.loggedIn() {
		t.Errorf("here: %d", a.status)
	}
	b.browser = there
	if !b.loggedIn() {
		t.Fatal("the other browser is logged out, too")
	}
	b.browser = here
	token := b.redeem(tokenParams(b.code())).AccessToken
	if a := b.get("account"); !strings.Contains(a.body, "in 2 browsers") {
		t.Errorf("page: %s", a.body)
	}
	if a := send("everywhere"); a.status != 200 || !strings.Contains(a.body, "logged out everywhere") || b.loggedIn() {
		t.Errorf("everywhere: %d", a.status)
	}
	if _, err := b.provider.Resolve(t.Context(), token); !errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("an application still has access: %v", err)
	}
	b.browser = there
	if b.loggedIn() {
		t.Error("the other browser is still logged in")
	}
	b.browser = eves
	if !b.loggedIn() {
		t.Error("somebody else is logged out")
	}
}

func TestAccount_CSRF(t *testing.T) {
	b := newBench(t, nil)
	page := b.open("account")
	form := url.Values{"request": {page.sealed(t)}, "action": {"everywhere"}}
	cross := b.request(http.MethodPost, "account", form.Encode())
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.do(cross); a.status != 400 || !b.loggedIn() {
		t.Errorf("from another site: %d", a.status)
	}
	if a := b.post("account", with(form, "request", "")); a.status != 400 || !b.loggedIn() {
		t.Errorf("without form: %d", a.status)
	}
	b.store.fail(errBroken, nil)
	if a := b.get("account"); a.status != 503 {
		t.Errorf("a store that fails: %d", a.status)
	}
}
