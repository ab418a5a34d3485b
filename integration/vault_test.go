package integration_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Secrets of these tests come from the environment, as real ones do: a literal one
// would stand in the configuration.
const (
	vaultSecret = "0123456789-the-secret-of-the-vault-0"
	webSecret   = "0123456789-the-secret-of-the-client-"
	vaultLines  = `resource_server vault https://vault.localhost:{$UMA_PORT:8443} {env.UMA_TEST_VAULT} {
			rpt opaque
			release groups
		}
		client caddy-uma public
		client web {env.UMA_TEST_WEB}
		client desk {env.UMA_TEST_WEB}
		rate_limit token off

		`
	vaultPolicy = `policy vault {
			resource_server vault
			from bob@bob.localhost
		}
		`
	apiTarget = "target https://api.localhost:{$UMA_PORT:8443} {"
)

// vault is a resource server whose calls of the protection API are made by hand.
type vault struct {
	*world
	as, host, id, secret string
	pat                  string
}

// withVault starts the example with a second resource server, whose RPTs are
// opaque, and a confidential client. more stands in the uma_server block.
func withVault(t *testing.T, more string, edits ...string) *vault {
	t.Helper()
	t.Setenv("UMA_TEST_VAULT", vaultSecret)
	t.Setenv("UMA_TEST_WEB", webSecret)
	w := example(t, append(edits,
		policyStart, vaultLines+more+vaultPolicy+policyStart,
		`resource "RS API"`+"\n\t\t\tscopes get", "resource_server api\n\t\t\tresource \"RS API\"\n\t\t\tscopes get",
		apiTarget, "target https://api.localhost:{$UMA_PORT:8443} https://vault.localhost:{$UMA_PORT:8443} {")...)
	return newVault(w, "as", vaultSecret)
}

func newVault(w *world, as, secret string) *vault {
	w.t.Helper()
	v := &vault{world: w, as: as, host: "vault", id: "vault", secret: secret}
	v.pat = w.pat(as, "vault", secret)
	return v
}

// protection calls an endpoint of the protection API.
func (v *vault) protection(endpoint string, body any) answer {
	v.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	meta := v.get(v.url(v.as, "/.well-known/uma2-configuration"), nil)
	header := bearer(v.pat)
	header.Set("Content-Type", "application/json")
	a := v.request(http.MethodPost, meta.get(endpoint), string(text), header)
	if a.status != http.StatusCreated {
		v.t.Fatalf("%s: %d %s", endpoint, a.status, a.text)
	}
	return a
}

func (v *vault) register(name string, scopes ...string) (id string) {
	v.t.Helper()
	return v.protection("resource_registration_endpoint", map[string]any{"name": name, "resource_scopes": scopes}).get("_id")
}

func (v *vault) ticket(id string, scopes ...string) string {
	v.t.Helper()
	return v.protection("permission_endpoint", map[string]any{"resource_id": id, "resource_scopes": scopes}).get("ticket")
}

// introspect asks about an RPT.
func (v *vault) introspect(token string, edits ...func(*http.Request)) answer {
	v.t.Helper()
	meta := v.get(v.url(v.as, "/.well-known/uma2-configuration"), nil)
	return v.post(meta.get("introspection_endpoint"), map[string]string{"token": token}, append([]func(*http.Request){
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+v.pat) },
	}, edits...)...)
}

// active tells whether an RPT is good; one that is not must say nothing else.
func (v *vault) active(token string) bool {
	v.t.Helper()
	a := v.introspect(token)
	active, _ := a.body["active"].(bool)
	if a.status != http.StatusOK || !active && strings.TrimSpace(a.text) != `{"active":false}` {
		v.t.Errorf("introspection: %d %s", a.status, a.text)
	}
	return active
}

// asWeb is steps 6 and 7 of the confidential client.
func (v *vault) asWeb(ticket, claims string, edits map[string]string) answer {
	v.t.Helper()
	form := map[string]string{"client_id": ""}
	if claims == "" {
		form["claim_token_format"] = ""
	}
	maps.Copy(form, edits)
	return v.redeemAt(v.as, ticket, claims, form, basic("web", webSecret))
}

// granted is asWeb with what Bob's provider says, and must succeed.
func (v *vault) granted(access, ticket string, edits map[string]string) answer {
	v.t.Helper()
	a := v.asWeb(ticket, v.claimsToken(access, v.url("vault", ""), ticket), edits)
	if a.status != http.StatusOK {
		v.t.Fatalf("step 7: %d %s", a.status, a.text)
	}
	return a
}

// refresh sends a refresh token of the confidential client.
func (v *vault) refresh(token string) answer {
	v.t.Helper()
	meta := v.get(v.url(v.as, "/.well-known/uma2-configuration"), nil)
	return v.post(meta.get("token_endpoint"), map[string]string{"grant_type": oauth.GrantRefreshToken, "refresh_token": token}, basic("web", webSecret))
}

func (v *vault) revoke(token string, edits ...func(*http.Request)) {
	v.t.Helper()
	meta := v.get(v.url(v.as, "/.well-known/uma2-configuration"), nil)
	if a := v.post(meta.get("revocation_endpoint"), map[string]string{"token": token}, edits...); a.status != http.StatusOK {
		v.t.Errorf("revocation: %d %s", a.status, a.text)
	}
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(id, secret) }
}
