package upstream_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

func introspection(c *upstream.Config) {
	c.Check, c.ClientID, c.Secret = upstream.CheckIntrospection, "sts:1", "s e+cret"
}

func TestTX_09_Introspection(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(introspection)
	answers := map[string]map[string]any{"good": {}, "noiss": {}}
	w.introspects(func(token string) map[string]any {
		return changed(w.claims(map[string]any{"active": true}), answers[token])
	})
	if s := accepted(t, u, "good"); s.ID != "bob" || s.Self != self || s.Claims["active"] != nil {
		t.Errorf("subject = %+v", s)
	}
	for _, n := range []neighbour{
		{"revoked", map[string]any{"active": false}, "not active"},
		{"text", map[string]any{"active": "true"}, "not active"},
		{"silent", map[string]any{"active": nil}, "not active"},
		{"otheriss", map[string]any{"iss": "https://eve.example"}, "another issuer"},
		{"otheraud", map[string]any{"aud": "x"}, "audience"},
		{"noaud", map[string]any{"aud": nil}, "audience"},
		{"expired", map[string]any{"exp": w.Now().Unix()}, "expired"},
		{"refresh", map[string]any{"token_type": "refresh_token"}, "no access token"},
		{"nouser", map[string]any{"sub": nil}, "no user"},
		{"client", map[string]any{"sub": "caddy-uma"}, "client"},
		{"noclient", map[string]any{"client_id": nil}, "which client"},
		{"dpop", map[string]any{"token_type": "DPoP"}, "does not name"},
		{"cert", map[string]any{"cnf": map[string]any{"x5t#S256": thumb}}, "not supported"},
	} {
		answers[n.name] = n.changes
		t.Run(n.name, func(t *testing.T) { refused(t, u, n.name, n.want) })
	}
	for _, r := range w.op.Requests() {
		if r.Path != "/introspect" {
			continue
		}
		user, pass, _ := (&http.Request{Header: r.Header}).BasicAuth()
		if r.Method != http.MethodPost || strings.Contains(r.URI, "?") || user != "sts%3A1" || pass != "s+e%2Bcret" {
			t.Fatalf("request = %s %s by %q", r.Method, r.URI, user)
		}
	}
	w.pass(4 * time.Second)
	n := w.op.Hits("/introspect")
	answers["good"] = map[string]any{"active": false}
	accepted(t, u, "good")
	if w.op.Hits("/introspect") != n {
		t.Error("asked again within the age of the cache")
	}
	w.pass(7 * time.Second)
	refused(t, u, "good", "not active")
}

func TestCacheEndsWithTheToken(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(introspection)
	end := w.Now().Add(3 * time.Second).Unix()
	w.introspects(func(string) map[string]any { return w.claims(map[string]any{"active": true, "exp": end}) })
	accepted(t, u, "short")
	w.pass(3 * time.Second)
	refused(t, u, "short", "expired")
}

func TestPrivateKeyJWT(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	key, err := jose.NewSigner("ES256")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	w.op.Misbehave("/introspect", func(rw http.ResponseWriter, r *http.Request) {
		var c struct {
			Issuer   string           `json:"iss"`
			Subject  string           `json:"sub"`
			Audience jose.Audience    `json:"aud"`
			Expires  jose.NumericDate `json:"exp"`
			ID       string           `json:"jti"`
		}
		token, err := jose.Parse(r.PostFormValue("client_assertion"), 4096)
		if err == nil {
			keys := jose.Set{key.KID: {KID: key.KID, Alg: key.Alg, Key: key.Key.Public()}}
			err = token.Verify(r.Context(), keys, []string{"ES256"}, &c)
		}
		life := c.Expires.Time().Sub(w.Now())
		if err != nil || c.Issuer != "sts" || c.Subject != "sts" || len(c.Audience) != 1 || c.Audience[0] != w.op.Issuer ||
			life <= 0 || life > time.Minute || seen[c.ID] || r.Header.Get("Authorization") != "" {
			fakeop.Status(401)(rw, r)
			return
		}
		seen[c.ID] = true
		fakeop.JSON("application/json", w.claims(map[string]any{"active": true}))(rw, r)
	})
	u := w.upstream(func(c *upstream.Config) { c.Check, c.ClientID, c.Key = upstream.CheckIntrospection, "sts", &key })
	accepted(t, u, "one")
	accepted(t, u, "two")
	other, _ := jose.NewSigner("ES256")
	unknown(t, w.upstream(func(c *upstream.Config) { c.Check, c.ClientID, c.Key = upstream.CheckIntrospection, "sts", &other }), "one-token")
}

