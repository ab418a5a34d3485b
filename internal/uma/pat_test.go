package uma_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func TestUF_02_PAT(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	rpt := b.ask(b.fresh()).get("access_token")
	for _, tc := range []struct {
		name, authorization string
		status              int
		challenge           string
	}{
		{"OA-10 none", "", 401, `Bearer realm="uma", scope="uma_protection"`},
		{"garbage", "Bearer x", 401, `error="invalid_token"`},
		{"OA-10 unknown", "Bearer pat_" + strings.Repeat("A", 43), 401, `error="invalid_token"`},
		{"cut", "Bearer " + pat[:len(pat)-1], 401, `error="invalid_token"`},
		{"another scheme", "DPoP " + pat, 401, `error="invalid_token"`},
		{"Basic", "Basic YXBpOng=", 401, `error="invalid_token"`},
		{"UF-03 OA-10 an RPT has another scope", "Bearer " + rpt, 403, `error="insufficient_scope", scope="uma_protection"`},
		{"UF-03 a changed RPT", "Bearer " + rpt[:len(rpt)-8] + "AAAAAAAA", 401, `error="invalid_token"`},
		{"good", "Bearer " + pat, 200, ""},
		{"OA-09 lower case", "bearer " + pat, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, path := range []string{"resource", "resource/" + strings.Repeat("A", 22), "permission"} {
				method := http.MethodGet
				if path == "permission" {
					method = http.MethodPost
				}
				res := b.request(method, path, "{", func(r *http.Request) {
					if tc.authorization != "" {
						r.Header.Set("Authorization", tc.authorization)
					}
				})
				refused := res.status == 401 || res.status == 403
				if refused != (tc.status != 200) || refused && res.status != tc.status {
					t.Errorf("%s: %d %s", path, res.status, res.text)
				}
				challenge := res.header.Get("WWW-Authenticate")
				if !strings.Contains(challenge, tc.challenge) || (challenge == "") != (tc.status == 200) {
					t.Errorf("%s: challenge %s", path, challenge)
				}
			}
		})
	}
	t.Run("OA-10 without credentials the challenge has no error", func(t *testing.T) {
		if c := b.call("", http.MethodGet, "resource", "").header.Get("WWW-Authenticate"); strings.Contains(c, "error") {
			t.Error(c)
		}
	})
	t.Run("OA-09 elsewhere than in one header", func(t *testing.T) {
		if res := b.call("", http.MethodGet, "resource?access_token="+pat, ""); res.status != 401 {
			t.Errorf("query: %d", res.status)
		}
		res := b.request(http.MethodGet, "resource", "", func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + pat, "Bearer " + pat}
		})
		if res.status != 400 || res.code() != "invalid_request" {
			t.Errorf("twice: %d %s", res.status, res.text)
		}
	})
}

func TestUF_05_ClientCredentials(t *testing.T) {
	b := newBench(t)
	grant := map[string]string{"grant_type": "client_credentials"}
	res := b.token(grant, basic("photos", apiSecret))
	if res.status != 200 || res.get("scope") != "uma_protection" || res.get("token_type") != "Bearer" ||
		res.body["expires_in"] != 3600.0 || res.get("resource_uri") != photosURI || res.get("audience") != "Photos" ||
		res.get("owner") != "photos" || res.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", res.status, res.text)
	}
	for name, tc := range map[string]struct {
		id, secret, scope, code string
	}{
		"OA-05 a client of people": {"web", "secret-of-the-web-app", "", "unauthorized_client"},
		"OA-04 wrong secret":       {"api", "x", "", "invalid_client"},
		"another scope":            {"api", apiSecret, "uma_protection admin", "invalid_scope"},
		"unknown":                  {"nobody", apiSecret, "", "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			form := map[string]string{"grant_type": "client_credentials", "scope": tc.scope}
			if res := b.token(form, basic(tc.id, tc.secret)); res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("local needs no secret, in this process alone", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].Local = true })
		form := "grant_type=client_credentials&client_id=api"
		if res := b.post(b.server.Local("api"), form); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.post(b.server, form); res.code() != "invalid_client" {
			t.Errorf("over the network: %s", res.text)
		}
		if res := b.post(b.server.Local("photos"), form); res.code() != "invalid_client" {
			t.Errorf("of another one: %s", res.text)
		}
		if res := b.post(b.server.Local("photos"), "grant_type=client_credentials&client_id=photos"); res.code() != "invalid_client" {
			t.Errorf("not marked: %s", res.text)
		}
	})
}

// The lifetime of a PAT is limited. Until there is a revocation endpoint it ends
// with its resource server or with the owner it was issued for.
func TestUF_33_PATEnds(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	b.pass(time.Hour - time.Second)
	if res := b.call(pat, http.MethodGet, "resource", ""); res.status != 200 {
		t.Fatalf("%d %s", res.status, res.text)
	}
	b.pass(time.Second)
	if res := b.call(pat, http.MethodGet, "resource", ""); res.status != 401 {
		t.Fatalf("UF-02 expired: %d %s", res.status, res.text)
	}
	pat = b.pat("api")
	for name, edit := range map[string]func(*uma.Config){
		"another owner": func(c *uma.Config) { c.ResourceServers[0].Owner = "carol" },
		"removed":       func(c *uma.Config) { c.ResourceServers = c.ResourceServers[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			next := b.reload(edit)
			if res := next.call(pat, http.MethodGet, "resource", ""); res.status != 401 {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	if res := b.call(pat, http.MethodGet, "resource", ""); res.status != 200 {
		t.Errorf("%d %s", res.status, res.text)
	}
}

func TestUF_04_Isolation(t *testing.T) {
	b := newBench(t)
	api, photos := b.pat("api"), b.pat("photos")
	id := b.register(api, "RS API", "", "get")
	for _, call := range []struct{ method, body string }{
		{http.MethodGet, ""},
		{http.MethodPut, `{"resource_scopes":["get"]}`},
		{http.MethodDelete, ""},
	} {
		if res := b.call(photos, call.method, "resource/"+id, call.body); res.status != 404 || res.code() != "not_found" {
			t.Errorf("%s: %d %s", call.method, res.status, res.text)
		}
	}
	if res := b.call(photos, http.MethodPost, "permission", `{"resource_id":"`+id+`","resource_scopes":["get"]}`); res.status != 400 || res.code() != "invalid_resource_id" {
		t.Errorf("permission: %d %s", res.status, res.text)
	}
	if res := b.call(photos, http.MethodGet, "resource", ""); strings.TrimSpace(res.text) != "[]" {
		t.Errorf("list: %s", res.text)
	}
	if res := b.call(api, http.MethodGet, "resource/"+id, ""); res.status != 200 {
		t.Errorf("its own: %d", res.status)
	}
}
