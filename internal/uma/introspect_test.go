package uma_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

func TestUF_28_Introspection(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	rpt := b.ask(b.fresh()).get("access_token")
	for _, tc := range []struct {
		name   string
		form   map[string]string
		edits  []func(*http.Request)
		status int
		code   string
	}{
		{"with a PAT", map[string]string{"token": rpt}, []func(*http.Request){bearer(pat)}, 200, ""},
		{"with a hint", map[string]string{"token": rpt, "token_type_hint": "access_token"}, []func(*http.Request){bearer(pat)}, 200, ""},
		{"with a wrong hint", map[string]string{"token": rpt, "token_type_hint": "refresh_token"}, []func(*http.Request){bearer(pat)}, 200, ""},
		{"no PAT", map[string]string{"token": rpt}, nil, 401, "invalid_token"},
		{"A36 client credentials are no PAT", map[string]string{"token": rpt}, []func(*http.Request){basic("api", apiSecret)}, 401, "invalid_token"},
		{"UF-32 an unknown PAT", map[string]string{"token": rpt}, []func(*http.Request){bearer("pat_x")}, 401, "invalid_token"},
		{"OA-10 an RPT is no PAT", map[string]string{"token": rpt}, []func(*http.Request){bearer(rpt)}, 403, "insufficient_scope"},
		{"a PAT in the body", map[string]string{"token": rpt, "access_token": pat}, nil, 401, "invalid_token"},
		{"UF-32 no token", map[string]string{"token_type_hint": "access_token"}, []func(*http.Request){bearer(pat)}, 400, "invalid_request"},
		{"UF-32 an empty token", map[string]string{"token": ""}, []func(*http.Request){bearer(pat)}, 400, "invalid_request"},
		{"UF-32 JSON", map[string]string{"token": rpt}, []func(*http.Request){bearer(pat), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }}, 400, "invalid_request"},
		{"UF-32 GET", map[string]string{"token": rpt}, []func(*http.Request){bearer(pat), func(r *http.Request) { r.Method = http.MethodGet }}, 405, "unsupported_method_type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := b.send("introspect", tc.form, tc.edits...)
			if res.status != tc.status || res.code() != tc.code {
				t.Fatalf("%d %s", res.status, res.text)
			}
			if res.header.Get("Cache-Control") != "no-store" || res.header.Get("Content-Type") != "application/json" {
				t.Errorf("%v", res.header)
			}
			if (res.status == 200) != (res.body["active"] == true) || (res.status == 401) != (res.header.Get("WWW-Authenticate") != "") && res.status != 403 {
				t.Errorf("%v %s", res.header, res.text)
			}
		})
	}
}

// UF-29: what an active answer has, for both kinds of RPT. It is what a JWT says.
func TestUF_29_ActiveAnswer(t *testing.T) {
	for name, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "AT-08 opaque": opaque} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, edit)
			pat := b.pat("api")
			one, two := b.register(pat, "one", "", "get", "post"), b.register(pat, "two", "", []string{}...)
			ticket := b.call(pat, http.MethodPost, "permission", `[{"resource_id":"`+one+`","resource_scopes":["get"]},{"resource_id":"`+two+`","resource_scopes":[]}]`).get("ticket")
			granted := b.ask(ticket, map[string]any{"groups": []string{"staff"}, "name": "Bob"})
			rpt := granted.get("access_token")
			if opaque := strings.HasPrefix(rpt, "rpt_"); opaque != (name != "JWT") || opaque && (len(rpt) != 47 || strings.Contains(rpt, ".")) {
				t.Fatalf("%q", rpt)
			}
			b.pass(time.Second)
			res := b.introspect(rpt)
			got := res.body
			now := b.clock().Unix() - 1
			want := map[string]any{
				"active": true, "iss": issuer, "aud": apiURI, "client_id": "app", "token_type": "Bearer",
				"iat": float64(now), "exp": float64(now + 300), "sub": got["sub"], "jti": got["jti"],
				"decision_id": granted.get("decision_id"), "groups": []any{"staff"},
				"permissions": []any{
					map[string]any{"resource_id": one, "resource_scopes": []any{"get"}},
					map[string]any{"resource_id": two, "resource_scopes": []any{}}, // UF-30
				},
			}
			if name == "JWT" {
				want["status"] = payload(t, rpt)["status"]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if sub, _ := got["sub"].(string); !strings.HasPrefix(sub, "u-") {
				t.Errorf("sub %q", sub)
			}
			if name == "JWT" {
				claims := payload(t, rpt)
				claims["active"], claims["token_type"] = true, "Bearer"
				if diff := cmp.Diff(claims, got); diff != "" {
					t.Errorf("JWT and description differ:\n%s", diff)
				}
			}
		})
	}
	t.Run("DP-02 cnf and token_type of a bound RPT", func(t *testing.T) {
		b := newBench(t)
		got := b.introspect(b.boundGrant(b.fresh()).get("access_token"))
		if got.get("token_type") != "DPoP" || !cmp.Equal(got.body["cnf"], any(map[string]any{"jkt": thumbprint(t, proofKey)})) {
			t.Errorf("%s", got.text)
		}
	})
}

