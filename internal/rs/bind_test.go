package rs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
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

func TestDP_06_ProofsAreGoodOnce(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Proofs = dpop.NewReplays(64, c.Now)
	})
	w.status("GET", "")
	mine, other := newHolder(t, "ES256"), newHolder(t, "ES256")
	token := w.bound(mine)
	proof := w.proof(mine, token, nil, nil)
	pass := func(t *testing.T, want bool, token, proof string) *rs.Refusal {
		t.Helper()
		g, f := w.present("DPoP", token, proof)
		if (g != nil) != want {
			t.Errorf("passes = %v, want %v: %+v", g != nil, want, f)
		}
		return f
	}
	pass(t, true, token, proof)
	refusedAs(t, pass(t, false, token, proof), "DPoP", "invalid_dpop_proof")
	t.Run("DP-06 after a reload", func(t *testing.T) {
		w.restart()
		w.status("GET", "")
		pass(t, false, w.bound(mine), proof)
		pass(t, false, token, proof)
	})
	t.Run("DP-06 what fails is not remembered", func(t *testing.T) {
		again := w.proof(mine, token, nil, nil)
		pass(t, false, w.bound(other), again)
		pass(t, false, token[:len(token)-2], again)
		pass(t, true, token, again)
	})
	t.Run("DP-06 a full table refuses", func(t *testing.T) {
		left := 40
		for ; left > 0; left-- {
			g, f := w.present("DPoP", token, w.proof(mine, token, nil, nil))
			if g == nil {
				if f.Status != http.StatusTooManyRequests { // one party fills a part of it
					t.Errorf("refusal = %+v, want 429", f)
				}
				break
			}
		}
		if left == 0 {
			t.Fatal("one party took 40 of 64")
		}
		pass(t, false, token, proof) // not evicted
		full := 0
		for i := range 100 { // others
			token := w.bound(mine, set("sub", fmt.Sprint("u-", i+2)))
			if g, f := w.present("DPoP", token, w.proof(mine, token, nil, nil)); g == nil && f.Status == http.StatusServiceUnavailable {
				full++
			}
		}
		if full == 0 {
			t.Error("never full")
		}
		pass(t, false, token, proof)
		w.now = w.now.Add(2*time.Minute + time.Second)
		pass(t, true, token, w.proof(mine, token, nil, nil)) // a window later
	})
}

// nonceKeys are one key for all nodes, or none.
type nonceKeys struct{ err error }

func (k nonceKeys) Current(context.Context) (id [4]byte, key [32]byte, err error) {
	return [4]byte{1}, [32]byte{1}, k.err
}

func (k nonceKeys) Find(_ context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	return [32]byte{1}, id == [4]byte{1}, k.err
}

func TestDP_05_Nonces(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) { c.DPoPNonces, c.NonceKeys = true, nonceKeys{} })
	w.status("GET", "")
	mine := newHolder(t, "ES256")
	token := w.bound(mine)
	tickets := w.as.count("POST /permission")
	ask := func(t *testing.T, claims map[string]any) string {
		t.Helper()
		_, f := w.present("DPoP", token, w.proof(mine, token, nil, claims))
		if f == nil || f.Status != http.StatusUnauthorized {
			t.Fatalf("%+v, want 401", f)
		}
		want := []string{`DPoP algs="ES256 ES384 RS256 PS256 EdDSA", error="use_dpop_nonce"`}
		if diff := cmp.Diff(want, f.Header.Values("WWW-Authenticate")); diff != "" {
			t.Errorf("challenge (-want +got):\n%s", diff)
		}
		if len(f.Header.Values("DPoP-Nonce")) != 1 || f.Header.Get("DPoP-Nonce") == "" || f.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("header = %v", f.Header)
		}
		return f.Header.Get("DPoP-Nonce")
	}
	nonce := ask(t, nil)
	with := func(nonce string) map[string]any { return map[string]any{"nonce": nonce} }
	if g, f := w.present("DPoP", token, w.proof(mine, token, nil, with(nonce))); g == nil {
		t.Fatalf("with the nonce: %+v", f)
	}
	ask(t, with(nonce+"x"))
	ask(t, with("x"))
	if got := w.as.count("POST /permission"); got != tickets {
		t.Errorf("A31: %d tickets for a nonce", got-tickets)
	}
	t.Run("DP-05 another node takes it", func(t *testing.T) {
		w.restart()
		w.status("GET", "")
		if g, f := w.present("DPoP", token, w.proof(mine, token, nil, with(nonce))); g == nil {
			t.Errorf("%+v", f)
		}
	})
	t.Run("DP-05 too old", func(t *testing.T) {
		w.now = w.now.Add(dpop.NonceLifetime - time.Second)
		if g, f := w.present("DPoP", token, w.proof(mine, token, nil, with(nonce))); g == nil {
			t.Errorf("a second before: %+v", f)
		}
		w.now = w.now.Add(time.Second)
		ask(t, with(nonce))
	})
	t.Run("DP-05 of another server", func(t *testing.T) {
		nonce := ask(t, nil)
		w.cfg.ClientID = "other"
		w.restart()
		w.status("GET", "")
		ask(t, with(nonce))
	})
	t.Run("DP-05 without keys", func(t *testing.T) {
		w.cfg.NonceKeys = nonceKeys{errors.New("no storage")}
		w.restart()
		w.status("GET", "")
		for _, claims := range []map[string]any{nil, with(nonce)} {
			if _, f := w.present("DPoP", token, w.proof(mine, token, nil, claims)); f == nil || f.Status != http.StatusServiceUnavailable {
				t.Errorf("%+v, want 503", f)
			}
		}
	})
}

