package rs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

func set(name string, value any) func(map[string]any) {
	return func(c map[string]any) {
		if value == nil {
			delete(c, name)
			return
		}
		c[name] = value
	}
}

func permission(id string, scopes ...any) map[string]any {
	return map[string]any{"resource_id": id, "resource_scopes": scopes}
}

func TestUG_49_GoodRPTPasses(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	tickets := w.as.count("POST /permission")
	g, f := w.check("GET", w.rpt(set("email", "bob@bob.example")))
	if g == nil {
		t.Fatalf("refusal = %+v, want a grant", f)
	}
	want := &rs.Grant{
		Issuer: issuer, Subject: "u-1", ClientID: "caddy-uma", DecisionID: "d-1", Resource: resource,
		Scopes: []string{"get"}, Claims: []rs.Claim{{Name: "email", Value: "bob@bob.example"}},
	}
	if diff := cmp.Diff(want, g, cmpopts.IgnoreUnexported(rs.Grant{})); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
	// CONFORMANCE UF-21: no ticket for a request that passes.
	t.Run("UF-21 no ticket", func(t *testing.T) {
		if n := w.as.count("POST /permission"); n != tickets {
			t.Errorf("permission requests = %d, want %d", n, tickets)
		}
		if got := w.status("POST", w.rpt()); got != 403 {
			t.Errorf("unmapped method with an RPT = %d, want 403", got)
		}
		if got := w.status("GET", w.rpt(set("aud", "https://x.example"))); got != 401 || w.as.count("POST /permission") != tickets+1 {
			t.Errorf("a bad RPT = %d after %d permission requests, want 401 and one more", got, w.as.count("POST /permission"))
		}
	})
	if len(w.events) < 1 || w.events[0].Outcome != event.Granted || w.events[0].Source != "local" {
		t.Errorf("events = %+v", w.events)
	}
}

func TestAT_05_EachClaimCounts(t *testing.T) {
	min := time.Minute
	w := newWorld(t)
	w.status("GET", "")
	in := func(d time.Duration) int64 { return w.now.Add(d).Unix() }
	for _, c := range []struct {
		name  string
		claim func(map[string]any)
		ok    bool
	}{
		{"as it is", func(map[string]any) {}, true},
		{"iss", set("iss", "https://other.example"), false},
		{"iss with a slash", set("iss", issuer+"/"), false},
		{"no iss", set("iss", nil), false},
		{"SEC-14 aud of another RS", set("aud", "https://b.example"), false},
		{"aud prefix", set("aud", resource+"/x"), false},
		{"aud list", set("aud", []any{"https://b.example", resource}), true},
		{"no aud", set("aud", nil), false},
		{"no sub", set("sub", nil), false},
		{"no client_id", set("client_id", nil), false},
		{"no jti", set("jti", nil), false},
		{"sub is the client", set("sub", "caddy-uma"), false},
		{"expired within leeway", func(c map[string]any) { c["iat"], c["exp"] = in(-5*min), in(-59*time.Second) }, true},
		{"expired", func(c map[string]any) { c["iat"], c["exp"] = in(-5*min), in(-60*time.Second) }, false},
		{"no exp", set("exp", nil), false},
		{"no iat", set("iat", nil), false},
		{"iat of the future", func(c map[string]any) { c["iat"], c["exp"] = in(61*time.Second), in(5*min) }, false},
		{"iat within leeway", func(c map[string]any) { c["iat"], c["exp"] = in(60*time.Second), in(5*min) }, true},
		{"nbf of the future", set("nbf", in(61*time.Second)), false},
		{"nbf within leeway", set("nbf", in(60*time.Second)), true},
		{"longest life", set("exp", in(time.Hour)), true},
		{"too long a life", set("exp", in(time.Hour+time.Second)), false},
		{"exp before iat", func(c map[string]any) { c["iat"], c["exp"] = in(30*time.Second), in(10*time.Second) }, false},
		{"SEC-14 bound to a key", set("cnf", map[string]any{"jkt": "x"}), false},
		{"empty cnf", set("cnf", map[string]any{}), false},
		{"no permissions", set("permissions", nil), false},
		{"empty permissions", set("permissions", []any{}), false},
		{"permissions of another form", set("permissions", "get"), false},
		{"text as exp", set("exp", "later"), false},
	} {
		t.Run("AT-05 UG-51 "+c.name, func(t *testing.T) {
			want := 401
			if c.ok {
				want = 200
			}
			token := w.rpt(c.claim)
			for _, source := range []string{"first", "again"} {
				if got := w.status("GET", token); got != want {
					t.Errorf("%s = %d, want %d", source, got, want)
				}
			}
		})
	}
}

