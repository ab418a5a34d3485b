package uma_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func (b *bench) admin(method, path, body string, edits ...func(*http.Request)) reply {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, edit := range edits {
		edit(r)
	}
	rec := httptest.NewRecorder()
	b.server.Admin().ServeHTTP(rec, r)
	return readReply(b.t, rec)
}

func (b *bench) show(path string) reply { return b.admin(http.MethodGet, "/show/"+path, "") }

func (b *bench) change(path, body string) reply {
	return b.admin(http.MethodPost, "/change/"+path, body)
}

// view is a domain as administrators see it.
type view map[string]any

func (b *bench) domainView(domain string) view {
	b.t.Helper()
	res := b.show("domains/" + domain)
	if res.status != 200 {
		b.t.Fatalf("%d %s", res.status, res.text)
	}
	return res.body
}

func (v view) issuer(issuer string) map[string]any {
	list, _ := v["issuers"].([]any)
	for _, entry := range list {
		if m, _ := entry.(map[string]any); m["issuer"] == issuer {
			return m
		}
	}
	return nil
}

func (v view) known() string {
	list, _ := v["issuers"].([]any)
	known := ""
	for _, entry := range list {
		if m, _ := entry.(map[string]any); m["known"] == true {
			text, _ := m["issuer"].(string)
			known += text
		}
	}
	return known
}

func TestAdminDomains(t *testing.T) {
	domains := []string{"bob.example", "evil.example", "other.bob.example"}
	b := newBench(t, func(b *bench) { b.cfg.Policies = []uma.Policy{{Name: "all", From: from(domains...)}} })
	b.op.Link(func(string) (string, bool) { return oldIssuer, true })
	for _, address := range []string{"a@bob.example", "b@bob.example", "a@evil.example", "a@other.bob.example"} {
		ticket := b.fresh()
		if res := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"email": address, "sub": address}))); res.status != 200 {
			t.Fatalf("%s: %s", address, res.text)
		}
	}
	var got []string
	path := "domains?limit=2"
	for pages := 0; path != ""; pages++ {
		res := b.show(path)
		list, _ := res.body["domains"].([]any)
		if res.status != 200 || pages > 2 || len(list) > 2 {
			t.Fatalf("page %d: %d %s", pages, res.status, res.text)
		}
		for _, entry := range list {
			m, _ := entry.(map[string]any)
			text, _ := m["domain"].(string)
			got = append(got, text)
		}
		if path = ""; res.get("next") != "" {
			path = "domains?limit=2&after=" + res.get("next")
		}
	}
	if diff := cmp.Diff(domains, got); diff != "" {
		t.Error(diff)
	}
	one := b.domainView("bob.example")
	if one["addresses"] != 2.0 || one["delegated"] != true || one.known() != oldIssuer || one.issuer(oldIssuer)["evidence"] != "webfinger" || one["doubt"] != nil {
		t.Errorf("%v", one)
	}
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
	}{
		"limit 0":               {"GET", "/show/domains?limit=0", "", 400},
		"limit too large":       {"GET", "/show/domains?limit=1001", "", 400},
		"a parameter misspelt":  {"GET", "/show/domains?limt=1", "", 400},
		"a member misspelt":     {"POST", "/change/domains/accept", `{"domain":"bob.example","issuer":"` + oldIssuer + `","isuer":"x"}`, 400},
		"forget, a member more": {"POST", "/change/domains/forget", `{"domain":"bob.example","address":"bob@bob.example"}`, 400},
		"no domain":             {"GET", "/show/domains/bob", "", 400},
		"unknown domain":        {"GET", "/show/domains/carol.example", "", 404},
		"change by looking":     {"POST", "/show/domains/forget", `{"domain":"bob.example"}`, 405},
		"change with GET":       {"GET", "/change/domains/forget", "", 405},
		"looking where changes": {"GET", "/change/domains", "", 404},
		"no such thing":         {"GET", "/show/people", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			if res := b.admin(tc.method, tc.path, tc.body); res.status != tc.status {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("a form is no JSON", func(t *testing.T) {
		res := b.admin("POST", "/change/domains/forget", `{"domain":"bob.example"}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
		if res.status != 400 || b.domainView("bob.example")["addresses"] != 2.0 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("SEC-13 store faults", func(t *testing.T) {
		b.faulty.FailBefore(func(c storetest.Call) bool { return true })
		defer b.faulty.Repair()
		for _, res := range []reply{
			b.show("domains"), b.show("domains/bob.example"),
			b.change("domains/accept", `{"domain":"bob.example","issuer":"https://bob.example"}`), b.change("domains/forget", `{"domain":"bob.example"}`),
		} {
			if res.status != 503 {
				t.Errorf("%d %s", res.status, res.text)
			}
		}
	})
}

// A decision and a question are explained at the routes of the administrator.
func TestAdminExplain(t *testing.T) {
	b := newBench(t)
	res := b.ask(b.fresh(), map[string]any{"email": "bob@bob.example"})
	id := res.get("decision_id")
	got := b.show("decisions/" + id)
	if got.status != 200 || got.get("decision_id") != id || got.get("outcome") != "granted" || got.get("policy") != "bob" {
		t.Errorf("%d %s", got.status, got.text)
	}
	if got := b.show("decisions/" + id + "x"); got.status != 404 {
		t.Errorf("%d %s", got.status, got.text)
	}
	const ask = `{"claims":{"iss":"https://bob.example","sub":"1","email":"eve@bob.example"},"resource_server":"api","resource":"RS API","scopes":["get"],"client_id":"app"}`
	if got := b.admin(http.MethodPost, "/show/explain", ask); got.status != 200 || got.get("outcome") != "denied" {
		t.Errorf("%d %s", got.status, got.text)
	}
	for name, body := range map[string]string{
		"unknown resource server": strings.Replace(ask, `"api"`, `"nope"`, 1),
		"no address":              strings.Replace(ask, `"email":"eve@bob.example"`, `"email":""`, 1),
		"not JSON":                "x",
	} {
		if got := b.admin(http.MethodPost, "/show/explain", body); got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	b.faulty.FailBefore(func(storetest.Call) bool { return true })
	for _, got := range []reply{b.show("decisions/" + id), b.admin(http.MethodPost, "/show/explain", ask)} {
		if got.status != 503 {
			t.Errorf("%d %s", got.status, got.text)
		}
	}
}
