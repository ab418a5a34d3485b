package upstream_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

type neighbour struct {
	name    string
	changes map[string]any
	want    string
}

func neighbours(t *testing.T, w *world, u resolver, good map[string]any, all []neighbour) {
	t.Helper()
	for _, n := range all {
		t.Run(n.name, func(t *testing.T) { refused(t, u, w.op.Sign(changed(good, n.changes), "JWT"), n.want) })
	}
}

func TestKeycloak(t *testing.T) {
	w := newWorld(t, fakeop.Config{Issuer: "https://bob.example/realms/staff"})
	u, good := w.upstream(func(c *upstream.Config) { c.Preset = "keycloak" }), recorded(t, "keycloak_access")
	s := accepted(t, u, w.op.Sign(good, "JWT"))
	if s.ClientID != "caddy-uma" || s.ID != good["sub"] || !s.EmailVerified || s.Claims["typ"] != nil || s.Claims["name"] != "Bob" {
		t.Errorf("subject = %+v", s)
	}
	neighbours(t, w, u, good, []neighbour{
		{"CA-02 ID token", map[string]any{"typ": "ID", "aud": "caddy-uma", "at_hash": "x"}, "not Bearer"},
		{"CA-02 refresh token", map[string]any{"typ": "Refresh", "aud": w.op.Issuer}, "not Bearer"},
		{"CA-02 offline token", map[string]any{"typ": "Offline"}, "not Bearer"},
		{"CA-02 no typ", map[string]any{"typ": nil}, "not Bearer"},
		{"CA-02 service account", map[string]any{"preferred_username": "service-account-caddy-uma"}, "service account"},
		{"CA-02 service account without profile", map[string]any{"preferred_username": nil, "clientHost": "192.0.2.1"}, "service account"},
		{"CA-13 nonce", map[string]any{"nonce": "x"}, "nonce"},
		{"CA-13 no mapper", map[string]any{"aud": "account"}, "audience mapper"},
		{"TX-07 other realm", map[string]any{"iss": "https://bob.example/realms/other"}, "another issuer"},
	})
}

func TestEntra(t *testing.T) {
	const tenant = "https://bob.example/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
	w := newWorld(t, fakeop.Config{Issuer: tenant})
	good := recorded(t, "entra_access")
	u := w.upstream(func(c *upstream.Config) {
		c.Preset, c.Audience = "entra", []string{"6e74172b-be56-4843-9ff4-e66a39bb12e3"}
	})
	if s := accepted(t, u, w.op.Sign(good, "JWT")); s.Self != good["aud"] || !s.EmailVerified {
		t.Errorf("subject = %+v", s)
	}
	for name, changes := range map[string]map[string]any{
		"no xms_edov": {"xms_edov": nil}, "false": {"xms_edov": false}, "nOAuth": {"xms_edov": nil, "email_verified": true},
	} {
		if s := accepted(t, u, w.op.Sign(changed(good, changes), "JWT")); s.EmailVerified {
			t.Errorf("%s: the address counts as verified", name)
		}
	}
	neighbours(t, w, u, good, []neighbour{
		{"CA-02 ID token", map[string]any{"scp": nil, "azp": nil, "nonce": "x"}, "scp"},
		{"CA-02 application", map[string]any{"scp": nil, "roles": []string{"x"}, "idtyp": "app"}, "scp"},
		{"CA-13 nonce", map[string]any{"nonce": "x"}, "nonce"},
		{"CA-13 Graph", map[string]any{"aud": "00000003-0000-0000-c000-000000000000"}, "audience"},
		{"v1.0", map[string]any{"ver": "1.0"}, "v2.0"},
		{"TX-07 other tenant", map[string]any{"iss": strings.Replace(tenant, "72f9", "72f8", 1)}, "another issuer"},
		{"no address", map[string]any{"email": nil}, "no e-mail address"},
	})
	if n := w.op.Hits(issuerPathOf(tenant) + "/userinfo"); n != 0 {
		t.Errorf("userinfo of Graph was asked %d times", n)
	}
}

func issuerPathOf(issuer string) string { return strings.TrimPrefix(issuer, "https://bob.example") }

func TestGoogle(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	good, answer := recorded(t, "google_tokeninfo"), map[string]any{}
	var queries []string
	w.op.Misbehave("/tokeninfo", func(rw http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		if token := r.PostFormValue("access_token"); r.Method != http.MethodPost || !strings.HasPrefix(token, "ya29.") {
			fakeop.Raw(400, "application/json", `{"error":"invalid_token"}`)(rw, r)
			return
		}
		fakeop.JSON("application/json", answer)(rw, r)
	})
	u := w.upstream(func(c *upstream.Config) {
		c.Issuer, c.Preset, c.Tokeninfo = "https://accounts.google.com", "google", "https://bob.example/tokeninfo"
	})
	answer = good
	s := accepted(t, u, "ya29.good")
	if s.ClientID != good["azp"] || s.Self != good["aud"] || !s.EmailVerified || !s.Confidential || s.Issuer != "https://accounts.google.com" {
		t.Errorf("subject = %+v", s)
	}
	refused(t, u, w.op.Sign(map[string]any{"iss": "https://accounts.google.com"}, "JWT"), "not valid")
	for _, n := range []neighbour{
		{"ya29.id", map[string]any{"scope": nil}, "access token"},
		{"ya29.old", map[string]any{"exp": "1800000000"}, "expired"},
		{"ya29.nobody", map[string]any{"sub": nil}, "no user"},
		{"ya29.noclient", map[string]any{"azp": nil}, "access token"},
		{"ya29.noend", map[string]any{"exp": "never"}, "access token"},
		{"ya29.otherdomain", map[string]any{"email": "bob@gmail.com"}, "does not speak for"},
	} {
		answer = changed(good, n.changes)
		refused(t, u, n.name, n.want)
	}
	if strings.Join(queries, "") != "" {
		t.Errorf("tokens in URLs: %q", queries)
	}
}

