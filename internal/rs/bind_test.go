package rs_test

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// holder is a client that holds a key.
type holder struct {
	key josetest.Key
	jkt string
}

func newHolder(t *testing.T, alg string) holder {
	t.Helper()
	key := josetest.NewKey(alg, "")
	jkt, err := jose.Thumbprint(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return holder{key, jkt}
}

// bound is an RPT that is bound to the holder's key.
func (w *world) bound(h holder, change ...func(map[string]any)) string {
	w.t.Helper()
	return w.rpt(append([]func(map[string]any){set("cnf", map[string]any{"jkt": h.jkt})}, change...)...)
}

// proof is a good one for GET /x and the token, but for the edits (nil removes a
// member).
func (w *world) proof(h holder, token string, header, claims map[string]any) string {
	sum := sha256.Sum256([]byte(token))
	allClaims := map[string]any{
		"jti": rand.Text(), "htm": "GET", "htu": resource + "/x", "iat": w.now.Unix(), "ath": b64(sum[:]),
	}
	jwk := h.key.JWK(map[string]any{"kid": nil, "alg": nil, "use": nil})
	for name, value := range jwk {
		if value == nil {
			delete(jwk, name)
		}
	}
	allHeader := map[string]any{"kid": nil, "typ": "dpop+jwt", "jwk": jwk}
	maps.Copy(allHeader, header)
	maps.Copy(allClaims, claims)
	for name, value := range allClaims {
		if value == nil {
			delete(allClaims, name)
		}
	}
	return h.key.Sign(allHeader, allClaims)
}

// present sends a token by a scheme, with proofs.
func (w *world) present(scheme, token string, proofs ...string) (*rs.Grant, *rs.Refusal) {
	w.t.Helper()
	r := w.request("GET", "")
	r.Header.Set("Authorization", scheme+" "+token)
	r.Header["Dpop"] = proofs
	return w.send(r)
}

func (w *world) send(r *http.Request) (*rs.Grant, *rs.Refusal) {
	w.t.Helper()
	g, f := w.rs.Check(r, rs.Target{Index: 0, Source: "192.0.2.1"})
	if (g == nil) == (f == nil) {
		w.t.Fatalf("Check = %v, %v, want exactly one", g, f)
	}
	return g, f
}

// refusedAs checks that a refusal has a ticket and, on a second line, a challenge.
func refusedAs(t *testing.T, f *rs.Refusal, scheme, code string) {
	t.Helper()
	if challengeOf(t, f).Get("ticket") == "" {
		t.Error("UG-50: no ticket")
	}
	lines := f.Header.Values("WWW-Authenticate")
	if len(lines) != 2 {
		t.Fatalf("WWW-Authenticate = %q, want two lines", lines)
	}
	second, err := oauth.ParseChallenges(lines[1:])
	if err != nil || len(second) != 1 || second[0].Scheme != scheme || second[0].Get("error") != code {
		t.Errorf("second challenge = %q, want %s with %s", lines[1], scheme, code)
	}
	if algs := "ES256 ES384 RS256 PS256 EdDSA"; scheme == "DPoP" && second[0].Get("algs") != algs {
		t.Errorf("algs = %q, want %q", second[0].Get("algs"), algs)
	}
}

func TestDP_01_DP_03_EachPartOfTheProofCounts(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	mine, other := newHolder(t, "ES256"), newHolder(t, "ES256")
	token := w.bound(mine)
	claims := func(name string, value any) []string {
		return []string{w.proof(mine, token, nil, map[string]any{name: value})}
	}
	header := func(name string, value any) []string {
		return []string{w.proof(mine, token, map[string]any{name: value}, nil)}
	}
	cut := func(s string) []string { return []string{s[:len(s)-2]} }
	in := func(d time.Duration) int64 { return w.now.Add(d).Unix() }
	good := func() string { return w.proof(mine, token, nil, nil) }
	foreign := other.key.JWK(map[string]any{"kid": nil, "alg": nil, "use": nil})
	private := mine.key.JWK(map[string]any{"d": "AAAA"})
	for _, c := range []struct {
		name   string
		proofs []string
		code   string // "" = passes
	}{
		{"as it is", []string{good()}, ""},
		{"no proof", nil, "invalid_dpop_proof"},
		{"two proofs", []string{good(), good()}, "invalid_dpop_proof"},
		{"two in one field", []string{good() + ", " + good()}, "invalid_dpop_proof"},
		{"empty", []string{""}, "invalid_dpop_proof"},
		{"another typ", header("typ", "JWT"), "invalid_dpop_proof"},
		{"no typ", header("typ", nil), "invalid_dpop_proof"},
		{"no jwk", header("jwk", nil), "invalid_dpop_proof"},
		{"a private jwk", header("jwk", private), "invalid_dpop_proof"},
		{"none", header("alg", "none"), "invalid_dpop_proof"},
		{"HS256", header("alg", "HS256"), "invalid_dpop_proof"},
		{"alg of another key type", header("alg", "RS256"), "invalid_dpop_proof"},
		{"no signature", cut(good()), "invalid_dpop_proof"},
		{"no jti", claims("jti", nil), "invalid_dpop_proof"},
		{"another htm", claims("htm", "POST"), "invalid_dpop_proof"},
		{"htm in lower case", claims("htm", "get"), "invalid_dpop_proof"},
		{"no htm", claims("htm", nil), "invalid_dpop_proof"},
		{"htu of another path", claims("htu", resource+"/y"), "invalid_dpop_proof"},
		{"htu of another host", claims("htu", "https://evil.example/x"), "invalid_dpop_proof"},
		{"htu of another port", claims("htu", resource+":8443/x"), "invalid_dpop_proof"},
		{"htu by http", claims("htu", "http://api.example/x"), "invalid_dpop_proof"},
		{"htu without the path", claims("htu", resource), "invalid_dpop_proof"},
		{"htu in another spelling", claims("htu", "https://API.example:443/a/../%78?q=1#f"), ""},
		{"no htu", claims("htu", nil), "invalid_dpop_proof"},
		{"iat too old", claims("iat", in(-61*time.Second)), "invalid_dpop_proof"},
		{"iat just not too old", claims("iat", in(-60*time.Second)), ""},
		{"iat of the future", claims("iat", in(61*time.Second)), "invalid_dpop_proof"},
		{"no iat", claims("iat", nil), "invalid_dpop_proof"},
		{"DP-03 no ath", claims("ath", nil), "invalid_dpop_proof"},
		{"DP-03 ath of another token", []string{w.proof(mine, token+"x", nil, nil)}, "invalid_dpop_proof"},
		{"DP-03 another key", []string{w.proof(other, token, nil, nil)}, "invalid_token"},
		{"DP-03 another key's signature", header("jwk", foreign), "invalid_token"},
		{"DP-03 signed by another key", []string{w.proof(holder{other.key, mine.jkt}, token, map[string]any{"jwk": withoutNil(mine.key.JWK(map[string]any{"kid": nil, "alg": nil, "use": nil}))}, nil)}, "invalid_dpop_proof"},
		{"too large", []string{w.proof(mine, token, nil, map[string]any{"x": strings.Repeat("x", 9000)})}, "invalid_dpop_proof"},
	} {
		t.Run("DP-01 "+c.name, func(t *testing.T) {
			g, f := w.present("DPoP", token, c.proofs...)
			if c.code == "" && g == nil {
				t.Fatalf("refused: %+v", f)
			}
			if c.code != "" {
				refusedAs(t, f, "DPoP", c.code)
			}
		})
	}
}

func withoutNil(all map[string]any) map[string]any {
	for name, value := range all {
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// Neither Host nor what others made of the request count, but what the client
// wrote.
func TestDP_01_HostAndRewritesDoNotCount(t *testing.T) {
	w := newWorld(t)
	w.as.uri = "https://api.example/base"
	w.cfg.Written = func(r *http.Request) (string, *url.URL) {
		return r.Method, &url.URL{Path: "/base" + r.URL.Path, RawQuery: "q"}
	}
	w.restart()
	w.status("GET", "")
	mine := newHolder(t, "EdDSA")
	token := w.bound(mine, set("aud", "https://api.example/base"))
	for htu, want := range map[string]int{
		"https://api.example/base/x":    200, // the origin of the resource, and the written path
		"https://api.example/x":         401, // what became of it
		"https://inside.example/base/x": 401, // Host
	} {
		r := w.request("GET", "")
		r.Host = "inside.example"
		r.Header.Set("Authorization", "dpop "+token)
		r.Header.Set("DPoP", w.proof(mine, token, nil, map[string]any{"htu": htu}))
		g, f := w.send(r)
		if (g != nil) != (want == 200) {
			t.Errorf("htu %s: %v %v, want %d", htu, g, f, want)
		}
	}
}

func TestDP_04_SchemeAndBindingBelongTogether(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	mine := newHolder(t, "ES256")
	token, bearer := w.bound(mine), w.rpt()
	proofFor := func(token string) string { return w.proof(mine, token, nil, nil) }
	t.Run("DP-04 bound as Bearer", func(t *testing.T) {
		for _, proofs := range [][]string{nil, {proofFor(token)}} {
			_, f := w.present("Bearer", token, proofs...)
			refusedAs(t, f, "DPoP", "invalid_token")
		}
	})
	t.Run("DP-03 unbound as DPoP", func(t *testing.T) {
		_, f := w.present("DPoP", bearer, proofFor(bearer))
		refusedAs(t, f, "DPoP", "invalid_token")
	})
	t.Run("UG-50 garbage as DPoP", func(t *testing.T) {
		_, f := w.present("DPoP", "garbage", proofFor("garbage"))
		refusedAs(t, f, "DPoP", "invalid_token")
	})
	t.Run("unbound as Bearer, beside a proof that nobody needs", func(t *testing.T) {
		if g, f := w.present("Bearer", bearer, "x", "y"); g == nil {
			t.Errorf("refused: %+v", f)
		}
	})
	t.Run("OA-09 two Authorization fields", func(t *testing.T) {
		r := w.request("GET", "")
		r.Header["Authorization"] = []string{"DPoP " + token, "Bearer " + bearer}
		r.Header.Set("DPoP", proofFor(token))
		if _, f := w.send(r); f == nil || f.Status != http.StatusBadRequest {
			t.Errorf("%+v, want 400", f)
		}
	})
	t.Run("UG-50 bound, but not enough", func(t *testing.T) {
		small := w.bound(mine, set("permissions", []any{permission("id-9", "get")}))
		_, f := w.present("DPoP", small, proofFor(small))
		refusedAs(t, f, "DPoP", "insufficient_scope")
		_, f = w.present("DPoP", small, "x") // a thief does not learn what it opens
		refusedAs(t, f, "DPoP", "invalid_dpop_proof")
	})
}

// The binding counts wherever it is learned, and each time.
func TestUF_27_SameVerdictOnBoundTokens(t *testing.T) {
	for _, m := range modes {
		t.Run("UF-27 bound/"+m.name, func(t *testing.T) {
			w := newWorld(t, func(c *rs.Config) { c.Introspect = m.introspect })
			mine, other := newHolder(t, "ES256"), newHolder(t, "ES256")
			w.as.tokens, w.as.signs = map[string]map[string]any{}, m.signs
			w.status("GET", "")
			token := w.bound(mine)
			if m.opaque {
				token = "rpt_x"
			}
			w.as.tokens[token] = w.claims(set("cnf", map[string]any{"jkt": mine.jkt}))
			for range 2 {
				if g, f := w.present("DPoP", token, w.proof(mine, token, nil, nil)); g == nil {
					t.Errorf("refused: %+v", f)
				}
				_, f := w.present("DPoP", token, w.proof(other, token, nil, nil))
				refusedAs(t, f, "DPoP", "invalid_token")
			}
		})
	}
}

// A JWT says itself to what it is bound. An answer that is silent about that does not
// make a bearer token of it.
func TestDP_04_AnswerWithoutTheBinding(t *testing.T) {
	for _, m := range []struct {
		name       string
		introspect bool
		status     func(map[string]any) // of the JWT
	}{
		{"asked about", true, func(map[string]any) {}},
		{"on no list, so asked about", false, set("status", nil)},
	} {
		t.Run("DP-04 "+m.name, func(t *testing.T) {
			w := newAsking(t, func(c *rs.Config) { c.Introspect = m.introspect })
			mine, other := newHolder(t, "ES256"), newHolder(t, "ES256")
			answer := func(token string, change ...func(map[string]any)) string {
				w.as.set(func() { w.as.tokens[token] = w.claims(change...) })
				return token
			}
			bound := answer(w.bound(mine, m.status))
			for _, when := range []string{"first", "again"} {
				_, f := w.present("Bearer", bound, "")
				refusedAs(t, f, "DPoP", "invalid_token")
				_, f = w.present("DPoP", bound, w.proof(other, bound, nil, nil))
				refusedAs(t, f, "DPoP", "invalid_token")
				if g, f := w.present("DPoP", bound, w.proof(mine, bound, nil, nil)); g == nil {
					t.Errorf("%s: its holder is refused: %+v", when, f)
				}
			}
			free := answer(w.rpt(m.status, set("jti", "free")))
			if g, f := w.present("Bearer", free, ""); g == nil {
				t.Errorf("bound to nothing, and refused: %+v", f)
			}
			said := answer(w.rpt(m.status, set("jti", "said")), set("cnf", map[string]any{"jkt": mine.jkt}))
			if g, _ := w.present("Bearer", said, ""); g != nil {
				t.Error("bound by the answer alone, and taken as a bearer token")
			}
			if g, f := w.present("DPoP", said, w.proof(mine, said, nil, nil)); g == nil {
				t.Errorf("bound by the answer alone: its holder is refused: %+v", f)
			}
			twice := answer(w.bound(mine, m.status, set("jti", "twice")), set("cnf", map[string]any{"jkt": other.jkt}))
			for _, h := range []holder{mine, other} {
				if g, _ := w.present("DPoP", twice, w.proof(h, twice, nil, nil)); g != nil {
					t.Error("bound to two keys, and one is enough")
				}
			}
			both := answer(w.bound(mine, m.status, set("jti", "both")), set("cnf", map[string]any{"x5t#S256": "x"}))
			if g, _ := w.present("DPoP", both, w.proof(mine, both, nil, nil)); g != nil {
				t.Error("bound to a certificate by the answer, and passes without")
			}
			for name, cnf := range map[string]any{"empty": map[string]any{}, "unknown": map[string]any{"kid": "x"}, "no object": "x"} {
				odd := answer(w.rpt(m.status, set("jti", name), set("cnf", cnf)))
				if g, _ := w.present("Bearer", odd, ""); g != nil {
					t.Errorf("%s: taken as a bearer token", name)
				}
			}
		})
	}
}

// What only looks like a JWT says nothing: the answer is all there is.
func TestUF_27_TokensThatLookLikeJWTs(t *testing.T) {
	w := newAsking(t, introspecting)
	for token, ok := range map[string]bool{
		"a.b.c": true, "a.%%%.c": false, "a.e30.c": true, "a." + b64([]byte(`{"cnf":{"jkt":"x"}}`)) + ".c": false,
		"a." + b64([]byte(`{"cnf":{"jkt":"x"},"cnf":null}`)) + ".c": false, "a." + b64([]byte(`{"cnf":null}`)) + ".c": true,
		"a." + b64([]byte(` {"cnf":{"jkt":"x"}`)) + ".c": false, "a." + b64([]byte(`"cnf"`)) + ".c": true, "..": true,
		"a." + b64([]byte(`{"cnf":{"jkt":"x"}}`)) + ".c.d.e": true,
	} {
		w.as.set(func() { w.as.tokens[token] = w.claims() })
		if g, _ := w.present("Bearer", token, ""); (g != nil) != ok {
			t.Errorf("%q passes: %v", token, g != nil)
		}
	}
}

func TestSEC_14_ConfirmationsThatAreNotKnown(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	mine := newHolder(t, "ES256")
	for name, cnf := range map[string]any{
		"empty":             map[string]any{},
		"unknown":           map[string]any{"kid": "x"},
		"known and unknown": map[string]any{"jkt": mine.jkt, "jwk": map[string]any{}},
		"empty text":        map[string]any{"jkt": ""},
		"no text":           map[string]any{"jkt": []any{mine.jkt}},
		"no object":         mine.jkt,
	} {
		t.Run("SEC-14 "+name, func(t *testing.T) {
			token := w.rpt(set("cnf", cnf))
			for _, scheme := range []string{"Bearer", "DPoP"} {
				if g, _ := w.present(scheme, token, w.proof(mine, token, nil, nil)); g != nil {
					t.Errorf("%s: passes", scheme)
				}
			}
		})
	}
}
