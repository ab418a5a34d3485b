package upstream_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/upstream"
)

const thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func TestResolveJWT(t *testing.T) {
	w := newWorld(t, fakeop.Config{Issuer: "https://bob.example/realms/staff"})
	w.op.Edit(nil)
	u := w.upstream(nil)
	if n := w.op.Hits(""); n != 0 {
		t.Errorf("New made %d requests", n)
	}
	got := accepted(t, u, w.op.Sign(w.claims(map[string]any{"cnf": map[string]any{"jkt": thumb}, "may_act": map[string]any{"sub": "desk"}}), "at+jwt"))
	want := oauth.Subject{
		Issuer: w.op.Issuer, ID: "bob", ClientID: "caddy-uma", MayAct: "desk", Email: "bob@bob.example", EmailVerified: true,
		Claims:   map[string]any{"email": "bob@bob.example", "email_verified": true, "groups": []any{"staff"}},
		Audience: []string{self}, Self: self, JKT: thumb, Expires: w.Now().Add(10 * time.Minute),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestA26_SEC_03_TX_09_RulesOfJWT(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(nil)
	at := func(d time.Duration) int64 { return w.Now().Add(d).Unix() }
	tests := []struct {
		name    string
		changes map[string]any
		typ     string
		want    string // "" = taken
	}{
		{"good", nil, "at+jwt", ""},
		{"long typ", nil, "application/at+jwt", ""},
		{"SEC-03 typ JWT", nil, "JWT", "typ"},
		{"SEC-03 no typ", nil, "", "typ"},
		{"SEC-03 claims token", nil, "claims+jwt", "typ"},
		{"CA-13 nonce", map[string]any{"nonce": "n"}, "at+jwt", "nonce"},
		{"CA-13 at_hash", map[string]any{"at_hash": "x"}, "at+jwt", "at_hash"},
		{"CA-13 c_hash", map[string]any{"c_hash": "x"}, "at+jwt", "c_hash"},
		{"TX-07 other issuer", map[string]any{"iss": "https://eve.example"}, "at+jwt", "another issuer"},
		{"TX-07 no issuer", map[string]any{"iss": nil}, "at+jwt", "another issuer"},
		{"TX-07 expired", map[string]any{"exp": at(0)}, "at+jwt", "expired"},
		{"CA-19 nearly expired", map[string]any{"exp": at(time.Second)}, "at+jwt", ""},
		{"TX-07 no exp", map[string]any{"exp": nil}, "at+jwt", "no exp"},
		{"nbf within leeway", map[string]any{"nbf": at(time.Minute)}, "at+jwt", ""},
		{"nbf beyond", map[string]any{"nbf": at(61 * time.Second)}, "at+jwt", "time has not come"},
		{"iat beyond", map[string]any{"iat": at(61 * time.Second)}, "at+jwt", "time has not come"},
		{"exp as text", map[string]any{"exp": "1900000000"}, "at+jwt", "cannot be read"},
		{"CA-13 several audiences", map[string]any{"aud": []string{"x", self}}, "at+jwt", ""},
		{"CA-13 other audience", map[string]any{"aud": self + "/"}, "at+jwt", "audience"},
		{"CA-13 no audience", map[string]any{"aud": nil}, "at+jwt", "audience"},
		{"CA-02 no user", map[string]any{"sub": nil}, "at+jwt", "no user"},
		{"CA-02 client_credentials", map[string]any{"sub": "caddy-uma"}, "at+jwt", "client and to no user"},
		{"azp alone", map[string]any{"client_id": nil, "azp": "x"}, "at+jwt", ""},
		{"azp the same", map[string]any{"azp": "caddy-uma"}, "at+jwt", ""},
		{"CA-13 azp differs", map[string]any{"azp": "x"}, "at+jwt", "differ"},
		{"CA-13 no client", map[string]any{"client_id": nil}, "at+jwt", "which client"},
		{"bound by a certificate", map[string]any{"cnf": map[string]any{"x5t#S256": thumb}}, "at+jwt", "not supported"},
		{"bound twice", map[string]any{"cnf": map[string]any{"jkt": thumb, "x5t#S256": thumb}}, "at+jwt", "not supported"},
		{"bound by a bad thumbprint", map[string]any{"cnf": map[string]any{"jkt": "short"}}, "at+jwt", "not supported"},
		{"bound to nothing", map[string]any{"cnf": map[string]any{}}, "at+jwt", "not supported"},
		{"CA-17 other domain", map[string]any{"email": "bob@alice.example"}, "at+jwt", "does not speak for"},
		{"CA-17 subdomain", map[string]any{"email": "bob@x.bob.example"}, "at+jwt", "does not speak for"},
		{"CA-17 no address", map[string]any{"email": "bob"}, "at+jwt", "not acceptable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := w.op.Sign(w.claims(tt.changes), tt.typ)
			if tt.want == "" {
				accepted(t, u, token)
				return
			}
			refused(t, u, token, tt.want)
		})
	}
	t.Run("TX-07 forged", func(t *testing.T) { refused(t, u, w.op.Forge(w.claims(nil), "at+jwt"), "signature") })
	t.Run("TX-07 no JWT", func(t *testing.T) { refused(t, u, "opaque", "no acceptable JWT") })
	t.Run("TX-07 two lines", func(t *testing.T) { refused(t, u, "a\r\nb", "form") })
}

func TestVerifiedAddress(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	tests := []struct {
		name    string
		changes map[string]any
		edit    func(*upstream.Config)
		want    bool
	}{
		{"true", nil, nil, true},
		{"text", map[string]any{"email_verified": "true"}, nil, false},
		{"number", map[string]any{"email_verified": 1}, nil, false},
		{"absent", map[string]any{"email_verified": nil}, nil, false},
		{"assumed", map[string]any{"email_verified": nil}, func(c *upstream.Config) { c.AssumeVerified = true }, true},
		{"of another claim", map[string]any{"upn": "bob@bob.example"}, func(c *upstream.Config) { c.Claims = map[string]string{"email": "upn"} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := accepted(t, w.upstream(tt.edit), w.op.Sign(w.claims(tt.changes), "at+jwt")); s.EmailVerified != tt.want {
				t.Errorf("verified = %v, want %v", s.EmailVerified, tt.want)
			}
		})
	}
}

func TestSEC_10_KeysOfTheProvider(t *testing.T) {
	w := newWorld(t, fakeop.Config{})
	u := w.upstream(nil)
	old := w.op.Sign(w.claims(map[string]any{"exp": w.Now().Add(time.Hour).Unix()}), "at+jwt")
	accepted(t, u, old)
	w.pass(2 * time.Minute)
	w.op.Rotate("key-2", true)
	accepted(t, u, w.op.Sign(w.claims(nil), "at+jwt"))
	if n := w.op.Hits(fakeop.JWKS); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	refused(t, u, old, "signature")
	w.op.Rotate("../../etc/passwd", true)
	for range 50 {
		refused(t, u, w.op.Sign(w.claims(nil), "at+jwt"), "signature")
	}
	if n := w.op.Hits(fakeop.JWKS); n != 2 {
		t.Errorf("a flood of unknown kids: %d fetches, want 2", n)
	}
}

func TestOutage(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"500": fakeop.Status(500), "page": fakeop.HTML(), "endless": fakeop.Endless(), "cut": fakeop.Truncated(), "reset": fakeop.Reset(),
		"redirect": fakeop.RedirectTo("https://eve.example/"), "bomb": fakeop.GzipBomb(4 << 20),
		"other issuer": fakeop.JSON("application/json", map[string]any{"issuer": "https://eve.example", "jwks_uri": "https://eve.example/jwks"}),
		"clear":        fakeop.JSON("application/json", map[string]any{"issuer": "https://bob.example", "jwks_uri": "http://bob.example/jwks"}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fakeop.Config{})
			w.op.Misbehave(fakeop.Configuration, broken)
			u, token := w.upstream(nil), w.op.Sign(w.claims(nil), "at+jwt")
			unknown(t, u, token)
			n := w.op.Hits("")
			unknown(t, u, token)
			if again := w.op.Hits(""); again != n {
				t.Errorf("asked again at once: %d then %d", n, again)
			}
			w.op.Misbehave(fakeop.Configuration, nil)
			w.pass(6 * time.Second)
			accepted(t, u, token)
		})
	}
	t.Run("keys", func(t *testing.T) {
		w := newWorld(t, fakeop.Config{})
		w.op.Misbehave(fakeop.JWKS, fakeop.Status(503))
		unknown(t, w.upstream(nil), w.op.Sign(w.claims(nil), "at+jwt"))
	})
}
