package uma_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

// UG-53, OA-16: each kind of token, then its use, and what else dies with it.
func TestUG_53_Revocation(t *testing.T) {
	for _, tc := range []struct {
		name, token  string
		rpt, rt, pct bool // what lives afterwards
		events       int
		status       int
		code         string
	}{
		{"RPT", "access_token", false, true, true, 1, 200, ""},
		{"OA-16 refresh token, with its RPTs", "refresh_token", false, false, true, 1, 200, ""},
		{"PCT", "pct", true, true, false, 0, 200, ""},
		{"ticket", "ticket", true, true, true, 0, 400, "unsupported_token_type"},
		{"registration access token", "rat", true, true, true, 0, 400, "unsupported_token_type"},
		{"OA-15 unknown RPT", "rpt", true, true, true, 0, 200, ""},
		{"OA-15 unknown refresh token", "rt", true, true, true, 0, 200, ""},
		{"OA-15 garbage", "x", true, true, true, 0, 200, ""},
	} {
		for _, hint := range []string{"", "access_token", "refresh_token", "pct", "nonsense"} {
			for kind, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "opaque": opaque} {
				if kind == "opaque" && hint != "" {
					continue
				}
				t.Run(tc.name+" "+kind+" hint "+hint, func(t *testing.T) {
					b := newBench(t, refreshing, persisting, edit)
					res := b.webGrant(b.fresh())
					token := res.get(tc.token)
					switch tc.token {
					case "ticket":
						token = b.fresh()
					case "rat", "rpt":
						token = tc.token + "_" + strings.Repeat("A", 43)
					case "rt":
						token = "rt_" + strings.Repeat("A", 64)
					case "x":
						token = "x"
					}
					for range 2 { // a second time is no error
						got := b.revoke(token, map[string]string{"token_type_hint": hint})
						if got.status != tc.status || got.code() != tc.code || got.status == 200 && got.text != "" || got.header.Get("Cache-Control") != "no-store" {
							t.Fatalf("%d %v %s", got.status, got.header, got.text)
						}
					}
					if n := len(b.revocations()); n != tc.events {
						t.Errorf("%d events, want %d", n, tc.events)
					}
					if got := b.active(res.get("access_token")); got != tc.rpt {
						t.Errorf("RPT active: %v", got)
					}
					if got := b.asWeb(map[string]string{"ticket": b.fresh(), "pct": res.get("pct")}); (got.status == 200) != tc.pct {
						t.Errorf("PCT: %s", got.text)
					}
					if got := b.renew(res.get("refresh_token")); (got.status == 200) != tc.rt || !tc.rt && got.code() != "invalid_grant" {
						t.Errorf("refresh token: %s", got.text)
					}
				})
			}
		}
	}
}

// OA-15: another client gets the same answer, and nothing happens.
func TestOA_15_ForeignClient(t *testing.T) {
	b := newBench(t, refreshing, persisting)
	res := b.webGrant(b.fresh())
	pat := b.pat("api")
	for _, who := range []func(*http.Request){basic("photos", apiSecret), basic("api", apiSecret), nil} {
		for name, token := range map[string]string{"RPT": res.get("access_token"), "refresh token": res.get("refresh_token"), "PCT": res.get("pct"), "PAT": pat} {
			form := map[string]string{"token": token}
			var edits []func(*http.Request)
			if who == nil {
				form["client_id"] = "app"
			} else {
				edits = append(edits, who)
			}
			if name == "PAT" && who != nil {
				continue // see UF-33
			}
			if got := b.send("revoke", form, edits...); got.status != 200 || got.text != "" {
				t.Errorf("%s: %d %s", name, got.status, got.text)
			}
		}
	}
	if !b.active(res.get("access_token")) || len(b.revocations()) != 0 {
		t.Error("the RPT was revoked")
	}
	if got := b.asWeb(map[string]string{"ticket": b.fresh(), "pct": res.get("pct")}); got.status != 200 {
		t.Errorf("PCT: %s", got.text)
	}
	if got := b.renew(res.get("refresh_token")); got.status != 200 {
		t.Errorf("refresh token: %s", got.text)
	}
	t.Run("made-up refresh tokens of a known grant", func(t *testing.T) {
		jti, _ := payload(t, res.get("access_token"))["jti"].(string)
		id, _, _ := strings.Cut(jti, ".")
		made := "rt_" + id + strings.Repeat("A", 42)
		if b.revoke(made); !b.active(res.get("access_token")) {
			t.Error("who knows the jti ended the grant")
		}
	})
	for _, tc := range []struct {
		name   string
		form   map[string]string
		edit   func(*http.Request)
		status int
		code   string
	}{
		{"no client", map[string]string{"token": "x"}, func(*http.Request) {}, 400, "invalid_request"},
		{"a wrong secret", map[string]string{"token": "x"}, basic("web", "wrong"), 401, "invalid_client"},
		{"a PAT is no client", map[string]string{"token": "x"}, bearer(pat), 400, "invalid_request"},
		{"no token", map[string]string{"token_type_hint": "pct"}, basic("web", webSecret), 400, "invalid_request"},
		{"GET", map[string]string{"token": "x"}, func(r *http.Request) { r.Method = http.MethodGet }, 405, "unsupported_method_type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := b.send("revoke", tc.form, tc.edit); got.status != tc.status || got.code() != tc.code {
				t.Errorf("%d %s", got.status, got.text)
			}
		})
	}
	t.Run("SEC-18 the limit of the token endpoint", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.TokenLimit = limit.New(2, time.Minute, 100, b.clock) })
		for i := range 3 {
			if got := b.revoke("x"); (got.status == 429) != (i == 2) || i == 2 && got.header.Get("Retry-After") == "" {
				t.Errorf("%d: %d", i, got.status)
			}
		}
	})
	t.Run("a public client revokes its own RPT", func(t *testing.T) {
		rpt := b.ask(b.fresh()).get("access_token")
		if b.send("revoke", map[string]string{"token": rpt, "client_id": "other"}); !b.active(rpt) {
			t.Error("another one did")
		}
		if b.send("revoke", map[string]string{"token": rpt, "client_id": "app"}); b.active(rpt) {
			t.Error("still active")
		}
	})
}