func TestUG_50_UG_51_BadRPTIsAnsweredWithATicket(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Scopes = []rs.Scope{{Name: "get"}, {Name: "post"}}
	})
	w.status("GET", "")
	for _, c := range []struct{ name, method, token, hint string }{
		{"garbage", "GET", "garbage", "invalid_token"},
		{"expired", "GET", w.rpt(func(c map[string]any) { c["iat"], c["exp"] = w.now.Unix()-600, w.now.Unix()-300 }), "invalid_token"},
		{"wrong scope", "POST", w.rpt(), "insufficient_scope"},
		{"wrong resource", "GET", w.rpt(set("permissions", []any{permission("id-2", "get")})), "insufficient_scope"},
	} {
		t.Run("UG-50 "+c.name, func(t *testing.T) {
			_, f := w.check(c.method, c.token)
			if challengeOf(t, f).Get("ticket") == "" {
				t.Error("no ticket")
			}
			lines := f.Header.Values("WWW-Authenticate")
			if len(lines) != 2 || lines[1] != `Bearer error="`+c.hint+`"` {
				t.Errorf("WWW-Authenticate = %q, want a second line with %s", lines, c.hint)
			}
		})
	}
}

func TestUF_31_PermissionWindows(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	with := func(extra ...any) string {
		p := permission("id-1", "get")
		for i := 0; i < len(extra); i += 2 {
			p[extra[i].(string)] = extra[i+1]
		}
		return w.rpt(set("permissions", []any{permission("id-9", "get"), p}))
	}
	at := func(d time.Duration) int64 { return w.now.Add(d).Unix() }
	for _, c := range []struct {
		name, token string
		want        int
	}{
		{"no window", with(), 200},
		{"exp ahead", with("exp", at(time.Minute)), 200},
		{"exp within leeway", with("exp", at(-59*time.Second)), 200},
		{"exp past", with("exp", at(-60*time.Second)), 401},
		{"nbf ahead", with("nbf", at(61*time.Second)), 401},
		{"nbf past", with("nbf", at(-time.Minute)), 200},
		{"iat ahead", with("iat", at(61*time.Second)), 401},
	} {
		t.Run("UF-31 "+c.name, func(t *testing.T) {
			if got := w.status("GET", c.token); got != c.want {
				t.Errorf("status = %d, want %d", got, c.want)
			}
		})
	}
	t.Run("UF-31 the token's own exp wins", func(t *testing.T) {
		token := with("exp", at(time.Hour))
		w.now = w.now.Add(6 * time.Minute)
		if got := w.status("GET", token); got != 401 {
			t.Errorf("status = %d, want 401", got)
		}
	})
}

func TestUF_27_AlsoPermissionsMustAllBeThere(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Resources = []rs.Resource{{Name: "a", Also: []rs.Also{{Resource: "b"}}}, {Name: "b"}}
	})
	w.status("GET", "")
	both := w.rpt(set("permissions", []any{permission("id-1", "get"), permission("id-2", "get")}))
	if got := w.status("GET", both); got != 200 {
		t.Errorf("both = %d, want 200", got)
	}
	if got := w.status("GET", w.rpt()); got != 401 {
		t.Errorf("one of two = %d, want 401", got)
	}
	empty := w.rpt(set("permissions", []any{permission("id-1", "get"), permission("id-2")}))
	if got := w.status("GET", empty); got != 401 {
		t.Errorf("without the other's scope = %d, want 401", got)
	}
}

