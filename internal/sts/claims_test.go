package sts_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

func TestCA_17_CA_18_ClaimsToken(t *testing.T) {
	b := newBench(t, nil)
	claims := b.mustIssue(t, good("as_uri", "https://as.alice.example"))
	if len(claims["jti"].(string)) < 22 || len(claims["sub"].(string)) != 43 {
		t.Errorf("jti = %v, sub = %v", claims["jti"], claims["sub"])
	}
	if again := b.mustIssue(t, good()); again["jti"] == claims["jti"] || again["sub"] != claims["sub"] {
		t.Errorf("jti %v, %v; sub %v, %v", claims["jti"], again["jti"], claims["sub"], again["sub"])
	}
	delete(claims, "jti")
	delete(claims, "sub")
	now := float64(b.now.Unix())
	want := map[string]any{
		"iss": issuer, "aud": []any{apiURI}, "iat": now, "exp": now + 120,
		"email": "bob@bob.example", "email_verified": true, "ticket_challenge": challenge,
		"as_uri": "https://as.alice.example", // CA-47
		"name":   "Bob", "groups": []any{"staff"},
	}
	if d := cmp.Diff(want, claims); d != "" {
		t.Error(d)
	}
}

func TestCA_47_ASURI(t *testing.T) {
	b := newBench(t, nil)
	if got := b.mustIssue(t, good("as_uri", "https://as.alice.example/x"))["as_uri"]; got != "https://as.alice.example/x" {
		t.Errorf("as_uri = %v", got)
	}
	if got, ok := b.mustIssue(t, good())["as_uri"]; ok {
		t.Errorf("as_uri = %v, want none", got)
	}
	b.wantError(t, b.post(good("as_uri", "as.alice.example")), http.StatusBadRequest, oauth.CodeInvalidRequest)
}

func TestCA_17_UnverifiedStaysUnverified(t *testing.T) {
	b := newBench(t, nil)
	s := b.bob("caddy-uma")
	s.EmailVerified = false
	s.Claims = map[string]any{"email_verified": true}
	b.users[bobToken] = s
	if got := b.mustIssue(t, good())["email_verified"]; got != false {
		t.Errorf("email_verified = %v, want false", got)
	}
}

func TestCA_17_SubIsInjective(t *testing.T) {
	b := newBench(t, nil)
	seen := map[any]string{}
	for _, who := range [][2]string{
		{"https://a", "bc"},
		{"https://ab", "c"},
		{"https://a\x00b", "c"},
		{"https://a", "\x00bc"},
		{"https://a\x00", "bc"},
		{"https://abc", "x"},
	} {
		s := b.bob("caddy-uma")
		s.Issuer, s.ID = who[0], who[1]
		b.users[bobToken] = s
		sub := b.mustIssue(t, good())["sub"]
		if other, ok := seen[sub]; ok {
			t.Errorf("%q and %q have one sub", who, other)
		}
		seen[sub] = who[0] + "," + who[1]
	}
}

func TestCA_19_Lifetime(t *testing.T) {
	tests := []struct {
		name           string
		configured, at time.Duration // at = what is left of the subject token
		want           int64
	}{
		{"CA-19 default", 0, time.Hour, 120},
		{"CA-19 configured", time.Minute, time.Hour, 60},
		{"CA-19 maximum", 5 * time.Minute, time.Hour, 300},
		{"CA-19 subject token ends earlier", 0, 30 * time.Second, 30},
		{"CA-19 fraction of a second is cut", 0, 30*time.Second + 900*time.Millisecond, 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.cfg.ClaimsLifetime = tt.configured
				s := b.bob("caddy-uma")
				s.Expires = b.now.Add(tt.at)
				b.users[bobToken] = s
			})
			a := decode(t, b.post(good()))
			claims := b.verify(t, a.AccessToken)
			if a.ExpiresIn != tt.want || int64(claims["exp"].(float64)-claims["iat"].(float64)) != tt.want {
				t.Errorf("expires_in = %d, claims %v, want %d", a.ExpiresIn, claims, tt.want)
			}
		})
	}
	t.Run("CA-19 above the maximum", func(t *testing.T) {
		cfg := newBench(t, nil).cfg
		cfg.ClaimsLifetime = 5*time.Minute + time.Second
		if _, err := sts.New(cfg); err == nil || !strings.Contains(err.Error(), "claims_token lifetime is at most 5m") {
			t.Errorf("New() = %v", err)
		}
	})
}

