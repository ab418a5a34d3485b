package op_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// listing is an answer about sessions.
type listing struct {
	Sessions []struct {
		ID      string   `json:"session_id"`
		Kind    string   `json:"kind"`
		User    string   `json:"user"`
		Counts  bool     `json:"counts"`
		Clients []string `json:"client_ids"`
		Refresh bool     `json:"refresh_token"`
	} `json:"sessions"`
	Next     string `json:"next"`
	Consents []struct {
		Client string   `json:"client_id"`
		Target string   `json:"target"`
		Claims []string `json:"claims"`
	} `json:"consents"`
}

// adminOf asks a provider as administrators do.
func adminOf(p *op.Provider, method, path, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	p.Admin().ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func (b *bench) admin(method, path, body string) answer {
	return adminOf(b.provider, method, path, body)
}

func (b *bench) sessions(body string) listing {
	b.t.Helper()
	a := b.admin(http.MethodPost, "/show/sessions/search", body)
	if body == "" {
		a = b.admin(http.MethodGet, "/show/sessions", "")
	}
	var l listing
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != http.StatusOK {
		b.t.Fatalf("%d %s", a.status, a.body)
	}
	return l
}

// kinds are what a listing has, in short.
func (l listing) kinds() []string {
	all := []string{}
	for _, s := range l.Sessions {
		all = append(all, s.Kind+" "+s.User+" "+strings.Join(s.Clients, "+"))
	}
	return all
}

func (l listing) id(kind, user string) string {
	for _, s := range l.Sessions {
		if s.Kind == kind && s.User == user {
			return s.ID
		}
	}
	return ""
}

func (b *bench) refreshes(tokens oauth.TokenResponse) bool {
	b.t.Helper()
	return b.post("token", refreshParams(tokens.RefreshToken)).status == http.StatusOK
}

// Where users are logged in is listed; what is revoked is dead, and nothing else.
func TestAdminSessions(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	b.answer(b.open(b.consented(ask(s, "name"))), "allow")
	bob := b.redeem(tokenParams(b.code("scope", "openid offline_access")))
	bobs := b.browser
	b.browser = b.newBrowser()
	eve := b.redeem(tokenParams(b.login("eve@bob.example", password, "scope", "openid offline_access").params(t).Get("code")))
	eves := b.browser
	const bobName, eveName = "bob@bob.example", "eve@bob.example"

	all := b.sessions("")
	if len(all.Sessions) < 4 || all.id("browser", bobName) == "" || all.id("application", eveName) == "" {
		t.Fatalf("%v", all.kinds())
	}
	one := b.sessions(`{"user":"EVE@bob.example"}`)
	if diff := cmp.Diff([]string{"browser eve@bob.example app", "application eve@bob.example app"}, one.kinds()); diff != "" {
		t.Error(diff)
	}
	if got := b.sessions(`{"user":"bob@bob.example"}`); len(got.Consents) != 1 || got.Consents[0].Target != target || !got.Sessions[0].Counts {
		t.Errorf("%+v", got)
	}
	t.Run("page by page", func(t *testing.T) {
		seen := map[string]bool{}
		path := "/show/sessions?limit=1"
		for range 20 {
			var l listing
			if err := json.Unmarshal([]byte(b.admin(http.MethodGet, path, "").body), &l); err != nil || len(l.Sessions) > 1 {
				t.Fatalf("%v %+v", err, l)
			}
			for _, s := range l.Sessions {
				seen[s.ID] = true
			}
			if l.Next == "" {
				break
			}
			path = "/show/sessions?limit=1&after=" + l.Next
		}
		if len(seen) != len(all.Sessions) {
			t.Errorf("%d of %d", len(seen), len(all.Sessions))
		}
	})
	t.Run("SEC-24 no credentials", func(t *testing.T) {
		dump := b.admin(http.MethodGet, "/show/sessions", "").body
		for _, secret := range []string{bob.AccessToken, bob.RefreshToken, b.server.URL, "hash-bob", password} {
			if strings.Contains(dump, secret) {
				t.Errorf("%q is shown", secret)
			}
		}
	})
	t.Run("an id opens nothing", func(t *testing.T) {
		for _, s := range all.Sessions {
			if _, err := b.provider.Resolve(t.Context(), s.ID); !errors.Is(err, oauth.ErrSubjectToken) {
				t.Errorf("%s: %v", s.Kind, err)
			}
		}
	})

	id := one.id("application", eveName)
	if a := b.admin(http.MethodGet, "/show/sessions/"+id, ""); a.status != 200 || !strings.Contains(a.body, `"refresh_token":true`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := b.admin(http.MethodPost, "/change/sessions/revoke", `{"session_id":"`+id+`"}`); a.status != 200 || a.body != `{"browsers":0,"applications":1}` {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if b.refreshes(eve) || !b.refreshes(bob) {
		t.Error("the wrong refresh token lives")
	}
	if b.browser = eves; !b.loggedIn() {
		t.Error("the browser is logged out, too")
	}
	id = one.id("browser", eveName)
	if a := b.admin(http.MethodPost, "/change/sessions/revoke", `{"session_id":"`+id+`"}`); a.status != 200 || b.loggedIn() {
		t.Errorf("%d %s", a.status, a.body)
	}
	if b.browser = bobs; !b.loggedIn() {
		t.Error("bob is logged out")
	}
	if a := b.admin(http.MethodPost, "/change/sessions/revoke", `{"session_id":"`+id+`"}`); a.status != 404 {
		t.Errorf("once more: %d %s", a.status, a.body)
	}
	for i, want := range []event.Administration{
		{Action: "session_revoked", ID: one.id("application", eveName), ClientID: "app", Ended: 1},
		{Action: "session_revoked", ID: id, Ended: 1},
	} {
		got := b.byHand[i]
		if want.Role, want.Issuer, want.Person = "sts", issuer, got.Person; got.Person.Email != "eve@bob.example" || got != want {
			t.Errorf("%+v", got)
		}
	}
	if len(b.ended) != 1 || b.ended[0].Reason != "revoked by the administrator" {
		t.Errorf("%+v", b.ended)
	}
}

// All of a user ends at once, also what is still to be redeemed; his consents stay.
func TestAdminSessions_User(t *testing.T) {
	b := newBench(t, nil)
	s := b.subject()
	b.answer(b.open(b.consented(ask(s, "name"))), "allow")
	tokens := b.redeem(tokenParams(b.code("scope", "openid offline_access")))
	code, d := b.code(), b.newDevice()
	b.decide(b.confirm(d.UserCode), "allow")
	here := b.browser
	b.browser = b.newBrowser()
	eve := b.redeem(tokenParams(b.login("eve@bob.example", password, "scope", "openid offline_access").params(t).Get("code")))
	a := b.admin(http.MethodPost, "/change/sessions/revoke", `{"user":"BOB@bob.example"}`)
	if a.status != 200 || strings.Contains(a.body, `"browsers":0`) || strings.Contains(a.body, `"applications":0`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if _, err := b.provider.Resolve(t.Context(), tokens.AccessToken); !errors.Is(err, oauth.ErrSubjectToken) {
		t.Errorf("access token: %v", err)
	}
	if b.refreshes(tokens) || !b.refreshes(eve) || !b.loggedIn() {
		t.Error("the wrong ones live")
	}
	b.post("token", pollParams(d)).want(t, 400, "invalid_grant")
	b.post("token", tokenParams(code)).want(t, 400, "invalid_grant")
	if b.browser = here; b.loggedIn() {
		t.Error("the browser is logged in")
	}
	if b.consented(ask(s, "name")) != "" {
		t.Error("the consent is gone")
	}
	got := b.byHand[len(b.byHand)-1]
	if got.Action != "sessions_revoked" || got.Person.Email != "Bob@Bob.example" || got.Ended < 2 || got.ID != "" {
		t.Errorf("%+v", got)
	}
	t.Run("who is gone from the configuration", func(t *testing.T) {
		without := b.second(func(c *op.Config) { c.Users = c.Users[:1] })
		l := adminOf(without, http.MethodPost, "/show/sessions/search", `{"user":"eve@bob.example"}`)
		if !strings.Contains(l.body, `"counts":false`) || strings.Contains(l.body, `"counts":true`) {
			t.Errorf("%s", l.body)
		}
		if a := adminOf(without, http.MethodPost, "/change/sessions/revoke", `{"user":"eve@bob.example"}`); a.status != 200 || b.refreshes(eve) {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := adminOf(without, http.MethodPost, "/change/sessions/revoke", `{"user":"eve@bob.example"}`); a.status != 404 {
			t.Errorf("once more: %d %s", a.status, a.body)
		}
	})
	t.Run("SEC-28 another issuer's", func(t *testing.T) {
		b.login("bob@bob.example", password)
		other := b.second(func(c *op.Config) { c.Issuer = "https://other.example" })
		if l := adminOf(other, http.MethodGet, "/show/sessions", ""); l.body != `{"sessions":[]}` {
			t.Errorf("%s", l.body)
		}
		body := `{"session_id":"` + b.sessions("").Sessions[0].ID + `"}`
		if a := adminOf(other, http.MethodPost, "/change/sessions/revoke", body); a.status != 404 || !b.loggedIn() {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestAdminSessions_Refused(t *testing.T) {
	b := newBench(t, nil)
	b.login("bob@bob.example", password)
	id := b.sessions("").Sessions[0].ID
	hash := strings.Repeat("A", 43)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/show/sessions?limit=0", "", 400},
		{"GET", "/show/sessions?limit=1001", "", 400},
		{"GET", "/show/sessions?user=bob", "", 400},
		{"GET", "/show/sessions?after=x", "", 400},
		{"GET", "/show/sessions?limit=1;limit=2", "", 400},
		{"GET", "/show/sessions?limit=1&limit=2", "", 400},
		{"POST", "/change/sessions/revoke?session_id=" + hash, `{"user":"bob@bob.example"}`, 400},
		{"GET", "/show/sessions?after=consent." + hash, "", 400},
		{"GET", "/show/sessions?after=session.%00", "", 400},
		{"GET", "/show/sessions?after=session." + hash, "", 200},
		{"GET", "/show/sessions/x", "", 404},
		{"GET", "/show/sessions/" + hash, "", 404},
		{"GET", "/show/sessions/%00" + hash[1:], "", 404},
		{"POST", "/show/sessions/search", `{"user":"bob"}`, 400},
		{"POST", "/show/sessions/search", `{}`, 400},
		{"POST", "/show/sessions/search", `{"user":"bob@bob.example","limt":1}`, 400},
		{"POST", "/change/sessions/revoke", `{"user":"carol@bob.example","session":"x"}`, 400},
		{"POST", "/change/sessions/revoke", `{}`, 400},
		{"POST", "/change/sessions/revoke", `{"user":"bob@bob.example","session_id":"` + id + `"}`, 400},
		{"POST", "/change/sessions/revoke", `{"session_id":"` + hash + `"}`, 404},
		{"POST", "/change/sessions/revoke", `{"session_id":"x"}`, 404},
		{"POST", "/change/sessions/revoke", `{"user":"carol@bob.example"}`, 404},
		{"POST", "/change/sessions/revoke", `x`, 400},
		{"GET", "/change/sessions/revoke", "", 405},
		{"POST", "/show/sessions/revoke", `{"session_id":"` + id + `"}`, 405},
		{"POST", "/show/sessions/" + id, "", 405},
		{"GET", "/change/sessions", "", 404},
	} {
		if a := b.admin(c.method, c.path, c.body); a.status != c.status {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.status, a.body)
		}
	}
	if !b.loggedIn() {
		t.Error("logged out")
	}
	t.Run("SEC-13 store faults", func(t *testing.T) {
		b.store.fail(errBroken, errBroken)
		for _, a := range []answer{
			b.admin("GET", "/show/sessions", ""), b.admin("GET", "/show/sessions/"+id, ""),
			b.admin("POST", "/show/sessions/search", `{"user":"bob@bob.example"}`),
			b.admin("POST", "/change/sessions/revoke", `{"user":"bob@bob.example"}`),
			b.admin("POST", "/change/sessions/revoke", `{"session_id":"`+id+`"}`),
		} {
			if a.status != 503 {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		b.store.fail(nil, errBroken)
		if a := b.admin("POST", "/change/sessions/revoke", `{"session_id":"`+id+`"}`); a.status != 503 || !b.loggedIn() {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
