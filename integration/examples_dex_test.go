package integration_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// dex speaks as Dex does: access tokens have the shape of its ID tokens, at_hash
// included; its introspection endpoint tells them from refresh tokens and asks
// nobody for credentials; the address is in its userinfo.
type dex struct {
	issuer string
	key    josetest.Key
	server *httptest.Server
	asked  []string // places
}

func newDex(t *testing.T, issuer string) *dex {
	t.Helper()
	d := &dex{issuer: issuer, key: josetest.NewKey("RS256", "dex-1")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dex/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		answerJSON(rw, map[string]any{
			"issuer": issuer, "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/keys", "userinfo_endpoint": issuer + "/userinfo",
			"introspection_endpoint": issuer + "/token/introspect", "authorization_endpoint": issuer + "/auth",
			"grant_types_supported": []string{"authorization_code"}, "response_types_supported": []string{"code"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /dex/keys", func(rw http.ResponseWriter, _ *http.Request) {
		set, _ := jose.MarshalJWKS(d.key.Public())
		answerJSON(rw, set)
	})
	mux.HandleFunc("POST /dex/token/introspect", d.introspect)
	mux.HandleFunc("GET /dex/userinfo", func(rw http.ResponseWriter, r *http.Request) {
		answerJSON(rw, payloadOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	})
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write([]byte("dex at " + r.URL.Path)) })
	d.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		d.asked = append(d.asked, r.URL.Path)
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(d.server.Close)
	return d
}

// introspect answers as Dex does; what is no JWT is a refresh token.
func (d *dex) introspect(rw http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("token")
	claims := payloadOf(token)
	answer := map[string]any{
		"active": true, "client_id": "caddy-uma", "sub": "CgNib2ISBWxvY2Fs", "exp": time.Now().Add(time.Hour).Unix(), "iss": d.issuer,
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "aud": "sts", "token_type": "Bearer", "token_use": "refresh_token",
	}
	if claims != nil {
		answer["token_use"], answer["aud"], answer["exp"], answer["iat"], answer["nbf"] = "access_token", claims["aud"], claims["exp"], claims["iat"], claims["iat"]
		answer["ext"] = map[string]any{"email": claims["email"], "azp": claims["azp"]}
	}
	answerJSON(rw, answer)
}

func (d *dex) token(w *world, aud string) string {
	now := time.Now()
	token := d.key.Sign(nil, map[string]any{
		"iss": d.issuer, "sub": "CgNib2ISBWxvY2Fs", "aud": aud, "azp": "caddy-uma", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		"at_hash": "Lm1qFhKZ0r0fYcEyR1i4kg", "email": "bob@bob.example", "email_verified": true, "name": "Bob", "groups": []string{"staff"},
	})
	w.seen.add("subject_token", token)
	return token
}

func answerJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v)
}

// payloadOf reads a JWT without verifying it; nil if it is none.
func payloadOf(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	raw, err := oauth.DecodeBase64(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return nil
	}
	return claims
}

// TestExample_Dex: Dex's people get through the nine steps, by both token endpoints;
// Dex itself answers what it answered before.
func TestExample_Dex(t *testing.T) {
	t.Setenv("STS_SECRET", "a-secret-of-the-example-0123456789-0123456789")
	t.Setenv("API_SECRET", "another-secret-of-the-example-0123456789-01234")
	w := newWorld(t)
	d := newDex(t, "https://sso.bob.example/dex")
	w.runExample(asWritten{
		file:  "dex.Caddyfile",
		names: map[string]string{"bob": "sso.bob.example", "mail": "bob.example", "api": "api.alice.example", "as": "as.alice.example"},
		pairs: []string{"127.0.0.1:5556", strings.TrimPrefix(d.server.URL, "http://")},
		// Nothing is excepted over a redirect: the authorization server asks at the
		// service itself (the redirect is looked at below).
		sites: alices(w, "email_domain bob.example https://sso.bob.example", "from bob@bob.example"),
	})
	for _, endpoint := range []string{w.url("bob", "/claims/sts/token"), w.url("bob", "/dex/token")} {
		w.nineSteps(endpoint, d.token(w, "sts"))
	}
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.exchangeAt(w.url("bob", "/claims/sts/token"), d.token(w, "sts"), ticket)
	if got := payloadOf(claims.get("access_token")); got["name"] != "Bob" || got["groups"] == nil {
		t.Errorf("the example releases name and groups: %v", got)
	}
	for name, token := range map[string]string{
		"an ID token or a token for the client": d.token(w, "caddy-uma"), "a refresh token": "ChlyZWZyZXNoLXRva2VuLW9mLWJvYi1hdC1kZXg",
	} {
		if a := w.exchangeAt(w.url("bob", "/claims/sts/token"), token, ticket); a.status != http.StatusBadRequest || a.get("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if a := w.get(w.url("bob", "/dex/auth?x=1"), nil); a.text != "dex at /dex/auth" {
		t.Errorf("Dex: %d %s", a.status, a.text)
	}
	redirect := w.get(w.url("mail", "/.well-known/webfinger?resource=acct%3Abob%40bob.example"), nil)
	finger := w.get(redirect.header.Get("Location"), nil)
	if redirect.status != http.StatusFound || !strings.Contains(finger.text, `"https://sso.bob.example/claims"`) {
		t.Errorf("%d %v, then %d %s", redirect.status, redirect.header, finger.status, finger.text)
	}
}

// alices are an authorization server and an API that the examples of the other side
// can be tried with.
func alices(w *world, entry, from string) string {
	return `as.alice.example {
	uma_server https://as.alice.example {
		resource_server api https://api.alice.example {env.API_SECRET}
		` + entry + `
		policy readers {
			` + from + `
		}
	}
}

api.alice.example {
	uma_protect https://as.alice.example {
		client_id api
		client_secret {env.API_SECRET}
	}
	reverse_proxy ` + w.backend() + `
}
`
}