func TestCA_20_Release(t *testing.T) {
	fixed := []string{"aud", "email", "email_verified", "exp", "iat", "iss", "jti", "sub", "ticket_challenge"}
	tests := []struct {
		name, resource string
		release        []string // global
		want           []string
	}{
		{"CA-20 list of the target", apiURI, []string{"salary"}, []string{"groups", "name"}},
		{"CA-20 list of the target for a name", "RS API", nil, []string{"groups", "name"}},
		{"CA-20 global list", "https://paths.corp/a", []string{"salary"}, []string{"salary"}},
		{"CA-20 nothing by default", "https://paths.corp/a", nil, nil},
		{"CA-20 most specific wins", "https://api.corp/photos", nil, []string{"name"}},
		{"CA-20 an empty list is a list", "https://api.corp/none", []string{"salary"}, nil},
		{"CA-20 what the user has not", "https://paths.corp/a", []string{"nickname", "email"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(b *bench) {
				b.cfg.Release = tt.release
				b.cfg.Targets = slices.Concat( // the order does not matter
					[]sts.Target{{Names: []string{"https://api.corp/photos"}, Release: []string{"name"}}},
					b.cfg.Targets,
					[]sts.Target{
						{Names: []string{"https://api.corp/none"}, Release: []string{}},
						{Names: []string{"*"}, Release: []string{"salary"}},
					})
			})
			got := slices.Sorted(maps.Keys(b.mustIssue(t, good("resource", tt.resource))))
			want := slices.Sorted(slices.Values(append(slices.Clone(fixed), tt.want...)))
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestCA_20_ProtocolClaimsCannotBeReleased(t *testing.T) {
	for _, name := range []string{"iss", "aud", "exp", "iat", "nbf", "jti", "ticket_challenge", "as_uri", "act", "may_act", "cnf", "client_id", "scope", ""} {
		cfg := newBench(t, nil).cfg
		cfg.Release = []string{name}
		if _, err := sts.New(cfg); err == nil {
			t.Errorf("New() with release %q = nil, want an error", name)
		}
	}
	b := newBench(t, func(b *bench) {
		b.cfg.Targets[0].Release = []string{"sub", "email", "email_verified", "name"}
		s := b.bob("caddy-uma")
		s.Claims = map[string]any{"sub": "eve", "email": "eve@evil.example", "email_verified": "yes", "iss": "x", "name": "Bob"}
		b.users[bobToken] = s
	})
	claims := b.mustIssue(t, good())
	if claims["email"] != "bob@bob.example" || claims["email_verified"] != true || claims["iss"] != issuer || claims["sub"] == "eve" {
		t.Errorf("claims = %v", claims)
	}
}

func TestTX_11_NoActor(t *testing.T) {
	b := newBench(t, nil)
	s := b.bob("caddy-uma")
	s.Claims["act"], s.Claims["may_act"] = map[string]any{"sub": "x"}, map[string]any{"sub": "x"}
	b.users[bobToken] = s
	claims := b.mustIssue(t, good())
	if claims["act"] != nil || claims["may_act"] != nil || claims["name"] != "Bob" {
		t.Errorf("claims = %v, want neither act nor may_act", claims)
	}
	s.ClientID = "web" // may_act of the token does not help another client
	b.users[bobToken] = s
	b.wantError(t, b.post(good()), http.StatusBadRequest, oauth.CodeInvalidRequest)
}

func TestCA_21_Header(t *testing.T) {
	b := newBench(t, nil)
	token, err := jose.Parse(decode(t, b.post(good())).AccessToken, oauth.MaxForm)
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(b.get(issuer+"/sts/jwks").Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	published := slices.ContainsFunc(set.Keys, func(k map[string]any) bool {
		return k["kid"] == token.Header.KID && k["d"] == nil
	})
	if token.Header.Typ != "ca-claims+jwt" || token.Header.Alg != "ES256" || !published {
		t.Errorf("header = %+v, keys %v", token.Header, set.Keys)
	}
}

func TestSEC_13_NoKeyNoToken(t *testing.T) {
	b := newBench(t, func(b *bench) { b.cfg.Claims = noKeys{} })
	w := b.post(good())
	b.wantError(t, w, http.StatusServiceUnavailable, oauth.CodeUnavailable)
	if got := decode(t, w); got.AccessToken != "" || b.events[0].Outcome != event.Failed {
		t.Errorf("answer = %+v, event %+v", got, b.events[0])
	}
}

func TestCA_22_LargeClaims(t *testing.T) {
	b := newBench(t, nil)
	s := b.bob("caddy-uma")
	s.Claims["groups"] = []string{strings.Repeat("g", 24<<10)}
	b.users[bobToken] = s
	if got := decode(t, b.post(good())).AccessToken; len(got) < 32<<10 {
		t.Errorf("token of %d bytes", len(got))
	}
	b.wantError(t, b.post(good("x", strings.Repeat("x", 100<<10))), http.StatusRequestEntityTooLarge, oauth.CodeInvalidRequest)
}
