package integration_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// placement runs an example of a security token service as it stands, with names
// of the loopback, beside the resource server and the authorization server of
// Caddyfile.example. pairs are replaced in the example.
func placement(t *testing.T, file string, more func(w *world) (sites string, pairs []string)) *world {
	t.Helper()
	w := &world{t: t, port: freePort(t), dir: t.TempDir(), hits: new(atomic.Int64), seen: credentials{}}
	t.Setenv("UMA_PORT", w.port)
	sites, pairs := more(w)
	local := func(host string) string { return host + ".localhost:" + w.port }
	pairs = append(pairs,
		"https://api.alice.example", "https://"+local("api"), "https://photos.alice.example", "https://"+local("photos"),
		"\nsso.bob.example {\n", "\nhttps://"+local("bob")+" {\n\ttls internal\n", "https://sso.bob.example", "https://"+local("bob"),
		"\nsts.bob.example {\n", "\nhttps://"+local("bob")+" {\n\ttls internal\n", "https://sts.bob.example", "https://"+local("bob"),
		"\nbob.example {\n", "\nhttps://"+local("mail")+" {\n\ttls internal\n", "email_domain bob.example", "email_domain bob.localhost",
		"\nsso.carol.example {\n", "\nhttps://"+local("carol")+" {\n\ttls internal\n", "https://sso.carol.example", "https://"+local("carol"),
	)
	text := strings.NewReplacer(pairs...).Replace("\n" + readText(t, "../examples/"+file))
	// The global options and the two other roles are those of the demo.
	demo := readText(t, "../Caddyfile.example")
	options, rest, found := strings.Cut(demo, "# Bob's organisation: an OpenID provider")
	_, others, found2 := strings.Cut(rest, "# Alice's authorization server.")
	if !found || !found2 {
		t.Fatal("Caddyfile.example has other comments")
	}
	if own, after, ok := strings.Cut(text, "\n{\n"); ok {
		block, tail, _ := strings.Cut(after, "\n}\n")
		inside := strings.TrimSuffix(strings.TrimPrefix(block, "\tuma {\n"), "\t}")
		options, text = strings.Replace(options, "\tuma {\n", "\tuma {\n"+inside, 1), own+tail
	}
	w.load(options + text + "\n# Alice's authorization server." +
		strings.Replace(others, `respond "Hello`, "reverse_proxy "+w.backend()+"\n\trespond \"Hello", 1) + sites)
	return w
}

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCA_01_ExampleBeside: examples/beside.Caddyfile with a provider that speaks as
// Keycloak does.
func TestCA_01_ExampleBeside(t *testing.T) {
	kc := newKeycloak(t)
	w := placement(t, "beside.Caddyfile", func(w *world) (string, []string) {
		kc.issuer = w.url("op", "/realms/staff")
		return "\n" + nodeSite(strings.TrimPrefix(kc.server.URL, "http://127.0.0.1:")),
			[]string{"https://kc.bob.example/realms/staff", kc.issuer}
	})
	w.awaitHost("op")
	t.Run("CA-01 the nine steps", func(t *testing.T) { w.opens(t, kc.token(w, nil)) })
	for name, change := range map[string]map[string]any{
		"an ID token":           {"typ": "ID"},
		"for another audience":  {"aud": "account"},
		"of another client":     {"azp": "other"},
		"of another realm":      {"iss": w.url("op", "/realms/other")},
		"of another domain":     {"email": "bob@else.example"},
		"of a service account":  {"preferred_username": "service-account-caddy-uma"},
		"with several audience": {"aud": []string{w.url("bob", ""), "account"}},
	} {
		if a := w.tryExchange(kc.token(w, change)); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
}

// TestCA_01_ExampleFront: examples/front.Caddyfile with oidc-provider behind both
// of its sites.
func TestCA_01_ExampleFront(t *testing.T) {
	native, _, _ := nodeClients()
	w := placement(t, "front.Caddyfile", func(w *world) (string, []string) {
		settings := oidcSettings{Format: "jwt", ClaimsInToken: true, Clients: []oidcClient{native}}
		settings.Issuer = w.url("bob", "/op")
		bob := startOIDCProvider(t, settings)
		settings.Issuer = w.url("carol", "/op")
		carol := startOIDCProvider(t, settings)
		return "", []string{"127.0.0.1:5556", "127.0.0.1:" + bob.port, "127.0.0.1:5557", "127.0.0.1:" + carol.port}
	})
	w.awaitHost("carol")
	token := w.oidcLogin(w.url("bob", "/op"), "bob@bob.localhost", native, map[string]string{"resource": w.url("bob", "/claims")}).get("access_token")
	t.Run("CA-01 an issuer of its own", func(t *testing.T) {
		for _, endpoint := range []string{"/claims/sts/token", "/op/token"} {
			w.nineSteps(w.url("bob", endpoint), token)
		}
	})
	t.Run("CA-01 one issuer", func(t *testing.T) {
		meta := w.get(w.url("carol", "/op/.well-known/openid-configuration"), nil)
		if meta.get("issuer") != w.url("carol", "/op") || !strings.Contains(meta.text, oauth.GrantTokenExchange) || meta.get("authorization_endpoint") == "" {
			t.Errorf("%d %s", meta.status, meta.text)
		}
		keys := w.get(meta.get("jwks_uri"), nil)
		if set, _ := keys.body["keys"].([]any); len(set) != 2 {
			t.Errorf("%d keys, want the provider's and ours: %s", len(set), keys.text)
		}
	})
}

// keycloak speaks as a realm of Keycloak does.
type keycloak struct {
	server *httptest.Server
	issuer string
	key    josetest.Key
}

func newKeycloak(t *testing.T) *keycloak {
	t.Helper()
	kc := &keycloak{key: josetest.NewKey("RS256", "kc-1")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /realms/staff/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": kc.issuer, "jwks_uri": kc.issuer + "/protocol/openid-connect/certs"})
	})
	mux.HandleFunc("GET /realms/staff/protocol/openid-connect/certs", func(rw http.ResponseWriter, _ *http.Request) {
		set, _ := jose.MarshalJWKS(kc.key.Public())
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(set)
	})
	kc.server = httptest.NewServer(mux)
	t.Cleanup(kc.server.Close)
	return kc
}

// token is an access token with changes.
func (kc *keycloak) token(w *world, change map[string]any) string {
	now := time.Now()
	claims := map[string]any{
		"exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "jti": "onrtac:f3a1", "iss": kc.issuer, "aud": w.url("bob", ""),
		"sub": "f1b1e8a0-6c9f-4f1e-9d3a-bob", "typ": "Bearer", "azp": "caddy-uma", "sid": "s-1", "acr": "1",
		"realm_access": map[string]any{"roles": []string{"offline_access"}}, "scope": "email profile",
		"email_verified": true, "name": "Bob", "preferred_username": "bob", "email": "bob@bob.localhost", "groups": []string{"staff"},
	}
	maps.Copy(claims, change)
	token := kc.key.Sign(map[string]any{"typ": "JWT"}, claims)
	w.seen.add("subject_token", token)
	return token
}