// OA-11: all that is not active is the same.
func TestOA_11_Inactive(t *testing.T) {
	for kind, edit := range map[string]func(*bench){"JWT": func(*bench) {}, "opaque": opaque} {
		for name, spoil := range map[string]func(b *bench, rpt string) string{
			"unknown":              func(b *bench, rpt string) string { return "rpt_" + strings.Repeat("A", 43) },
			"garbage":              func(*bench, string) string { return "x" },
			"cut":                  func(_ *bench, rpt string) string { return rpt[:len(rpt)-1] },
			"longer":               func(_ *bench, rpt string) string { return rpt + "A" },
			"expired":              func(b *bench, rpt string) string { b.pass(5 * time.Minute); return rpt },
			"revoked":              func(b *bench, rpt string) string { b.revoke(rpt); return rpt },
			"expired, record gone": func(b *bench, rpt string) string { b.pass(2 * time.Hour); return rpt },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				b := newBench(t, edit)
				rpt := b.webGrant(b.fresh()).get("access_token")
				if !b.active(rpt) {
					t.Fatal("not active at first")
				}
				if res := b.introspect(spoil(b, rpt)); res.status != 200 || res.text != inactive {
					t.Errorf("%d %s", res.status, res.text)
				}
			})
		}
		t.Run(kind+" one second before it expires", func(t *testing.T) {
			b := newBench(t, edit)
			rpt := b.webGrant(b.fresh()).get("access_token")
			b.pass(5*time.Minute - time.Second)
			if !b.active(rpt) {
				t.Error("inactive")
			}
		})
		t.Run(kind+" the client", func(t *testing.T) {
			b := newBench(t, edit)
			rpt := b.webGrant(b.fresh()).get("access_token")
			for name, tc := range map[string]struct {
				edit func(*uma.Config)
				want bool
			}{
				"is still there": {func(*uma.Config) {}, true},
				"was removed":    {func(c *uma.Config) { c.Clients = c.Clients[:2] }, false},
				"UG-63 was disabled": {func(c *uma.Config) {
					c.Clients = append([]clientauth.Client{}, c.Clients...)
					c.Clients[2].Disabled = true
				}, false},
			} {
				if got := b.reload(tc.edit).active(rpt); got != tc.want {
					t.Errorf("%s: %v", name, got)
				}
			}
		})
	}
}