// selfSigned is a certificate in DER.
func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return b64(sum[:])
}

func TestOA_19_CertificateOfTheConnection(t *testing.T) {
	w := newWorld(t)
	w.status("GET", "")
	mine, other := selfSigned(t), selfSigned(t)
	holder := newHolder(t, "ES256")
	x5t := w.rpt(set("cnf", map[string]any{"x5t#S256": thumbprint(mine)}))
	both := w.rpt(set("cnf", map[string]any{"x5t#S256": thumbprint(mine), "jkt": holder.jkt}))
	shows := func(done bool, certs ...*x509.Certificate) *tls.ConnectionState {
		return &tls.ConnectionState{HandshakeComplete: done, PeerCertificates: certs}
	}
	for _, c := range []struct {
		name, scheme, token string
		tls                 *tls.ConnectionState
		want                bool
	}{
		{"the certificate", "Bearer", x5t, shows(true, mine), true},
		{"another one", "Bearer", x5t, shows(true, other), false},
		{"in the chain only", "Bearer", x5t, shows(true, other, mine), false},
		{"none", "Bearer", x5t, shows(true), false},
		{"before the handshake is complete", "Bearer", x5t, shows(false, mine), false},
		{"no TLS", "Bearer", x5t, nil, false},
		{"as DPoP", "DPoP", x5t, shows(true, mine), false},
		{"certificate and key", "DPoP", both, shows(true, mine), true},
		{"key without certificate", "DPoP", both, shows(true, other), false},
		{"certificate without key", "Bearer", both, shows(true, mine), false},
		{"unbound with a certificate", "Bearer", w.rpt(), shows(true, other), true},
	} {
		t.Run("OA-19 "+c.name, func(t *testing.T) {
			r := w.request("GET", "")
			r.TLS = c.tls
			r.Header.Set("Authorization", c.scheme+" "+c.token)
			if c.scheme == "DPoP" {
				r.Header.Set("DPoP", w.proof(holder, c.token, nil, nil))
			}
			for _, name := range []string{"Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Ssl-Client-Cert"} {
				r.Header.Set(name, ":"+b64(mine.Raw)+":") // anybody can say so
			}
			g, f := w.send(r)
			if (g != nil) != c.want {
				t.Fatalf("passes = %v, want %v", g != nil, c.want)
			}
			if !c.want && c.token == x5t && c.scheme == "Bearer" {
				refusedAs(t, f, "Bearer", "invalid_token")
			}
		})
	}
}

