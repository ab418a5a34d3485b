package rs_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-uma/caddy-uma/internal/limit"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// verdict is what a client sees of a check.
type verdict struct {
	Status int
	Hint   string
}

func (w *world) verdict(method, token string) verdict {
	w.t.Helper()
	g, f := w.check(method, token)
	if g != nil {
		return verdict{Status: 200}
	}
	v := verdict{Status: f.Status}
	if lines := f.Header.Values("WWW-Authenticate"); len(lines) == 2 {
		v.Hint = lines[1]
	}
	return v
}

// mode is a way to learn what an RPT says.
type mode struct {
	name       string
	introspect bool
	opaque     bool
	signs      bool
}

var modes = []mode{
	{name: "local"},
	{name: "introspection", introspect: true},
	{name: "introspection, signed", introspect: true, signs: true},
	{name: "opaque", opaque: true},
	{name: "opaque, introspection, signed", opaque: true, introspect: true, signs: true},
}

// One table for all ways: whatever says it, the same claims get the same verdict.
func TestUF_27_SameVerdicts(t *testing.T) {
	const (
		invalid      = `Bearer error="invalid_token"`
		insufficient = `Bearer error="insufficient_scope"`
		unproven     = `DPoP algs="ES256 ES384 RS256 PS256 EdDSA", error="invalid_token"`
	)
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	window := func(name string, d time.Duration) func(map[string]any) {
		p := permission("id-1", "get")
		p[name] = at(d)
		return set("permissions", []any{p})
	}
	for _, c := range []struct {
		name   string
		method string
		claim  func(map[string]any)
		want   verdict
	}{
		{"good", "GET", func(map[string]any) {}, verdict{200, ""}},
		{"aud list", "GET", set("aud", []any{"https://b.example", resource}), verdict{200, ""}},
		{"foreign aud", "GET", set("aud", "https://b.example"), verdict{401, invalid}},
		{"no aud", "GET", set("aud", nil), verdict{401, invalid}},
		{"foreign iss", "GET", set("iss", "https://b.example"), verdict{401, invalid}},
		{"no sub", "GET", set("sub", nil), verdict{401, invalid}},
		{"no client_id", "GET", set("client_id", nil), verdict{401, invalid}},
		{"of a client", "GET", set("sub", "caddy-uma"), verdict{401, invalid}},
		{"expired within leeway", "GET", func(c map[string]any) { c["iat"], c["exp"] = at(-5*time.Minute), at(-59*time.Second) }, verdict{200, ""}},
		{"expired", "GET", func(c map[string]any) { c["iat"], c["exp"] = at(-5*time.Minute), at(-time.Minute) }, verdict{401, invalid}},
		{"no exp", "GET", set("exp", nil), verdict{401, invalid}},
		{"exp of another form", "GET", set("exp", "soon"), verdict{401, invalid}},
		{"iat of the future", "GET", set("iat", at(61*time.Second)), verdict{401, invalid}},
		{"not valid yet", "GET", set("nbf", at(61*time.Second)), verdict{401, invalid}},
		{"lives too long", "GET", set("exp", at(time.Hour+time.Second)), verdict{401, invalid}},
		{"bound", "GET", set("cnf", map[string]any{"jkt": "x"}), verdict{401, unproven}},
		{"bound to nothing", "GET", set("cnf", map[string]any{}), verdict{401, invalid}},
		{"no permissions", "GET", set("permissions", nil), verdict{401, invalid}},
		{"other scope", "POST", func(map[string]any) {}, verdict{401, insufficient}},
		{"other resource", "GET", set("permissions", []any{permission("id-9", "get")}), verdict{401, insufficient}},
		{"UF-31 permission expired", "GET", window("exp", -time.Minute), verdict{401, insufficient}},
		{"UF-31 permission expired within leeway", "GET", window("exp", -59*time.Second), verdict{200, ""}},
		{"UF-31 permission of later", "GET", window("nbf", 61*time.Second), verdict{401, insufficient}},
		{"UF-31 permission of the future", "GET", window("iat", 61*time.Second), verdict{401, insufficient}},
	} {
		for _, m := range modes {
			t.Run("UF-27 "+c.name+"/"+m.name, func(t *testing.T) {
				w := newWorld(t, func(cfg *rs.Config) {
					cfg.Introspect, cfg.Scopes = m.introspect, []rs.Scope{{Name: "get"}, {Name: "post"}}
				})
				w.as.tokens, w.as.signs = map[string]map[string]any{}, m.signs
				w.status("GET", "")
				token := w.rpt(c.claim)
				if m.opaque {
					token = "rpt_x"
				}
				w.as.tokens[token] = w.claims(c.claim)
				for _, when := range []string{"first", "again"} {
					if got := w.verdict(c.method, token); got != c.want {
						t.Errorf("%s = %v, want %v", when, got, c.want)
					}
				}
				if asked := len(w.as.asked) > 0; asked != (m.introspect || m.opaque) {
					t.Errorf("asked = %v", asked)
				}
			})
		}
	}
}