func TestIntrospectionOutage(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"500": fakeop.Status(500), "401": fakeop.Status(401), "page": fakeop.HTML(), "endless": fakeop.Endless(), "cut": fakeop.Truncated(),
		"reset": fakeop.Reset(), "redirect": fakeop.RedirectTo("https://eve.example/"), "array": fakeop.Raw(200, "application/json", "[]"),
		"members twice": fakeop.Raw(200, "application/json", `{"active":false,"active":true}`),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fakeop.Config{})
			w.op.Misbehave("/introspect", broken)
			u := w.upstream(introspection)
			unknown(t, u, "some-token")
			w.introspects(func(string) map[string]any { return w.claims(map[string]any{"active": true}) })
			w.pass(6 * time.Second)
			accepted(t, u, "some-token")
		})
	}
	w := newWorld(t, fakeop.Config{})
	w.op.Misbehave("/introspect", fakeop.Reset())
	u := w.upstream(introspection)
	unknown(t, u, "first-token")
	n := w.op.Hits("")
	for i := range 20 {
		unknown(t, u, fmt.Sprintf("other-token-%d", i))
	}
	if w.op.Hits("") != n {
		t.Errorf("a provider that is down was called %d times more", w.op.Hits("")-n)
	}
}

// TestFlood is for the race detector, too.
func TestFlood(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	release := make(chan struct{})
	w.op.Misbehave("/introspect", fakeop.Wait(release, func(rw http.ResponseWriter, r *http.Request) {
		fakeop.JSON("application/json", w.claims(map[string]any{"active": true}))(rw, r)
	}))
	u := w.upstream(introspection)
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() { accepted(t, u, "one-token") })
	}
	close(release)
	all.Wait()
	if n := w.op.Hits("/introspect"); n != 1 {
		t.Errorf("%d calls for one token, want 1", n)
	}
	w.introspects(func(string) map[string]any { return map[string]any{"active": false} })
	for i := range 300 {
		all.Go(func() { _, _ = u.Resolve(t.Context(), fmt.Sprintf("junk-%d", i%10)) })
	}
	all.Wait()
	if n := w.op.Hits("/introspect"); n > 11 {
		t.Errorf("%d calls for 10 made-up tokens, want 10", n-1)
	}
	accepted(t, u, "one-token")
}

func TestUserinfo(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	info := map[string]any{"sub": "bob", "email": "bob@bob.example", "email_verified": false, "name": "Bob", "client_id": "x", "aud": "x"}
	w.op.Misbehave("/userinfo", func(rw http.ResponseWriter, r *http.Request) { fakeop.JSON("application/json", info)(rw, r) })
	u := w.upstream(nil)
	bare := w.claims(map[string]any{"email": nil})
	t.Run("one hand says address and flag", func(t *testing.T) {
		s := accepted(t, u, w.op.Sign(bare, "at+jwt")) // the token itself says email_verified
		if s.Email != "bob@bob.example" || s.EmailVerified || s.ClientID != "caddy-uma" || s.Claims["name"] != "Bob" {
			t.Errorf("subject = %+v", s)
		}
	})
	t.Run("another user", func(t *testing.T) {
		info = changed(info, map[string]any{"sub": "eve"})
		refused(t, w.upstream(nil), w.op.Sign(bare, "at+jwt"), "another user")
		info = changed(info, map[string]any{"sub": "bob", "email_verified": true})
	})
	t.Run("only after every rule", func(t *testing.T) {
		n := w.op.Hits("/userinfo")
		for _, token := range []string{
			w.op.Forge(bare, "at+jwt"), w.op.Sign(changed(bare, map[string]any{"aud": "x"}), "at+jwt"),
			w.op.Sign(changed(bare, map[string]any{"cnf": map[string]any{"jkt": thumb}}), "at+jwt"),
		} {
			refused(t, u, token, "")
		}
		if w.op.Hits("/userinfo") != n {
			t.Error("userinfo saw a token that was refused")
		}
	})
	unbound := func(c *upstream.Config) { c.Check, c.AcceptUnbound = upstream.CheckUserinfo, true }
	t.Run("A26 unbound", func(t *testing.T) {
		s := accepted(t, w.upstream(unbound), "opaque")
		if !s.Unbound || s.ClientID != "" || s.Audience != nil || !s.EmailVerified || s.Expires.Sub(w.Now()) > 2*time.Minute {
			t.Errorf("subject = %+v", s)
		}
	})
	t.Run("Dex repeats the claims of the token", func(t *testing.T) {
		plain := info
		info = changed(info, map[string]any{"at_hash": "x", "nonce": "y"})
		s := accepted(t, w.upstream(nil), w.op.Sign(changed(bare, map[string]any{"jti": "of dex"}), "at+jwt"))
		if s.Email != "bob@bob.example" || s.Claims["at_hash"] != nil {
			t.Errorf("subject = %+v", s)
		}
		refused(t, w.upstream(nil), w.op.Sign(changed(bare, map[string]any{"at_hash": "x"}), "at+jwt"), "at_hash")
		refused(t, w.upstream(unbound), "opaque", "of an ID token") // nothing else says what it is
		info = plain
	})
	t.Run("refused and broken", func(t *testing.T) {
		info = changed(info, map[string]any{"sub": nil})
		refused(t, w.upstream(unbound), "opaque", "no user")
		w.op.Misbehave("/userinfo", fakeop.Status(401))
		refused(t, w.upstream(unbound), "opaque", "does not take it")
		w.op.Misbehave("/userinfo", fakeop.Raw(200, "application/jwt", "e30.e30.e30"))
		unknown(t, w.upstream(unbound), "opaque-token")
	})
}
