package integration_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// The provider block of the example, its client line and where the sites of a
// foreign provider go.
const (
	nodePublic = "client caddy-uma public {\n\t\t\tredirect_uri http://127.0.0.1/callback\n\t\t\tfirst_party\n\t\t}"
	nodeBefore = "# Alice's authorization server. She knows"
)

// nodeClients are what the foreign provider knows: the public client of the
// example, another one, and a service.
func nodeClients() (native, other, service oidcClient) {
	code := []string{"authorization_code", "refresh_token"}
	native = oidcClient{ID: "caddy-uma", Method: "none", RedirectURIs: []string{oidcCallback}, GrantTypes: code, ResponseTypes: []string{"code"}}
	other = oidcClient{ID: "other", Method: "none", RedirectURIs: []string{oidcCallback}, GrantTypes: code, ResponseTypes: []string{"code"}}
	service = oidcClient{
		ID: "service", Secret: nodeSecret, Method: "client_secret_post", RedirectURIs: []string{},
		GrantTypes: []string{"client_credentials"}, ResponseTypes: []string{},
	}
	return native, other, service
}

const nodeSecret = "secret-of-the-service-0123456789-0123456789"

// beside is the example with Bob's users at a foreign provider.
func beside(t *testing.T, settings oidcSettings, upstream string) (w *world, op string, p *oidcProvider) {
	t.Helper()
	native, other, service := nodeClients()
	return besideWith(t, settings, []oidcClient{native, other, service}, upstream)
}

func besideWith(t *testing.T, settings oidcSettings, clients []oidcClient, upstream string) (w *world, op string, p *oidcProvider) {
	t.Helper()
	w = example(t)
	op = w.url("op", "")
	settings.Issuer, settings.Clients = op, clients
	p = startOIDCProvider(t, settings)
	w.edit(
		w.providerBlock(), "upstream "+op+" {\n"+upstream+"\n\t\t}",
		nodePublic, "client caddy-uma public\n\t\tclient other public",
		"# Alice's authorization server", nodeSite(p.port)+"\n# Alice's authorization server",
		"trust_internal_ca\n", "trust_internal_ca\n\t\trefetch_pause 1s\n\t\tcache 100 3s\n",
	)
	w.awaitHost("op")
	return w, op, p
}

// nodeSite is a site in front of the foreign provider.
func nodeSite(port string) string {
	return "https://op.localhost:{$UMA_PORT:8443} {\n\ttls internal\n\treverse_proxy 127.0.0.1:" + port + "\n}\n"
}

// providerBlock is the provider block of the configuration as it stands.
func (w *world) providerBlock() string {
	w.t.Helper()
	_, rest, found := strings.Cut(w.text, "\t\tprovider {\n")
	inside, _, end := strings.Cut(rest, "\n\t\t}\n")
	if !found || !end {
		w.t.Fatal("the Caddyfile has no provider block")
	}
	return "provider {\n" + inside + "\n\t\t}"
}

// TestUpstreamJWT: the users are at a provider that somebody else wrote, whose
// access tokens are JWTs.
func TestCA_13_UpstreamJWT(t *testing.T) {
	w, op, p := beside(t, oidcSettings{Format: "jwt", ClaimsInToken: true}, "")
	native, other, service := nodeClients()
	sts := map[string]string{"resource": w.url("bob", "")}
	token := w.oidcLogin(op, "bob@bob.localhost", native, sts)
	t.Run("CA-13 the nine steps", func(t *testing.T) { w.opens(t, token.get("access_token")) })

	t.Run("CA-13 rejected neighbours", func(t *testing.T) {
		foreign := w.oidcLogin(op, "bob@bob.localhost", native, map[string]string{"resource": "https://else.localhost"})
		for name, tc := range map[string]struct{ token, client string }{
			"of another client":    {w.oidcLogin(op, "bob@bob.localhost", other, sts).get("access_token"), "caddy-uma"},
			"for another audience": {foreign.get("access_token"), "caddy-uma"},
			"ID token":             {token.get("id_token"), "caddy-uma"},
			"of another domain":    {w.oidcLogin(op, "bob@else.example", native, sts).get("access_token"), "caddy-uma"},
			"of a service (CA-02)": {w.service(op, service, sts).get("access_token"), "caddy-uma"},
			"with a broken end":    {token.get("access_token") + "A", "caddy-uma"},
		} {
			if tc.token == "" {
				t.Errorf("%s: the provider gave no token", name)
				continue
			}
			ticket, _ := w.challenged(http.MethodGet, "/")
			a := w.exchange(tc.token, w.url("api", ""), ticket, map[string]string{"client_id": tc.client})
			if a.status != http.StatusBadRequest || a.get("error") != "invalid_request" {
				t.Errorf("%s: %d %s", name, a.status, a.text)
			}
		}
	})

	t.Run("SEC-10 keys of the provider", func(t *testing.T) {
		p.say("rotate")
		fresh := w.oidcLogin(op, "bob@bob.localhost", native, sts).get("access_token")
		w.eventually(t, "a token of the new key", http.StatusOK, func() answer { return w.tryExchange(fresh) })
		if a := w.tryExchange(token.get("access_token")); a.status != http.StatusOK {
			t.Errorf("a token of the old key, still published: %d %s", a.status, a.text)
		}
		p.say("withdraw")
		w.eventually(t, "a token of the withdrawn key", http.StatusBadRequest, func() answer { return w.tryExchange(token.get("access_token")) })
		if a := w.tryExchange(fresh); a.status != http.StatusOK {
			t.Errorf("a token of the new key: %d %s", a.status, a.text)
		}
	})
}