// What was taken back gets the same answer as well, within the same bound.
func TestUF_27_SameVerdictOnRevoked(t *testing.T) {
	for _, m := range modes {
		t.Run("UF-27 revoked/"+m.name, func(t *testing.T) {
			w := newAsking(t, func(cfg *rs.Config) { cfg.Introspect = m.introspect })
			w.as.signs = m.signs
			token := w.rpt()
			if m.opaque {
				token = "rpt_x"
			}
			w.as.tokens[token] = w.claims()
			w.wantStatus(token, 200)
			w.as.set(func() {
				delete(w.as.tokens, token)
				w.as.status.revoked = []int64{7}
			})
			w.now = w.now.Add(10 * time.Second)
			for range 2 {
				if got := w.verdict("GET", token); got != (verdict{401, `Bearer error="invalid_token"`}) {
					t.Errorf("verdict = %v", got)
				}
			}
		})
	}
}

// A JWT that stands on no status list is asked about like an opaque token, under the
// same bounds.
func TestUF_27_JWTWithoutStatus(t *testing.T) {
	w := newAsking(t)
	token := w.rpt(set("status", nil))
	for range 3 {
		w.wantStatus(token, 401)
	}
	w.wantQuestions(token, 1)
	good := w.rpt(set("status", nil), set("jti", "good"))
	w.as.tokens[good] = w.claims()
	for range 3 {
		w.wantStatus(good, 200)
	}
	w.wantQuestions(good, 1)
	w.as.set(func() { w.as.down = true })
	w.now = w.now.Add(30*time.Second - 1)
	w.wantStatus(good, 200)
	w.now = w.now.Add(1)
	w.wantStatus(good, 503)
}