func TestSettings(t *testing.T) {
	good := upstream.Config{Issuer: "https://op.example", Self: self, Domains: []string{"bob.example"}}
	tests := []struct {
		name string
		edit func(*upstream.Config)
		want string
	}{
		{"good", func(*upstream.Config) {}, ""},
		{"issuer", func(c *upstream.Config) { c.Issuer = "http://op.example" }, "must be an https URL"},
		{"preset", func(c *upstream.Config) { c.Preset = "okta" }, "unknown"},
		{"check", func(c *upstream.Config) { c.Check = "magic" }, "unknown"},
		{"introspection by nobody", func(c *upstream.Config) { c.Check = upstream.CheckIntrospection }, "client_id"},
		{"secret for nothing", func(c *upstream.Config) { c.Secret = "x" }, "introspection only"},
		{"A26 userinfo", func(c *upstream.Config) { c.Check = upstream.CheckUserinfo }, "accept_unbound_tokens"},
		{"A26 userinfo accepted", func(c *upstream.Config) { c.Check, c.AcceptUnbound = upstream.CheckUserinfo, true }, ""},
		{"userinfo of keycloak", func(c *upstream.Config) {
			c.Check, c.AcceptUnbound, c.Preset = upstream.CheckUserinfo, true, "keycloak"
		}, "leave one"},
		{"unbound for nothing", func(c *upstream.Config) { c.AcceptUnbound = true }, "userinfo only"},
		{"A26 typ JWT", func(c *upstream.Config) { c.Types = []string{"JWT"} }, "looks like an access token"},
		{"A26 typ JWT with audience", func(c *upstream.Config) { c.Types, c.Audience = []string{"JWT"}, []string{"x"} }, ""},
		{"long typ", func(c *upstream.Config) { c.Types = []string{"application/at+jwt"} }, ""},
		{"entra without audience", func(c *upstream.Config) {
			c.Preset, c.Issuer = "entra", "https://op.example/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
		}, "audience"},
		{"entra of everybody", func(c *upstream.Config) { c.Preset, c.Issuer = "entra", "https://login.example/common/v2.0" }, "tenant id"},
		{"google elsewhere", func(c *upstream.Config) { c.Preset = "google" }, "accounts.google.com"},
		{"google check", func(c *upstream.Config) { c.Preset, c.Check = "google", upstream.CheckJWT }, "remove 'check'"},
		{"cache", func(c *upstream.Config) { c.CacheAge = maxCache + 1 }, "cache must be"},
		{"no domain", func(c *upstream.Config) { c.Domains = nil }, "email_domain"},
		{"claim sub", func(c *upstream.Config) { c.Claims = map[string]string{"sub": "upn"} }, "no claim about the user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.edit(&cfg)
			err := upstream.CheckAll(cfg)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CheckAll = %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := upstream.New(good); err == nil {
		t.Error("New without HTTP and Now")
	}
}

const maxCache = 60_000_000_000

func TestCA_17_Set(t *testing.T) {
	a := newWorld(t, fakeop.Config{Domain: "bob.example"})
	b := newWorld(t, fakeop.Config{Domain: "carol.example"})
	b.clock = a.clock
	cfg := outbound.Config{ConnectTo: a.op.ConnectTo(), Roots: a.op.Roots}
	cfg.ConnectTo["carol.example:443"] = b.op.Addr
	ua := a.upstream(nil)
	ub := b.upstream(func(c *upstream.Config) {
		c.Check, c.ClientID, c.Secret, c.Domains = upstream.CheckIntrospection, "sts", "secret", []string{"carol.example"}
	})
	b.introspects(func(string) map[string]any {
		return b.claims(map[string]any{"active": true, "iss": b.op.Issuer, "email": "carol@carol.example"})
	})
	set, err := upstream.NewSet(ua, ub)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, set, a.op.Sign(a.claims(nil), "at+jwt"))
	refused(t, set, b.op.Sign(a.claims(map[string]any{"iss": a.op.Issuer}), "at+jwt"), "signature")
	none := "eyJhbGciOiJub25lIn0." // alg none, no kid
	refused(t, set, none+"eyJpc3MiOiJodHRwczovL2JvYi5leGFtcGxlIn0.c2ln", "no acceptable JWT")
	refused(t, set, none+"e30.c2ln", "no configured provider")
	refused(t, set, a.op.Sign(a.claims(map[string]any{"iss": "https://eve.example"}), "at+jwt"), "no configured provider")
	if n := b.op.Hits(""); n != 0 {
		t.Errorf("tokens of another provider reached the one for opaque tokens %d times", n)
	}
	if s := accepted(t, set, "opaque"); s.Issuer != b.op.Issuer {
		t.Errorf("subject = %+v", s)
	}
	other := b.upstream(func(c *upstream.Config) {
		c.Issuer, c.Check, c.AcceptUnbound, c.Domains = "https://dave.example", upstream.CheckUserinfo, true, []string{"dave.example"}
	})
	overlap := b.upstream(func(c *upstream.Config) { c.Issuer, c.Domains = "https://dave.example", []string{"BOB.example"} })
	for name, all := range map[string][]*upstream.Upstream{"opaque": {ub, other}, "twice": {ua, ua}, "both speak for": {ua, overlap}, "no upstream": nil} {
		if _, err := upstream.NewSet(all...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("NewSet = %v, want %q", err, name)
		}
	}
}