func TestUF_33_RevokedPAT(t *testing.T) {
	b := newBench(t)
	pat, other := b.pat("api"), b.pat("api")
	if got := b.send("revoke", map[string]string{"token": pat}, basic("photos", apiSecret)); got.status != 200 {
		t.Errorf("%d", got.status)
	}
	if got := b.call(pat, http.MethodGet, "resource", ""); got.status != 200 {
		t.Errorf("another resource server revoked it: %s", got.text)
	}
	if got := b.send("revoke", map[string]string{"token": pat}, basic("api", apiSecret)); got.status != 200 {
		t.Errorf("%d", got.status)
	}
	for _, path := range []string{"resource", "permission", "introspect"} {
		method := http.MethodPost
		if path == "resource" {
			method = http.MethodGet
		}
		if got := b.call(pat, method, path, ""); got.status != 401 || got.code() != "invalid_token" {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
	if got := b.call(other, http.MethodGet, "resource", ""); got.status != 200 {
		t.Errorf("the other PAT: %s", got.text)
	}
	t.Run("its lifetime", func(t *testing.T) {
		b.pass(time.Hour)
		if got := b.call(other, http.MethodGet, "resource", ""); got.status != 401 {
			t.Errorf("%d", got.status)
		}
	})
}

// SEC-13: what cannot be recorded is not said to be done.
func TestSEC_13_RevocationFailsClosed(t *testing.T) {
	b := newBench(t, refreshing, persisting)
	res := b.webGrant(b.fresh())
	pat := b.pat("api")
	for name, tc := range map[string]struct {
		token, kind string
		who         func(*http.Request)
	}{
		"RPT":           {res.get("access_token"), "grant", basic("web", webSecret)},
		"refresh token": {res.get("refresh_token"), "grant", basic("web", webSecret)},
		"PCT":           {res.get("pct"), "pct", basic("web", webSecret)},
		"PAT":           {pat, "pat", basic("api", apiSecret)},
	} {
		for _, match := range []func(storetest.Call) bool{
			func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == tc.kind },
			func(c storetest.Call) bool {
				return c.Writes(store.ActionSwap, tc.kind) || c.Writes(store.ActionDelete, tc.kind)
			},
		} {
			b.faulty.FailBefore(match)
			if got := b.send("revoke", map[string]string{"token": tc.token}, tc.who); got.status != 503 {
				t.Errorf("%s: %d %s", name, got.status, got.text)
			}
			b.faulty.Repair()
		}
	}
	if got := b.revocations(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := b.opens(res.get("access_token")); len(got) != 1 {
		t.Errorf("%v", got)
	}
	t.Run("one change gets in between", func(t *testing.T) {
		b.between(func() { b.renew(res.get("refresh_token")) })
		if got := b.revoke(res.get("access_token")); got.status != 200 || b.active(res.get("access_token")) {
			t.Errorf("%d %s", got.status, got.text)
		}
		if diff := cmp.Diff([]string{"revoked by the client"}, b.revocations()); diff != "" {
			t.Error(diff)
		}
	})
}

// A client whose tokens are always bound needs no proof to give one back.
func TestOA_15_NoProof(t *testing.T) {
	b := newBench(t, refreshing, func(b *bench) { b.cfg.Clients[0].DPoPBound = true })
	res := b.boundGrant(b.fresh())
	form := map[string]string{"token": res.get("refresh_token"), "client_id": "app"}
	if got := b.send("revoke", form); got.status != 200 || b.active(res.get("access_token")) {
		t.Errorf("%d %s", got.status, got.text)
	}
}