// Such JWTs are unknown until the authorization server has said something.
func TestSEC_18_JWTWithoutStatusCounts(t *testing.T) {
	w := newAsking(t, func(c *rs.Config) { c.Asking = limit.New(2, time.Minute, 10, c.Now) })
	var got []int
	for i := range 4 {
		got = append(got, w.status("GET", w.rpt(set("status", nil), set("jti", strconv.Itoa(i)))))
	}
	if diff := cmp.Diff([]int{401, 401, 429, 429}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if got := w.status("GET", w.rpt()); got != 200 {
		t.Errorf("one that stands on a list = %d, want 200", got)
	}
}

// The description has what the placeholders need, however it came.
func TestUF_27_SameGrants(t *testing.T) {
	for _, m := range modes {
		w := newAsking(t, func(cfg *rs.Config) { cfg.Introspect = m.introspect })
		w.as.signs = m.signs
		token := w.rpt(set("email", "bob@bob.example"), set("bad", "{env.X}"))
		if m.opaque {
			token = "rpt_x"
		}
		w.as.tokens[token] = w.claims(set("email", "bob@bob.example"), set("bad", "{env.X}"), set("token_type", "Bearer"))
		for _, when := range []string{"first", "again"} {
			g, f := w.check("GET", token)
			want := &rs.Grant{
				Issuer: issuer, Subject: "u-1", ClientID: "caddy-uma", DecisionID: "d-1", Resource: resource,
				Scopes: []string{"get"}, Claims: []rs.Claim{{Name: "email", Value: "bob@bob.example"}},
			}
			if diff := cmp.Diff(want, g, cmpopts.IgnoreUnexported(rs.Grant{})); diff != "" {
				t.Errorf("%s, %s: refusal %v, grant (-want +got):\n%s", m.name, when, f, diff)
			}
		}
	}
}

// A foreign authorization server may say less, and in other words.
func TestUF_27_ForeignDescriptions(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		want   int
	}{
		{"no iss, iat and jti", func(c map[string]any) { delete(c, "iss"); delete(c, "iat"); delete(c, "jti") }, 200},
		{"no iat, lives too long", func(c map[string]any) { delete(c, "iat"); c["exp"] = start.Add(time.Hour + time.Second).Unix() }, 401},
		{"no iat, expired", func(c map[string]any) { delete(c, "iat"); c["exp"] = start.Add(-time.Minute).Unix() }, 401},
		{"members that nobody knows", set("x", map[string]any{"y": []any{1}}), 200},
		{"another token_type", set("token_type", "refresh_token"), 401},
		{"token_type in another case", set("token_type", "bearer"), 200},
	} {
		t.Run("UF-27 "+c.name, func(t *testing.T) {
			w := newAsking(t)
			if got := w.status("GET", w.opaque("x", c.change)); got != c.want {
				t.Errorf("status = %d, want %d", got, c.want)
			}
		})
	}
}

func TestUF_28_Question(t *testing.T) {
	w := newAsking(t)
	if got := w.status("GET", w.opaque("a+/~=")); got != 200 {
		t.Fatalf("status = %d, want 200", got)
	}
	r := w.as.asked[0]
	if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer pat_1" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s %v, want a form by POST with the PAT", r.Method, r.Header)
	}
	want := map[string][]string{"token": {"rpt_a+/~="}, "token_type_hint": {"access_token"}}
	if diff := cmp.Diff(want, map[string][]string(r.PostForm)); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	t.Run("UF-28 a new PAT when the old one is refused", func(t *testing.T) {
		w.as.set(func() { w.as.pat = 2 })
		if got := w.status("GET", w.opaque("b")); got != 200 {
			t.Errorf("status = %d, want 200", got)
		}
	})
	t.Run("UF-28 what is no token is not asked about", func(t *testing.T) {
		asked := w.as.count("POST /introspect")
		for _, token := range []string{"a b", "ä", "a,b", "=", strings.Repeat("x", 16<<10+1), `"`, "a.b.c", "..", "eyJ.eyJ."} {
			if got := w.status("GET", token); got != 401 {
				t.Errorf("%.10q = %d, want 401", token, got)
			}
		}
		if n := w.as.count("POST /introspect"); n != asked {
			t.Errorf("asked %d times", n-asked)
		}
	})
}

// Without an endpoint opaque tokens are what they were: no tokens.
func TestUF_27_NoIntrospectionEndpoint(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	if got := w.status("GET", "rpt_x"); got != 401 {
		t.Errorf("opaque = %d, want 401", got)
	}
	if got := w.status("GET", w.rpt(set("status", nil))); got != 503 {
		t.Errorf("a JWT that stands on no status list = %d, want 503", got)
	}
	w = newWorld(t, introspecting)
	w.status("GET", "")
	if got := w.status("GET", w.rpt()); got != 503 {
		t.Errorf("check introspection = %d, want 503", got)
	}
}
