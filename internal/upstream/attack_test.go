package upstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

// forger signs with a key of his own, under whatever header he likes.
type forger struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newForger(t *testing.T) forger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return forger{t, key}
}

func (f forger) jwk(kid string) map[string]any {
	point, err := f.key.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:]), "kid": kid, "alg": "ES256", "use": "sig"}
}

func (f forger) es256(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, sum[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func (f forger) token(header, claims map[string]any, sign func(input string) []byte) string {
	var parts []string
	for _, v := range []any{header, claims} {
		data, err := json.Marshal(v)
		if err != nil {
			f.t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(data))
	}
	input := strings.Join(parts, ".")
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

// TestSEC_01_SEC_02_Headers: the forger's key counts once the provider publishes it,
// and by no header before.
func TestSEC_01_SEC_02_Headers(t *testing.T) {
	w, f := newWorld(t, fakeop.Config{}), newForger(t)
	u := w.upstream(nil)
	published := newForger(t)
	keys := func(keys ...map[string]any) http.HandlerFunc {
		return fakeop.JSON("application/json", map[string]any{"keys": keys})
	}
	w.op.Misbehave(fakeop.JWKS, keys(published.jwk("k")))
	w.op.Misbehave("/canary", keys(f.jwk("k")))
	canary := w.op.Issuer + "/canary"
	mac := func(secret []byte) func(string) []byte {
		return func(input string) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write([]byte(input))
			return h.Sum(nil)
		}
	}
	jwk, err := json.Marshal(published.jwk("k"))
	if err != nil {
		t.Fatal(err)
	}
	point, err := published.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	none := func(string) []byte { return nil }
	claims := w.claims(map[string]any{"iss": w.op.Issuer})
	header := map[string]any{"typ": "at+jwt", "kid": "k", "alg": "ES256"}
	accepted(t, u, published.token(header, claims, published.es256))
	for _, tt := range []struct {
		name    string
		changes map[string]any
		sign    func(string) []byte
	}{
		{"another key", nil, f.es256},
		{"SEC-01 none", map[string]any{"alg": "none"}, none},
		{"SEC-01 nOnE", map[string]any{"alg": "nOnE"}, none},
		{"SEC-01 no alg", map[string]any{"alg": nil}, published.es256},
		{"SEC-01 HS256 with the JWK", map[string]any{"alg": "HS256"}, mac(jwk)},
		{"SEC-01 HS256 with the point", map[string]any{"alg": "HS256"}, mac(point)},
		{"SEC-01 RS256 for an EC key", map[string]any{"alg": "RS256"}, published.es256},
		{"SEC-01 ES384 for P-256", map[string]any{"alg": "ES384"}, published.es256},
		{"SEC-02 jku", map[string]any{"jku": canary}, f.es256},
		{"SEC-02 x5u", map[string]any{"x5u": canary}, f.es256},
		{"SEC-02 jwk", map[string]any{"jwk": f.jwk("k")}, f.es256},
		{"SEC-02 crit", map[string]any{"crit": []string{"x"}, "x": 1}, published.es256},
		{"SEC-02 kid is a path", map[string]any{"kid": "../canary"}, f.es256},
		{"SEC-02 kid is a URL", map[string]any{"kid": canary}, f.es256},
		{"SEC-02 kid is SQL", map[string]any{"kid": "' OR 1=1 --"}, published.es256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, u, f.token(changed(header, tt.changes), claims, tt.sign), "")
		})
	}
	if n := w.op.Hits("/canary"); n != 0 {
		t.Errorf("%d hits of the canary", n)
	}
}

func TestSEC_04_Tokens(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(nil)
	accepted(t, u, w.op.Sign(w.claims(map[string]any{"x": strings.Repeat("a", 1000)}), "at+jwt"))
	refused(t, u, w.op.Sign(w.claims(map[string]any{"x": strings.Repeat("a", 1<<20)}), "at+jwt"), "form")
	t.Run("duplicate members", func(t *testing.T) {
		f := newForger(t)
		w.op.Misbehave(fakeop.JWKS, fakeop.JSON("application/json", map[string]any{"keys": []any{f.jwk("k")}}))
		u := w.upstream(nil)
		header := map[string]any{"typ": "at+jwt", "kid": "k", "alg": "ES256"}
		accepted(t, u, f.token(header, w.claims(map[string]any{"iss": w.op.Issuer}), f.es256))
		data, err := json.Marshal(w.claims(map[string]any{"iss": w.op.Issuer}))
		if err != nil {
			t.Fatal(err)
		}
		twice := strings.Replace(string(data), "{", `{"aud":"x",`, 1)
		input := strings.Split(f.token(header, nil, f.es256), ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(twice))
		refused(t, u, input+"."+base64.RawURLEncoding.EncodeToString(f.es256(input)), "")
	})
}

// TestSEC_04_ManyKeysOfTheProvider: the right key is there, among too many.
func TestSEC_04_ManyKeysOfTheProvider(t *testing.T) {
	for n, taken := range map[int]bool{64: true, 65: false} {
		w, f := newWorld(t, fakeop.Config{}), newForger(t)
		var keys []any
		for i := range n {
			keys = append(keys, f.jwk(fmt.Sprint("k", i)))
		}
		w.op.Misbehave(fakeop.JWKS, fakeop.JSON("application/json", map[string]any{"keys": keys}))
		token := f.token(map[string]any{"typ": "at+jwt", "kid": "k0", "alg": "ES256"}, w.claims(map[string]any{"iss": w.op.Issuer}), f.es256)
		if taken {
			accepted(t, w.upstream(nil), token)
		} else {
			unknown(t, w.upstream(nil), token)
		}
	}
}