// AT-06: nothing but an RPT is an RPT at introspection, and nothing but a refresh
// token is one at the token endpoint.
func TestAT_06_KindsOfTokens(t *testing.T) {
	b := newBench(t, refreshing, persisting)
	pat := b.pat("api")
	ticket := b.fresh()
	claimToken := b.sign(b.claims(ticket, nil))
	res := b.webGrant(ticket)
	kinds := map[string]string{
		"RPT": res.get("access_token"), "PAT": pat, "refresh token": res.get("refresh_token"), "PCT": res.get("pct"),
		"claims token": claimToken, "ticket": b.fresh(), "signed introspection": b.signedIntrospection(res.get("access_token")),
		"ID token": b.op.Sign(b.claims(ticket, nil), "JWT"), "another's at+jwt": b.op.Sign(payload(t, res.get("access_token")), "at+jwt"),
	}
	for name, token := range kinds {
		t.Run("introspect "+name, func(t *testing.T) {
			if res := b.introspect(token); (res.body["active"] == true) != (name == "RPT") || name != "RPT" && res.text != inactive {
				t.Errorf("%s", res.text)
			}
		})
		t.Run("refresh with "+name, func(t *testing.T) {
			if name == "refresh token" {
				return
			}
			if res := b.renew(token); res.code() != "invalid_grant" {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
		t.Run("PCT "+name, func(t *testing.T) {
			if name == "PCT" {
				return
			}
			if res := b.asWeb(map[string]string{"ticket": b.fresh(), "pct": token}); res.code() != "need_info" {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
		t.Run("PAT "+name, func(t *testing.T) {
			if got := b.call(token, http.MethodGet, "resource", "").status; (got == 200) != (name == "PAT") {
				t.Errorf("%d", got)
			}
		})
	}
	t.Run("the refresh token is good all the same", func(t *testing.T) {
		if res := b.renew(kinds["refresh token"]); res.status != 200 {
			t.Errorf("%s", res.text)
		}
	})
}

// A36, OA-12: a resource server sees its own RPTs and permissions only.
func TestOA_12_TwoResourceServers(t *testing.T) {
	b := newBench(t)
	api, photos := b.pat("api"), b.pat("photos")
	mine := b.ask(b.ticket(api, b.register(api, "x", "", "get"), "get")).get("access_token")
	ticket := b.ticket(photos, b.register(photos, "x", "", "get"), "get")
	theirs := b.present(ticket, b.sign(b.claims(ticket, map[string]any{"aud": "Photos"}))).get("access_token")
	for _, tc := range []struct {
		name, pat, token string
		want             bool
	}{
		{"mine", api, mine, true},
		{"another's", api, theirs, false},
		{"theirs", photos, theirs, true},
		{"UG-03 mine at them", photos, mine, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := b.send("introspect", map[string]string{"token": tc.token}, bearer(tc.pat))
			if (res.body["active"] == true) != tc.want || !tc.want && res.text != inactive {
				t.Errorf("%s", res.text)
			}
		})
	}
	t.Run("another owner of the same resource server", func(t *testing.T) {
		next := b.reload(func(c *uma.Config) { c.ResourceServers[0].Owner = "carol" })
		if next.active(mine) {
			t.Error("the RPT is for resources of another owner")
		}
		if all := b.reload(func(c *uma.Config) { c.ResourceServers[0].Owner = "*" }); !all.active(mine) {
			t.Error("who speaks for all owners does not see it")
		}
	})
}

// UF-30: what is not registered any more is not shown.
func TestUF_30_ChangedSince(t *testing.T) {
	b := newBench(t)
	pat := b.pat("api")
	one, two := b.register(pat, "one", "", "get", "post"), b.register(pat, "two", "", []string{}...)
	ticket := b.call(pat, http.MethodPost, "permission", `[{"resource_id":"`+one+`","resource_scopes":["get","post"]},{"resource_id":"`+two+`","resource_scopes":[]}]`).get("ticket")
	rpt := b.ask(ticket).get("access_token")
	steps := []struct {
		name string
		do   func()
		want map[string][]string
	}{
		{"nothing", func() {}, map[string][]string{one: {"get", "post"}, two: {}}},
		{"a scope was unregistered", func() {
			b.call(pat, http.MethodPut, "resource/"+one, `{"name":"one","resource_scopes":["get","delete"]}`)
		}, map[string][]string{one: {"get"}, two: {}}},
		{"a resource was deleted", func() { b.call(pat, http.MethodDelete, "resource/"+two, "") }, map[string][]string{one: {"get"}}},
		{"the last scope was unregistered", func() { b.call(pat, http.MethodPut, "resource/"+one, `{"resource_scopes":["delete"]}`) }, map[string][]string{}},
	}
	for _, step := range steps {
		step.do()
		if got := b.opens(rpt); !cmp.Equal(got, step.want) {
			t.Errorf("%s: %v", step.name, got)
		}
	}
	if b.introspect(rpt).text != inactive {
		t.Error("nothing is left, and it is active")
	}
}

func TestSEC_13_IntrospectionFailsClosed(t *testing.T) {
	b := newBench(t, opaque)
	rpt, pat := b.webGrant(b.fresh()).get("access_token"), b.pat("api")
	for _, kind := range []string{"pat", "reference", "grant", "resource", "decided"} {
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == kind })
		res := b.send("introspect", map[string]string{"token": rpt}, bearer(pat))
		if res.status != http.StatusServiceUnavailable || res.body["active"] != nil {
			t.Errorf("%s: %d %s", kind, res.status, res.text)
		}
	}
	b.faulty.Repair()
	if !b.active(rpt) {
		t.Error("inactive")
	}
}

// signedIntrospection asks as the api for a signed answer.
func (b *bench) signedIntrospection(token string) string {
	b.t.Helper()
	res := b.send("introspect", map[string]string{"token": token}, bearer(b.pat("api")), accept("application/token-introspection+jwt"))
	if res.status != http.StatusOK || res.header.Get("Content-Type") != "application/token-introspection+jwt" || res.header.Get("Cache-Control") != "no-store" {
		b.t.Fatalf("%d %v %s", res.status, res.header, res.text)
	}
	return res.text
}

func accept(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept", value) }
}

// OA-14, the half of the authorization server.
func TestOA_14_SignedAnswer(t *testing.T) {
	b := newBench(t)
	rpt := b.ask(b.fresh()).get("access_token")
	for name, token := range map[string]string{"active": rpt, "inactive": "x"} {
		t.Run(name, func(t *testing.T) {
			parsed, err := jose.Parse(b.signedIntrospection(token), oauth.MaxForm)
			if err != nil || parsed.Header.Typ != "token-introspection+jwt" {
				t.Fatalf("%v %+v", err, parsed)
			}
			var got map[string]any
			if err := parsed.Verify(t.Context(), b.cfg.IntrospectionKeys, jose.DefaultAlgs(), &got); err != nil {
				t.Fatal(err)
			}
			if err := parsed.Verify(t.Context(), b.cfg.RPTKeys, jose.DefaultAlgs(), &got); err == nil {
				t.Error("signed with a key for RPTs")
			}
			want := map[string]any{
				"iss": issuer, "aud": apiURI, "iat": float64(b.clock().Unix()), "token_introspection": b.introspect(token).body,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if jwks := b.get("/uma/jwks").text; !strings.Contains(jwks, `"`+parsed.Header.KID+`"`) {
				t.Errorf("the key is not published: %s", jwks)
			}
		})
	}
	t.Run("metadata", func(t *testing.T) {
		doc := b.get("/.well-known/uma2-configuration")
		if text, _ := json.Marshal(doc.body["introspection_signing_alg_values_supported"]); string(text) != `["ES256"]` {
			t.Errorf("%s", doc.text)
		}
	})
	t.Run("an error stays JSON", func(t *testing.T) {
		if res := b.send("introspect", map[string]string{"token": rpt}, accept("application/token-introspection+jwt")); res.status != 401 || res.code() == "" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("SEC-13 no key", func(t *testing.T) {
		b := newBench(t)
		rpt, pat := b.ask(b.fresh()).get("access_token"), b.pat("api")
		b.storage.Fail = http.ErrServerClosed
		if res := b.send("introspect", map[string]string{"token": rpt}, bearer(pat), accept("application/token-introspection+jwt")); res.status != 503 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	const signed = "application/token-introspection+jwt"
	for _, tc := range []struct {
		accept string
		want   bool
	}{
		{signed, true},
		{"Application/Token-Introspection+JWT", true},
		{signed + ", application/json", true},
		{"application/json, " + signed, true},
		{"application/json;q=0.9, " + signed, true},
		{signed + ";q=0.5, */*", true},
		{signed + ";q=0.001", true},
		{"application/json, " + signed + ";q=0.9", false},
		{signed + ";q=0", false},
		{signed + ";q=0.000", false},
		{signed + ";q=1.1", false},
		{signed + ";q=0.0001", false},
		{signed + ";q=-1", false},
		{signed + ";q=1e0", false},
		{signed + ";q=NaN", false},
		{signed + ";q", false},
		{`text/plain;x=", ` + signed + `"`, false},
		{"", false},
		{"*/*", false},
		{"application/*", false},
		{"application/json", false},
		{"application/jwt", false},
		{signed + "x", false},
	} {
		if got := uma.WantsSigned(tc.accept); got != tc.want {
			t.Errorf("Accept: %s: %v", tc.accept, got)
		}
	}
	if !uma.WantsSigned("application/json;q=0.1", signed) {
		t.Error("two header fields")
	}
}

func TestSEC_28_IntrospectionOfTenants(t *testing.T) {
	one := newBench(t, refreshing, opaque)
	two := one.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" })
	jwt := one.reload(func(c *uma.Config) { c.ResourceServers[0].Opaque = false })
	res := one.webGrant(one.fresh())
	for name, token := range map[string]string{"opaque": res.get("access_token"), "JWT": jwt.webGrant(jwt.fresh()).get("access_token")} {
		if two.active(token) || !one.active(token) {
			t.Errorf("%s: active at the wrong one", name)
		}
	}
	if got := two.renew(res.get("refresh_token")); got.code() != "invalid_grant" {
		t.Errorf("%s", got.text)
	}
	if got := two.revoke(res.get("refresh_token")); got.status != 200 || !one.active(res.get("access_token")) {
		t.Errorf("revoked elsewhere: %d", got.status)
	}
}

// SEC-14: a bearer RPT of the time before is worth nothing to a resource server that
// demands bound ones now.
func TestSEC_14_DemandedSince(t *testing.T) {
	b := newBench(t)
	rpt := b.ask(b.fresh()).get("access_token")
	for demand, want := range map[uma.Binding]bool{uma.BindNone: true, uma.BindDPoP: false, uma.BindMTLS: false} {
		next := b.reload(func(c *uma.Config) { c.ResourceServers[0].Require = demand })
		if got := next.active(rpt); got != want {
			t.Errorf("%q: %v", demand, got)
		}
	}
}
