package integration_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

var frontClient = oidcClient{
	ID: "caddy-uma", Method: "none", RedirectURIs: []string{oidcCallback},
	GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
}

// front is Caddyfile.example with oidc-provider behind uma_sts instead of the
// embedded provider. The provider has the issuer of the host.
func front(t *testing.T, issuerPath, words string) *world {
	t.Helper()
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	op := startOIDCProvider(t, oidcSettings{
		Issuer: w.url("bob", ""), Clients: []oidcClient{frontClient}, Format: "jwt", ClaimsInToken: true,
	})
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	const start, end = "\t\t# Its users.", "\t\t# Which resource servers"
	before, rest, found := strings.Cut(string(text), start)
	_, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatal("Caddyfile.example has other comments")
	}
	input := before + words + "\n\t\tclient caddy-uma public\n" + end + after
	input = strings.NewReplacer(
		"\tuma {\n", "\tuma {\n\t\talgorithm EdDSA\n",
		"uma_sts https://bob.localhost:{$UMA_PORT:8443} {", "uma_sts https://bob.localhost:{$UMA_PORT:8443}"+issuerPath+" {",
		"release name groups\n\t\t}\n\t}\n}", "release name groups\n\t\t}\n\t}\n\treverse_proxy 127.0.0.1:"+op.port+"\n}",
		`respond "Hello`, "reverse_proxy "+w.backend()+"\n\trespond \"Hello",
	).Replace(input)
	t.Setenv("UMA_PORT", w.port)
	w.load(input)
	return w
}

// subjectToken logs bob in at the provider behind.
func (w *world) subjectToken(audience string) string {
	w.t.Helper()
	a := w.oidcLogin(w.url("bob", ""), "bob@bob.localhost", frontClient, map[string]string{"resource": audience})
	if a.get("access_token") == "" {
		w.t.Fatalf("login at the provider: %d %s", a.status, a.text)
	}
	return a.get("access_token")
}

// exchangeAt exchanges a token at a token endpoint.
func (w *world) exchangeAt(endpoint, access, ticket string) answer {
	w.t.Helper()
	return w.post(endpoint, map[string]string{
		"grant_type": oauth.GrantTokenExchange, "client_id": "caddy-uma", "resource": w.url("api", ""),
		"ticket_challenge": s256(ticket), "subject_token": access,
		"subject_token_type": oauth.TokenTypeAccessToken, "requested_token_type": oauth.TokenTypeJWT,
	})
}

// nineSteps walks from a request without a token to the API.
func (w *world) nineSteps(endpoint, access string) {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	a := w.exchangeAt(endpoint, access, ticket)
	if a.status != http.StatusOK {
		w.t.Fatalf("exchange at %s: %d %s", endpoint, a.status, a.text)
	}
	a = w.redeem(ticket, a.get("access_token"), nil)
	if a.status != http.StatusOK {
		w.t.Fatalf("redeem: %d %s", a.status, a.text)
	}
	if a = w.get(w.url("api", "/"), bearer(a.get("access_token"))); a.status != http.StatusOK {
		w.t.Errorf("the API: %d %s", a.status, a.text)
	}
}

// TestA28_InFrontOfAProvider: an issuer of its own on the host of a provider that
// somebody else wrote.
func TestA28_InFrontOfAProvider(t *testing.T) {
	w := front(t, "/claims", "\t\twrap https://bob.localhost:{$UMA_PORT:8443}")
	ours := w.url("bob", "/claims")
	access := w.subjectToken(ours)

	meta := w.get(ours+"/.well-known/openid-configuration", nil)
	theirs := w.get(w.url("bob", "/.well-known/openid-configuration"), nil)
	if meta.get("issuer") != ours || meta.get("token_endpoint") != ours+"/sts/token" || theirs.get("issuer") != w.url("bob", "") {
		t.Fatalf("metadata = %s\n%s", meta.text, theirs.text)
	}
	if strings.Contains(theirs.text, oauth.GrantTokenExchange) || strings.Contains(w.get(theirs.get("jwks_uri"), nil).text, "OKP") {
		t.Errorf("the provider's documents were touched: %s", theirs.text)
	}
	for name, endpoint := range map[string]string{"our token endpoint": meta.get("token_endpoint"), "the provider's": theirs.get("token_endpoint")} {
		t.Run("CA-01 exchange at "+name, func(*testing.T) { w.nineSteps(endpoint, access) })
	}
	t.Run("OA-02 no exchange reaches the provider", func(t *testing.T) {
		a := w.post(theirs.get("token_endpoint")+"?grant_type="+oauth.GrantTokenExchange, map[string]string{"grant_type": "password"})
		if a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidRequest {
			t.Errorf("answer = %d %s", a.status, a.text)
		}
		// Other grants do: this is the provider's own word.
		if a := w.post(theirs.get("token_endpoint"), map[string]string{"grant_type": "nonsense", "client_id": "caddy-uma"}); a.get("error") != "unsupported_grant_type" {
			t.Errorf("answer = %d %s", a.status, a.text)
		}
		if a := w.post(meta.get("token_endpoint"), map[string]string{"grant_type": "authorization_code", "client_id": "caddy-uma"}); a.get("error") != "unsupported_grant_type" {
			t.Errorf("another grant at our endpoint = %d %s", a.status, a.text)
		}
	})
}

// TestA28_OneIssuerWithAProvider: merge_jwks.
func TestA28_OneIssuerWithAProvider(t *testing.T) {
	w := front(t, "", "\t\twrap\n\t\tmerge_jwks")
	issuer := w.url("bob", "")
	access := w.subjectToken(issuer)
	meta := w.get(issuer+"/.well-known/openid-configuration", nil)
	if meta.get("issuer") != issuer || meta.get("authorization_endpoint") == "" || !strings.Contains(meta.text, oauth.GrantTokenExchange) {
		t.Fatalf("metadata = %s", meta.text)
	}
	var set struct {
		Keys []struct{ Kty, KID, Alg string }
	}
	keys := w.get(meta.get("jwks_uri"), nil)
	if err := json.Unmarshal([]byte(keys.text), &set); err != nil || len(set.Keys) != 2 || set.Keys[0].Kty != "EC" || set.Keys[1].Alg != "EdDSA" || set.Keys[1].KID == "" {
		t.Fatalf("keys = %s, %v", keys.text, err)
	}
	w.nineSteps(meta.get("token_endpoint"), access)
	t.Run("AT-06 a claims token is no access token, though its key is among the provider's", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		a := w.exchangeAt(meta.get("token_endpoint"), access, ticket)
		a = w.exchangeAt(meta.get("token_endpoint"), a.get("access_token"), ticket)
		if a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidRequest {
			t.Errorf("answer = %d %s", a.status, a.text)
		}
	})
	t.Run("A28 the provider's algorithm", func(t *testing.T) {
		w.edit("algorithm EdDSA", "algorithm ES256")
		for _, target := range []string{issuer + "/.well-known/openid-configuration", meta.get("jwks_uri")} {
			if a := w.get(target, nil); a.status != http.StatusServiceUnavailable || !strings.Contains(a.text, "set the global option 'algorithm'") {
				t.Errorf("%s: %d %s", target, a.status, a.text)
			}
		}
	})
}