// TestDP_08_UpstreamBound: the foreign provider has bound the access token to a
// key. It is exchanged with a proof of that key alone, and what comes of it is bound
// to the key, too.
func TestDP_08_UpstreamBound(t *testing.T) {
	w, op, _ := beside(t, oidcSettings{Format: "jwt", ClaimsInToken: true}, "")
	native, _, _ := nodeClients()
	signer, another := w.prover(), w.prover()
	token := w.oidcLogin(op, "bob@bob.localhost", native, map[string]string{"resource": w.url("bob", "")}, func(r *http.Request) {
		proof, err := signer.Prove(http.MethodPost, op+"/token", "", "")
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(oauth.HeaderDPoP, proof)
	})
	if token.get("token_type") != "DPoP" {
		t.Fatalf("%d %s", token.status, token.text)
	}
	access := token.get("access_token")
	ticket, _ := w.challenged(http.MethodGet, "/")
	for name, a := range map[string]answer{
		"DP-08 without a proof": w.exchange(access, w.url("api", ""), ticket, nil),
		"DP-08 of another key":  w.exchangeWith(another, access, ticket, nil),
	} {
		if a.status != http.StatusBadRequest || a.get("error") != "invalid_dpop_proof" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	claims := w.exchangeWith(signer, access, ticket, nil)
	if claims.status != http.StatusOK {
		t.Fatalf("%d %s", claims.status, claims.text)
	}
	rpt := w.redeem(ticket, claims.get("access_token"), nil, w.proof(signer, ""))
	if rpt.status != http.StatusOK || rpt.get("token_type") != "DPoP" {
		t.Errorf("%d %s", rpt.status, rpt.text)
	}
}

// TestUpstreamOpaque: access tokens that only the provider can read.
func TestTX_09_UpstreamOpaque(t *testing.T) {
	w, op, p := beside(t, oidcSettings{Format: "opaque", ClaimsInToken: true},
		"\t\t\tcheck introspection\n\t\t\tclient_id service\n\t\t\tclient_secret "+nodeSecret+"\n\t\t\tcache 1s")
	native, other, _ := nodeClients()
	sts := map[string]string{"resource": w.url("bob", "")}
	token := w.oidcLogin(op, "bob@bob.localhost", native, sts).get("access_token")
	if strings.Contains(token, ".") {
		t.Fatalf("the provider's token is not opaque: %s", token)
	}
	t.Run("TX-09 the nine steps", func(t *testing.T) { w.opens(t, token) })
	t.Run("TX-09 rejected neighbours", func(t *testing.T) {
		for name, token := range map[string]string{
			"of another client":    w.oidcLogin(op, "bob@bob.localhost", other, sts).get("access_token"),
			"for another audience": w.oidcLogin(op, "bob@bob.localhost", native, map[string]string{"resource": "https://else.localhost"}).get("access_token"),
			"for no audience":      w.oidcLogin(op, "bob@bob.localhost", native, nil).get("access_token"),
			"random":               "KqTvZ9Xy0123456789KqTvZ9Xy0123456789abcdefg",
		} {
			if a := w.tryExchange(token); a.status != http.StatusBadRequest || a.get("error") != "invalid_request" {
				t.Errorf("%s: %d %s", name, a.status, a.text)
			}
		}
	})
	t.Run("TX-09 revoked at the provider", func(t *testing.T) {
		if a := w.post(op+"/token/revocation", map[string]string{"token": token, "client_id": native.ID}); a.status != http.StatusOK {
			t.Fatalf("revocation: %d %s", a.status, a.text)
		}
		w.eventually(t, "a revoked token", http.StatusBadRequest, func() answer { return w.tryExchange(token) })
	})
	t.Run("TX-09 the provider is down", func(t *testing.T) {
		live := w.oidcLogin(op, "bob@bob.localhost", native, sts).get("access_token")
		p.stop()
		a := w.tryExchange(live)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %v %s", a.status, a.header, a.text)
		}
	})
}

// tryExchange exchanges a token for the API with a new ticket.
func (w *world) tryExchange(token string) answer {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	return w.exchange(token, w.url("api", ""), ticket, nil)
}

// opens walks the nine steps with an access token.
func (w *world) opens(t *testing.T, token string) {
	t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.exchange(token, w.url("api", ""), ticket, nil)
	if claims.status != http.StatusOK {
		t.Fatalf("exchange: %d %s", claims.status, claims.text)
	}
	rpt := w.redeem(ticket, claims.get("access_token"), nil)
	if ok := w.get(w.url("api", "/"), bearer(rpt.get("access_token"))); ok.status != http.StatusOK {
		t.Fatalf("RPT: %d %s, then %d %s", rpt.status, rpt.text, ok.status, ok.text)
	}
}

// service gets a token that is bound to no user.
func (w *world) service(op string, client oidcClient, extra map[string]string) answer {
	w.t.Helper()
	form := map[string]string{"grant_type": "client_credentials", "client_id": client.ID, "client_secret": client.Secret, "scope": "read"}
	maps.Copy(form, extra)
	return w.post(op+"/token", form)
}

// eventually waits for a status that a bound in seconds promises.
func (w *world) eventually(t *testing.T, what string, status int, ask func() answer) {
	t.Helper()
	var a answer
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if a = ask(); a.status == status {
			return
		}
	}
	t.Errorf("%s: %d %s, want %d", what, a.status, a.text, status)
}