func TestSEC_14_Require(t *testing.T) {
	w := newWorld(t, func(c *rs.Config) {
		c.Require = rs.BindDPoP
		c.Resources = []rs.Resource{{Name: "a"}, {Name: "b", Require: rs.BindMTLS}, {Name: "c", Also: []rs.Also{{Resource: "b"}}}}
	})
	w.status("GET", "")
	key, cert := newHolder(t, "ES256"), selfSigned(t)
	cnf := map[string]map[string]any{
		"bearer": nil, "dpop": {"jkt": key.jkt}, "mtls": {"x5t#S256": thumbprint(cert)},
		"both": {"jkt": key.jkt, "x5t#S256": thumbprint(cert)},
	}
	for i, want := range []map[string]bool{
		{"dpop": true, "both": true},
		{"mtls": true, "both": true},
		{"both": true},
	} {
		for name, bound := range cnf {
			t.Run(fmt.Sprintf("SEC-14 resource %d with %s", i, name), func(t *testing.T) {
				token := w.rpt(set("permissions", []any{permission("id-1", "get"), permission("id-2", "get"), permission("id-3", "get")}))
				if bound != nil {
					token = w.rpt(set("permissions", []any{permission("id-1", "get"), permission("id-2", "get"), permission("id-3", "get")}), set("cnf", bound))
				}
				r := w.request("GET", token)
				r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert}}
				if bound["jkt"] != nil {
					r.Header.Set("Authorization", "DPoP "+token)
					r.Header.Set("DPoP", w.proof(key, token, nil, nil))
				}
				g, f := w.rs.Check(r, rs.Target{Index: i, Source: "s"})
				if (g != nil) != want[name] {
					t.Fatalf("passes = %v, want %v: %+v", g != nil, want[name], f)
				}
				if g == nil {
					scheme := "DPoP"
					if i == 1 && bound["jkt"] == nil {
						scheme = "Bearer"
					}
					refusedAs(t, f, scheme, "invalid_token")
				}
			})
		}
	}
	t.Run("SEC-14 whoever has no RPT yet is told", func(t *testing.T) {
		_, f := w.check("GET", "")
		refusedAs(t, f, "DPoP", "")
		_, f = w.rs.Check(w.request("GET", ""), rs.Target{Index: 1, Source: "s"})
		if lines := f.Header.Values("WWW-Authenticate"); len(lines) != 1 {
			t.Errorf("mtls: %q", lines)
		}
	})
	for _, cfg := range []rs.Config{
		{Issuer: issuer, ClientID: "x", Require: "tls"},
		{Issuer: issuer, ClientID: "x", Resources: []rs.Resource{{Name: "a", Require: "DPoP"}}},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "is unknown; write dpop or mtls") {
			t.Errorf("Validate = %v", err)
		}
	}
}

func TestOA_25_DocumentTellsWhatIsRequired(t *testing.T) {
	const dpopRequired, tlsBound = "dpop_bound_access_tokens_required", "tls_client_certificate_bound_access_tokens"
	for name, c := range map[string]struct {
		all  rs.Binding
		each []rs.Binding
		want map[string]any
	}{
		"nothing":   {"", []rs.Binding{""}, map[string]any{dpopRequired: nil, tlsBound: nil}},
		"dpop":      {"dpop", []rs.Binding{"", ""}, map[string]any{dpopRequired: true, tlsBound: nil}},
		"dpop once": {"", []rs.Binding{"dpop", ""}, map[string]any{dpopRequired: nil, tlsBound: nil}},
		"mtls":      {"mtls", []rs.Binding{""}, map[string]any{dpopRequired: nil, tlsBound: true}},
		"mixed":     {"dpop", []rs.Binding{"mtls", ""}, map[string]any{dpopRequired: nil, tlsBound: true}},
	} {
		t.Run("OA-25 "+name, func(t *testing.T) {
			w := newWorld(t, func(cfg *rs.Config) {
				cfg.Require = c.all
				for i, b := range c.each {
					cfg.Resources = append(cfg.Resources, rs.Resource{Name: fmt.Sprint("r", i), Require: b})
				}
			})
			rec := httptest.NewRecorder()
			w.rs.ServeMetadata(rec, httptest.NewRequest("GET", resource+"/.well-known/oauth-protected-resource", nil))
			var got map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			for member, want := range c.want {
				if got[member] != want {
					t.Errorf("%s = %v, want %v", member, got[member], want)
				}
			}
		})
	}
}
