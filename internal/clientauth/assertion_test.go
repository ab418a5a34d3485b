package clientauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

const (
	issuer  = "https://as.alice.example"
	keysURI = "https://client.example/jwks"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// bench is an Authenticator with a clock and a source of key sets.
type bench struct {
	*clientauth.Authenticator
	mu    sync.Mutex
	now   time.Time
	keys  func() ([]byte, error)
	asked atomic.Int64
}

func newBench(t testing.TB, edits ...func(*clientauth.Config)) *bench {
	t.Helper()
	b := &bench{now: start}
	cfg := clientauth.Config{Issuer: issuer, Leeway: time.Minute, Now: b.clock}
	cfg.Keys = jose.NewCache(jose.CacheConfig{Now: b.clock, Fetch: func(context.Context, string) ([]byte, error) {
		b.asked.Add(1)
		return b.keys()
	}})
	for _, edit := range edits {
		edit(&cfg)
	}
	var err error
	if b.Authenticator, err = clientauth.NewAuthenticator(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

var jti atomic.Int64

// good are the claims of a good assertion; nil removes one.
func (b *bench) good(edits map[string]any) map[string]any {
	now := b.clock().Unix()
	all := map[string]any{
		"iss": "web", "sub": "web", "aud": issuer, "iat": now, "exp": now + 60, "jti": fmt.Sprint(jti.Add(1)),
	}
	maps.Copy(all, edits)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// try presents an assertion.
func (b *bench) try(t testing.TB, client clientauth.Client, clientID, assertion string) error {
	t.Helper()
	creds := oauth.Credentials{
		ClientID: clientID, Method: oauth.AuthPrivateKeyJWT, Assertion: assertion, AssertionType: oauth.AssertionTypeJWT,
	}
	creds.ClientID = clientauth.Identify(creds)
	got, err := b.Authenticate(t.Context(), client, clientauth.Request{Credentials: creds})
	if (err == nil) != (got.ID == client.ID && got.ID != "") {
		t.Errorf("%+v, %v", got, err)
	}
	return err
}

func withKeys(keys ...map[string]any) clientauth.Client {
	return clientauth.Client{ID: "web", Credentials: clientauth.Credentials{JWKS: josetest.JWKS(keys...)}}
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return oauth.AsError(err).Code
}

func TestOA_17_Assertion(t *testing.T) {
	b := newBench(t)
	key, other := josetest.NewKeypair("k1"), josetest.NewKeypair("k1")
	rsa := josetest.NewKey("RS256", "r1")
	client := withKeys(josetest.Key{KID: "k1", Alg: "ES256", Private: key.Private}.JWK(nil), rsa.JWK(nil))
	now := b.clock().Unix()
	type edit = map[string]any
	for name, tc := range map[string]struct {
		claims, header edit
		ok             bool
	}{
		"good":                               {nil, nil, true},
		"aud is an array of one":             {edit{"aud": []string{issuer}}, nil, true},
		"A34 aud is an array of two":         {edit{"aud": []string{issuer, "https://x.example"}}, nil, false},
		"A34 our issuer twice":               {edit{"aud": []string{issuer, issuer}}, nil, false},
		"A34 aud is an empty array":          {edit{"aud": []string{}}, nil, false},
		"A34 the token endpoint":             {edit{"aud": issuer + "/uma/token"}, nil, false},
		"A34 the issuer with a slash":        {edit{"aud": issuer + "/"}, nil, false},
		"A34 another server":                 {edit{"aud": "https://as.bob.example"}, nil, false},
		"no aud":                             {edit{"aud": nil}, nil, false},
		"another iss":                        {edit{"iss": "app"}, nil, false},
		"no iss":                             {edit{"iss": nil}, nil, false},
		"another sub":                        {edit{"sub": "app"}, nil, false},
		"no sub":                             {edit{"sub": nil}, nil, false},
		"no exp":                             {edit{"exp": nil}, nil, false},
		"expired, within the leeway":         {edit{"exp": now - 59}, nil, true},
		"expired":                            {edit{"exp": now - 60}, nil, false},
		"exp near enough":                    {edit{"exp": now + 360}, nil, true},
		"exp far ahead":                      {edit{"exp": now + 361}, nil, false},
		"exp is text":                        {edit{"exp": "soon"}, nil, false},
		"no iat":                             {edit{"iat": nil}, nil, true},
		"iat ahead, within the leeway":       {edit{"iat": now + 60}, nil, true},
		"iat in the future":                  {edit{"iat": now + 61}, nil, false},
		"nbf in the future":                  {edit{"nbf": now + 61}, nil, false},
		"OA-18 no jti":                       {edit{"jti": nil}, nil, false},
		"OA-18 empty jti":                    {edit{"jti": ""}, nil, false},
		"OA-18 jti is a number":              {edit{"jti": 7}, nil, false},
		"OA-18 typ JWT":                      {nil, edit{"typ": "JWT"}, true},
		"OA-18 typ client-authentication":    {nil, edit{"typ": "client-authentication+jwt"}, true},
		"OA-18 typ of a claims token":        {nil, edit{"typ": oauth.TypClaimsToken}, false},
		"OA-18 typ of an access token":       {nil, edit{"typ": oauth.TypAccessToken}, false},
		"OA-18 typ of a DPoP proof":          {nil, edit{"typ": "dpop+jwt"}, false},
		"another kid":                        {nil, edit{"kid": "k2"}, false},
		"no kid":                             {nil, edit{"kid": nil}, false},
		"a kid with a zero byte":             {nil, edit{"kid": "\x00"}, false},
		"its own key in the header":          {nil, edit{"jwk": josetest.NewKey("ES256", "k1").JWK(nil)}, false},
		"alg of the RSA key with the EC kid": {nil, edit{"alg": "RS256"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			assertion := key.Sign(tc.header, b.good(tc.claims))
			want := "invalid_client"
			if tc.ok {
				want = ""
			}
			if err := b.try(t, client, "web", assertion); code(err) != want {
				t.Errorf("%v", err)
			}
		})
	}
	claims := b.good(nil)
	for name, assertion := range map[string]string{
		"another client's key":            other.Sign(nil, claims),
		"SEC-01 none":                     key.None(nil, claims, ""),
		"SEC-01 HMAC with the public key": key.HMAC(nil, claims),
		"PS256 by the RS256 key":          josetest.Key{KID: "r1", Alg: "PS256", Private: rsa.Private}.Sign(nil, claims),
		"cut":                             key.Sign(nil, claims)[:100],
		"changed":                         josetest.Resegment(key.Sign(nil, claims), 1, func(p []byte) []byte { return []byte(strings.Replace(string(p), "60", "61", 1) + " ") }),
		"empty":                           "",
		"huge":                            key.Sign(nil, b.good(map[string]any{"x": strings.Repeat("x", 20<<10)})),
		"repeated aud":                    josetest.Key{KID: "k1", Alg: "ES256", Private: key.Private}.Raw(`{"alg":"ES256","kid":"k1"}`, fmt.Sprintf(`{"iss":"web","sub":"web","aud":"x","aud":%q,"exp":%d,"jti":"rep"}`, issuer, now+60)),
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.try(t, client, "web", assertion); code(err) != "invalid_client" {
				t.Errorf("%v", err)
			}
		})
	}
	if err := b.try(t, client, "web", rsa.Sign(nil, b.good(nil))); err != nil {
		t.Errorf("RSA: %v", err)
	}
}

func TestOA_17_Who(t *testing.T) {
	b := newBench(t)
	key := josetest.NewKey("ES256", "k1")
	client := withKeys(key.JWK(nil))
	edited := func(edit func(*clientauth.Client)) clientauth.Client {
		c := client
		edit(&c)
		return c
	}
	for name, tc := range map[string]struct {
		client clientauth.Client
		id     string // as sent
		ok     bool
	}{
		"client_id sent":              {client, "web", true},
		"only in the assertion":       {client, "", true},
		"another client_id":           {client, "app", false},
		"unknown":                     {clientauth.Client{}, "web", false},
		"another client was found":    {edited(func(c *clientauth.Client) { c.ID = "app" }), "web", false},
		"disabled":                    {edited(func(c *clientauth.Client) { c.Disabled = true }), "web", false},
		"public":                      {edited(func(c *clientauth.Client) { c.Public = true }), "web", false},
		"registered for this":         {edited(func(c *clientauth.Client) { c.Method = oauth.AuthPrivateKeyJWT }), "web", true},
		"registered for certificates": {edited(func(c *clientauth.Client) { c.Method = oauth.AuthSelfSignedTLS }), "web", false},
		"without keys":                {edited(func(c *clientauth.Client) { c.JWKS = nil }), "web", false},
		"keys that are none":          {edited(func(c *clientauth.Client) { c.JWKS = []byte("{}") }), "web", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.try(t, tc.client, tc.id, key.Sign(nil, b.good(nil))); (err == nil) != tc.ok || !tc.ok && code(err) != "invalid_client" {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("another client_assertion_type", func(t *testing.T) {
		for _, kind := range []string{"", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"} {
			creds := oauth.Credentials{ClientID: "web", Method: oauth.AuthPrivateKeyJWT, Assertion: key.Sign(nil, b.good(nil)), AssertionType: kind}
			if _, err := b.Authenticate(t.Context(), client, clientauth.Request{Credentials: creds}); code(err) != "invalid_client" {
				t.Errorf("%q: %v", kind, err)
			}
		}
	})
	t.Run("SEC-25 one answer", func(t *testing.T) {
		want := b.try(t, clientauth.Client{}, "web", key.Sign(nil, b.good(nil))).Error()
		for _, err := range []error{
			b.try(t, client, "web", "x"), b.try(t, client, "web", key.Sign(nil, b.good(map[string]any{"aud": "x"}))),
			b.try(t, client, "web", josetest.NewKey("ES256", "k1").Sign(nil, b.good(nil))),
		} {
			if err.Error() != want {
				t.Errorf("%v, another answer than %s", err, want)
			}
		}
	})
}

func TestOA_18_Replay(t *testing.T) {
	b := newBench(t)
	key := josetest.NewKey("ES256", "k1")
	client := withKeys(key.JWK(nil))
	assertion := key.Sign(nil, b.good(map[string]any{"jti": "once"}))
	if err := b.try(t, client, "web", assertion); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, time.Second, 60 * time.Second, 58 * time.Second} { // up to a second before exp + leeway
		b.pass(after)
		if err := b.try(t, client, "web", assertion); code(err) != "invalid_client" {
			t.Errorf("after %v more: %v", after, err)
		}
	}
	t.Run("a clock that is set back opens nothing", func(t *testing.T) {
		b := newBench(t)
		old := key.Sign(nil, b.good(map[string]any{"jti": "old"}))
		if err := b.try(t, client, "web", old); err != nil {
			t.Fatal(err)
		}
		b.pass(10 * time.Minute)
		if err := b.try(t, client, "web", key.Sign(nil, b.good(nil))); err != nil { // the old one is forgotten
			t.Fatal(err)
		}
		b.pass(-10 * time.Minute)
		if err := b.try(t, client, "web", old); code(err) != "invalid_client" {
			t.Errorf("%v", err)
		}
		b.pass(10 * time.Minute)
		if err := b.try(t, client, "web", key.Sign(nil, b.good(nil))); err != nil {
			t.Errorf("after that: %v", err)
		}
	})
	t.Run("the same jti in another assertion", func(t *testing.T) {
		if err := b.try(t, client, "web", key.Sign(nil, b.good(map[string]any{"jti": "once"}))); code(err) != "invalid_client" {
			t.Errorf("%v", err)
		}
	})
	t.Run("of another client", func(t *testing.T) {
		other := client
		other.ID = "app"
		if err := b.try(t, other, "app", key.Sign(nil, b.good(map[string]any{"jti": "once", "iss": "app", "sub": "app"}))); err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("what is refused uses nothing up", func(t *testing.T) {
		bad := josetest.NewKey("ES256", "k1").Sign(nil, b.good(map[string]any{"jti": "twice"}))
		if err := b.try(t, client, "web", bad); err == nil {
			t.Error("another key")
		}
		if err := b.try(t, client, "web", key.Sign(nil, b.good(map[string]any{"jti": "twice"}))); err != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("many at once: one", func(t *testing.T) {
		assertion := key.Sign(nil, b.good(nil))
		var yes atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if b.try(t, client, "web", assertion) == nil {
					yes.Add(1)
				}
			})
		}
		wg.Wait()
		if yes.Load() != 1 {
			t.Errorf("%d got in", yes.Load())
		}
	})
	t.Run("memory handed on survives", func(t *testing.T) {
		used := clientauth.NewWindow(0)
		share := func(c *clientauth.Config) { c.Used = used }
		one, two := newBench(t, share), newBench(t, share)
		assertion := key.Sign(nil, one.good(nil))
		if err := one.try(t, client, "web", assertion); err != nil {
			t.Fatal(err)
		}
		if err := two.try(t, client, "web", assertion); code(err) != "invalid_client" {
			t.Errorf("%v", err)
		}
	})
}

// Nodes, and a process before and after its restart, share the store alone.
func TestOA_18_Store(t *testing.T) {
	now := start
	bolt, err := store.OpenBolt(filepath.Join(t.TempDir(), "uma.db"), store.BoltOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	faulty := storetest.NewFaulty(bolt)
	node := func() *bench {
		return newBench(t, func(c *clientauth.Config) { c.Store, c.Tenant = faulty, store.Tenant("as", issuer) })
	}
	key := josetest.NewKey("ES256", "k1")
	client := withKeys(key.JWK(nil))
	one, two := node(), node()
	assertion := key.Sign(nil, one.good(map[string]any{"jti": "once"}))
	if err := one.try(t, client, "web", assertion); err != nil {
		t.Fatal(err)
	}
	if err := two.try(t, client, "web", assertion); code(err) != "invalid_client" {
		t.Errorf("at another node: %v", err)
	}
	other := client
	other.ID = "app"
	if err := two.try(t, other, "app", key.Sign(nil, one.good(map[string]any{"jti": "once", "iss": "app", "sub": "app"}))); err != nil {
		t.Errorf("the jti of another client: %v", err)
	}
	t.Run("the store's clock is ahead", func(t *testing.T) {
		now = start.Add(2*time.Minute - time.Second + 5*time.Minute) // by as much as a healthy node's may differ
		last := node()
		last.pass(2*time.Minute - time.Second)
		if err := last.try(t, client, "web", assertion); code(err) != "invalid_client" {
			t.Errorf("%v", err)
		}
		now = start
	})
	t.Run("SEC-13 what cannot be recorded is not accepted", func(t *testing.T) {
		fresh := key.Sign(nil, one.good(nil))
		faulty.FailBefore(func(storetest.Call) bool { return true })
		if err := one.try(t, client, "web", fresh); code(err) != "temporarily_unavailable" {
			t.Errorf("%v", err)
		}
		faulty.Repair()
		if err := two.try(t, client, "web", fresh); err != nil {
			t.Errorf("the next node, when the store is back: %v", err)
		}
	})
	t.Run("what is refused writes nothing", func(t *testing.T) {
		faulty.FailBefore(func(c storetest.Call) bool { t.Errorf("%s", c.Method); return false })
		defer faulty.Repair()
		bad := josetest.NewKey("ES256", "k1").Sign(nil, one.good(nil))
		for _, assertion := range []string{assertion, bad, key.Sign(nil, one.good(map[string]any{"aud": "x"}))} {
			if err := one.try(t, client, "web", assertion); code(err) != "invalid_client" {
				t.Errorf("%v", err)
			}
		}
	})
}

// Memory is bounded; nothing in it gives way to something new.
func TestOA_18_Full(t *testing.T) {
	used := clientauth.NewWindow(20) // 2 for each client
	b := newBench(t, func(c *clientauth.Config) { c.Used = used })
	strangers := newBench(t, func(c *clientauth.Config) { c.Used, c.Strangers = used, true })
	key := josetest.NewKey("ES256", "k1")
	named := func(id string) clientauth.Client {
		c := withKeys(key.JWK(nil))
		c.ID = id
		return c
	}
	send := func(b *bench, id, jti string) error {
		return b.try(t, named(id), id, key.Sign(nil, b.good(map[string]any{"iss": id, "sub": id, "jti": jti})))
	}
	for _, jti := range []string{"1", "2"} {
		if err := send(b, "web", jti); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(b, "web", "3"); code(err) != "temporarily_unavailable" {
		t.Errorf("one client's part is full: %v", err)
	}
	if err := send(b, "web", "1"); code(err) != "invalid_client" {
		t.Errorf("forgotten: %v", err)
	}
	for i := range 9 {
		for _, jti := range []string{"1", "2"} {
			if err := send(b, fmt.Sprint("c", i), jti); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := send(b, "late", "1"); code(err) != "temporarily_unavailable" {
		t.Errorf("full: %v", err)
	}
	if err := send(strangers, "stranger", "1"); err != nil {
		t.Errorf("strangers have a part of their own: %v", err)
	}
	b.pass(3 * time.Minute)
	if err := send(b, "web", "3"); err != nil {
		t.Errorf("after they expired: %v", err)
	}
}

func TestOA_17_JWKSURI(t *testing.T) {
	b := newBench(t)
	key, next := josetest.NewKey("ES256", "k1"), josetest.NewKey("ES256", "k2")
	client := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{JWKSURI: keysURI}}
	b.keys = func() ([]byte, error) { return nil, errors.New("down") }
	if err := b.try(t, client, "web", key.Sign(nil, b.good(nil))); code(err) != "temporarily_unavailable" || oauth.AsError(err).Header.Get("Retry-After") == "" {
		t.Errorf("keys that cannot be read: %v", err)
	}
	for range 5 {
		_ = b.try(t, client, "web", key.Sign(nil, b.good(nil)))
	}
	if b.asked.Load() != 1 {
		t.Errorf("%d requests within the pause", b.asked.Load())
	}
	b.pass(time.Minute)
	b.keys = func() ([]byte, error) { return josetest.JWKS(key.JWK(nil)), nil }
	if err := b.try(t, client, "web", key.Sign(nil, b.good(nil))); err != nil {
		t.Errorf("%v", err)
	}
	t.Run("rotation", func(t *testing.T) {
		b.keys = func() ([]byte, error) { return josetest.JWKS(next.JWK(nil)), nil }
		if err := b.try(t, client, "web", next.Sign(nil, b.good(nil))); code(err) != "invalid_client" {
			t.Errorf("within the pause: %v", err)
		}
		b.pass(time.Minute)
		if err := b.try(t, client, "web", next.Sign(nil, b.good(nil))); err != nil {
			t.Errorf("%v", err)
		}
		if err := b.try(t, client, "web", key.Sign(nil, b.good(nil))); code(err) != "invalid_client" {
			t.Errorf("the old key: %v", err)
		}
	})
	t.Run("an unknown client makes nobody call", func(t *testing.T) {
		before := b.asked.Load()
		_ = b.try(t, clientauth.Client{}, "nobody", key.Sign(nil, b.good(nil)))
		if b.asked.Load() != before {
			t.Error("a request was made")
		}
	})
}

func FuzzAssertion(f *testing.F) {
	b := newBench(f)
	key := josetest.NewKey("ES256", "k1")
	client := withKeys(key.JWK(nil))
	f.Add("", "")
	f.Add("web", "x.y.z")
	f.Add("", josetest.NewKey("ES256", "k1").Sign(nil, b.good(nil)))
	f.Add("web", josetest.NewKeypair("k1").HMAC(nil, b.good(nil)))
	f.Add("web", josetest.NewKeypair("k1").None(nil, b.good(nil), ""))
	f.Fuzz(func(t *testing.T, id, assertion string) {
		if err := b.try(t, client, id, assertion); code(err) != "invalid_client" {
			t.Errorf("%q %q: %v", id, assertion, err)
		}
	})
}