// TestTX_09_KindsOfTokens: token_type may be missing, and the audience of a refresh
// token is the issuer at Keycloak, which is ours with merge_jwks.
func TestTX_09_KindsOfTokens(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(introspection)
	for i, tt := range []struct {
		name, value string
		taken       bool
	}{
		{"typ", "Bearer", true},
		{"typ", "DPoP", true},
		{"typ", "JWT", true},
		{"token_use", "access", true},
		{"typ", "Refresh", false},
		{"typ", "Offline", false},
		{"typ", "ID", false},
		{"typ", "", false},
		{"token_use", "refresh_token", false},
		{"token_use", "id", false},
	} {
		w.introspects(func(string) map[string]any { return w.claims(map[string]any{"active": true, tt.name: tt.value}) })
		token := fmt.Sprint("token", i)
		if tt.taken {
			accepted(t, u, token)
		} else {
			refused(t, u, token, tt.name)
		}
	}
}

// TestA26_EncryptedTokens: a JWE may be of any provider; it goes to none that may
// not have issued it.
func TestA26_EncryptedTokens(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	w.introspects(func(string) map[string]any { return w.claims(map[string]any{"active": true}) })
	asks := w.upstream(introspection)
	reads := w.upstream(func(c *upstream.Config) { c.Issuer, c.Domains = "https://other.example", []string{"other.example"} })
	jwe := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + ".a.b.c.d"
	two, err := upstream.NewSet(asks, reads)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, two, jwe, "no configured provider")
	if n := w.op.Hits("/introspect"); n != 0 {
		t.Errorf("a provider was asked %d times about a token that may be another's", n)
	}
	accepted(t, two, "opaque")
	one, err := upstream.NewSet(asks)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, one, jwe)
}

// TestTX_09_HangingProvider: who waits for a provider that hangs goes when he wants
// to; another provider does not wait; no call outlives its timeout.
func TestTX_09_HangingProvider(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("hangs", func(t *testing.T) {
		slow, fast := newWorld(t, fakeop.Config{}), newWorld(t, fakeop.Config{Domain: "fast.example"})
		release := make(chan struct{})
		slow.op.Misbehave("/introspect", fakeop.Wait(release, fakeop.Status(500)))
		hangs := slow.upstream(introspection)
		reads := fast.upstream(func(c *upstream.Config) { c.Domains = []string{"fast.example"} })
		set, err := upstream.NewSet(hangs, reads)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := set.Resolve(ctx, "opaque"); !errors.Is(err, context.Canceled) {
					t.Errorf("Resolve = %v, want that the caller went away", err)
				}
			})
		}
		for slow.op.Hits("/introspect") == 0 {
			runtime.Gosched()
		}
		accepted(t, set, fast.op.Sign(fast.claims(map[string]any{"email": "bob@fast.example"}), "at+jwt"))
		leave()
		all.Wait()
		close(release)
		if n := slow.op.Hits("/introspect"); n != 1 {
			t.Errorf("%d calls for one token, want 1", n)
		}
	})
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+8; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestTX_09_JunkFlood: what made-up tokens can do. No more than 32 calls run at a time;
// the 33rd is told that it could not be found out, never that the token is bad; tokens
// that are known are taken meanwhile, and all others as soon as a call ends.
func TestTX_09_JunkFlood(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	active := func(rw http.ResponseWriter, r *http.Request) {
		fakeop.JSON("application/json", w.claims(map[string]any{"active": true}))(rw, r)
	}
	w.op.Misbehave("/introspect", active)
	u := w.upstream(introspection)
	accepted(t, u, "known")
	w.op.Forget()
	release := make(chan struct{})
	w.op.Misbehave("/introspect", fakeop.Wait(release, fakeop.JSON("application/json", map[string]any{"active": false})))
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() { refused(t, u, fmt.Sprint("junk", i), "not active") })
	}
	for w.op.Hits("/introspect") < 32 && !t.Failed() { // a call that ended failed the test
		runtime.Gosched()
	}
	for i := range 50 {
		unknown(t, u, fmt.Sprint("more", i))
	}
	accepted(t, u, "known")
	if n := w.op.Hits("/introspect"); n != 32 {
		t.Errorf("%d calls at a time, want 32", n)
	}
	close(release)
	all.Wait()
	w.op.Misbehave("/introspect", active)
	accepted(t, u, "more0")
	accepted(t, u, "known")
}

// TestTX_09_Redirects: our credentials and people's tokens stay with the endpoint.
func TestTX_09_Redirects(t *testing.T) {
	for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		w := newWorld(t, fakeop.Config{})
		to := func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, w.op.Issuer+"/canary", code) }
		for _, path := range []string{"/introspect", "/userinfo", fakeop.JWKS} {
			w.op.Misbehave(path, to)
		}
		unknown(t, w.upstream(introspection), "opaque")
		unknown(t, w.upstream(func(c *upstream.Config) { c.Check, c.AcceptUnbound = upstream.CheckUserinfo, true }), "opaque")
		unknown(t, w.upstream(nil), w.op.Sign(w.claims(nil), "at+jwt"))
		if n := w.op.Hits("/canary"); n != 0 {
			t.Errorf("%d: followed %d times", code, n)
		}
		for _, path := range []string{"/introspect", "/userinfo", fakeop.JWKS} {
			if w.op.Hits(path) != 1 {
				t.Errorf("%d: %s was asked %d times", code, path, w.op.Hits(path))
			}
		}
	}
}
