package rs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/rs"
)

// The assertion is for this authorization server, short-lived and made anew each
// time (RFC 7523 §3).
func TestOA_18_PATByPrivateKeyJWT(t *testing.T) {
	key, err := jose.NewSigner("ES256")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *rs.Config) { c.ClientSecret, c.Key = "", &key })
	seen := map[string]bool{}
	for range 2 {
		w.restart()
		w.status("GET", "")
		form, err := url.ParseQuery(w.as.form)
		if err != nil || w.as.basic != "" || form.Get("client_secret") != "" ||
			form.Get("client_id") != clientID || form.Get("client_assertion_type") != oauth.AssertionTypeJWT {
			t.Fatalf("form = %v, Authorization = %q, %v", form, w.as.basic, err)
		}
		compact := form.Get("client_assertion")
		token, err := jose.Parse(compact, 4096)
		if err != nil || token.Header.KID != key.KID || token.Header.Alg != "ES256" {
			t.Fatalf("assertion = %+v, %v", token, err)
		}
		var claims map[string]any
		if err := token.Unverified(&claims); err != nil {
			t.Fatal(err)
		}
		jti, _ := claims["jti"].(string)
		if jti == "" || seen[jti] {
			t.Errorf("jti = %q, want a new one", jti)
		}
		seen[jti] = true
		delete(claims, "jti")
		want := map[string]any{"iss": clientID, "sub": clientID, "aud": issuer, "iat": w.now.Unix(), "exp": w.now.Unix() + 60}
		if diff := cmp.Diff(marshal(t, want), marshal(t, claims)); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// RFC 8705 §5: a client with a certificate asks where servers want one.
func TestOA_19_PATByCertificate(t *testing.T) {
	for name, c := range map[string]struct {
		aliases     map[string]any
		certificate bool
		want        string
	}{
		"no aliases":             {nil, true, "as.example"},
		"an alias":               {map[string]any{"token_endpoint": "https://mtls.as.example/token"}, true, "mtls.as.example"},
		"aliases of others":      {map[string]any{"revocation_endpoint": "https://mtls.as.example/x"}, true, "as.example"},
		"without a certificate":  {map[string]any{"token_endpoint": "https://mtls.as.example/token"}, false, "as.example"},
		"an alias without https": {map[string]any{"token_endpoint": "http://mtls.as.example/token"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(cfg *rs.Config) {
				cfg.Certificate = c.certificate
				if c.certificate {
					cfg.ClientSecret = ""
				}
			})
			asked, as := "", w.cfg.AS
			w.cfg.AS = func(call rs.Call, r *http.Request) (*http.Response, error) {
				if call == rs.CallToken {
					asked = r.URL.Host
				}
				if call != rs.CallMetadata {
					return as(call, r)
				}
				rec := httptest.NewRecorder()
				m := map[string]any{
					"issuer": issuer, "token_endpoint": issuer + "/token", "permission_endpoint": issuer + "/permission",
					"resource_registration_endpoint": issuer + "/resource", "jwks_uri": issuer + "/jwks",
				}
				if c.aliases != nil {
					m["mtls_endpoint_aliases"] = c.aliases
				}
				w.as.json(rec, 200, m)
				return rec.Result(), nil
			}
			w.restart()
			w.status("GET", "")
			if asked != c.want {
				t.Errorf("asked %q, want %q", asked, c.want)
			}
			if c.certificate && c.want != "" && w.as.form != "client_id=api&grant_type=client_credentials&scope=uma_protection" {
				t.Errorf("form = %s, want the name alone", w.as.form)
			}
		})
	}
}

func TestConfig_OneWayToAuthenticate(t *testing.T) {
	key := new(jose.Signer)
	for _, c := range []struct {
		cfg rs.Config
		ok  bool
	}{
		{rs.Config{}, true},
		{rs.Config{ClientSecret: "x"}, true},
		{rs.Config{Key: key}, true},
		{rs.Config{Certificate: true}, true},
		{rs.Config{ClientSecret: "x", Key: key}, false},
		{rs.Config{ClientSecret: "x", Certificate: true}, false},
		{rs.Config{Key: key, Certificate: true}, false},
	} {
		c.cfg.Issuer, c.cfg.ClientID = issuer, clientID
		if err := c.cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}