func TestAT_06_SEC_01_OtherTokens(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	key := w.as.keys["k1"]
	head := func(change ...any) map[string]any {
		h := map[string]any{"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
		for i := 0; i < len(change); i += 2 {
			h[change[i].(string)] = change[i+1]
		}
		return h
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, key, head(), w.claims())
	parts := strings.Split(good, ".")
	tampered, _ := json.Marshal(w.claims(set("sub", "u-2")))
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"at+jwt":                           {good, 200},
		"application/at+jwt":               {sign(t, key, head("typ", "application/at+JWT"), w.claims()), 200},
		"ID token":                         {sign(t, key, head("typ", "JWT"), w.claims()), 401},
		"no typ":                           {sign(t, key, head("typ", ""), w.claims()), 401},
		"claims token":                     {sign(t, key, head("typ", "ca-claims+jwt"), w.claims()), 401},
		"DPoP proof":                       {sign(t, key, head("typ", "dpop+jwt"), w.claims()), 401},
		"PAT":                              {"pat_1", 401},
		"SEC-01 none":                      {b64([]byte(`{"alg":"none","kid":"k1","typ":"at+jwt"}`)) + "." + parts[1] + ".", 401},
		"SEC-01 HS256 with the public key": {hs256(t, key, parts[1]), 401},
		"SEC-01 alg of another key type":   {sign(t, key, head("alg", "RS256"), w.claims()), 401},
		"another key, same kid":            {sign(t, other, head(), w.claims()), 401},
		"unknown kid":                      {sign(t, other, head("kid", "k2"), w.claims()), 401},
		"crit":                             {sign(t, key, head("crit", []any{"x"}, "x", 1), w.claims()), 401},
		"jwk in the header":                {sign(t, key, head("jwk", map[string]any{"kty": "EC"}), w.claims()), 401},
		"changed payload":                  {parts[0] + "." + b64(tampered) + "." + parts[2], 401},
		"no signature":                     {parts[0] + "." + parts[1] + ".", 401},
		"cut":                              {good[:len(good)-2], 401},
		"too large":                        {sign(t, key, head(), w.claims(set("x", strings.Repeat("x", 16<<10)))), 401},
	} {
		t.Run("AT-06 SEC-01 "+name, func(t *testing.T) {
			if got := w.status("GET", c.token); got != c.want {
				t.Errorf("status = %d, want %d", got, c.want)
			}
		})
	}
}

func hs256(t *testing.T, key *ecdsa.PrivateKey, payload string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	input := b64([]byte(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`)) + "." + payload
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func TestCA_40_SEC_14_LearnedAudience(t *testing.T) {
	w := newWorld(t)
	w.as.audience = "RS API"
	w.status("GET", "")
	if got := w.status("GET", w.rpt(set("aud", "RS API"))); got != 200 {
		t.Errorf("aud RS API = %d, want 200", got)
	}
	if got := w.status("GET", w.rpt()); got != 401 {
		t.Errorf("aud = the URI = %d, want 401", got)
	}
}

func TestSEC_19_ReleasedClaims(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	g, f := w.check("GET", w.rpt(
		set("email", "bob@bob.example"), set("name", "Bob\r\nX-Admin: 1"), set("nick", "{env.SECRET}"), set("long", strings.Repeat("x", 2000)),
		set("groups", []any{"staff"}), set("scope", "x"), set("acr", "1"), set("bad name", "x"), set("id", "root"),
	))
	if g == nil {
		t.Fatalf("refusal = %+v", f)
	}
	if diff := cmp.Diff([]rs.Claim{{Name: "email", Value: "bob@bob.example"}}, g.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	g, _ = w.check("GET", w.rpt(set("sub", "u-{env.SECRET}")))
	if g == nil || g.Subject != "" {
		t.Errorf("grant = %+v, want an empty subject", g)
	}
}

func TestCheck_OneEventForEachCheck(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	w.status("GET", w.rpt())
	w.status("GET", "garbage")
	w.status("GET", w.rpt(set("permissions", []any{permission("id-7", "get")})))
	var got []event.Outcome
	for _, e := range w.events {
		got = append(got, e.Outcome)
	}
	if diff := cmp.Diff([]event.Outcome{event.Granted, event.Refused, event.Denied}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("Bearer a.b.c")
	f.Add("bearer  eyJhbGciOiJub25lIn0.e30.")
	f.Add("DPoP x")
	w := newWorld(&testing.T{})
	f.Fuzz(func(t *testing.T, header string) {
		w.t, w.as.t = t, t
		r := w.request("GET", "")
		r.Header.Set("Authorization", header)
		if g, refusal := w.rs.Check(r, rs.Target{Index: 0, Source: "s"}); g != nil || refusal == nil {
			t.Errorf("Check(%q) = %v, want a refusal", header, g)
		}
	})
}

func FuzzIsUMA(f *testing.F) {
	f.Add(`UMA realm="x", ticket="y"`)
	f.Add(`Basic realm="a", UMA ticket="y"`)
	f.Fuzz(func(t *testing.T, line string) {
		all, err := oauth.ParseChallenges([]string{line})
		if err != nil {
			return
		}
		has := false
		for _, c := range all {
			has = has || strings.EqualFold(c.Scheme, "uma")
		}
		if got := rs.IsUMA(line); got != has {
			t.Errorf("IsUMA(%q) = %v, want %v", line, got, has)
		}
	})
}
