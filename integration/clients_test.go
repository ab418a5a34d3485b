package integration_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// asClient asks for an RPT with other credentials than those of the example.
func (w *world) asClient(access string, form map[string]string, edits ...func(*http.Request)) answer {
	w.t.Helper()
	ticket, _ := w.challenged(http.MethodGet, "/")
	return w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), form, edits...)
}

func refusedClient(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusUnauthorized || a.get("error") != oauth.CodeInvalidClient || a.get("access_token") != "" {
		t.Errorf("%d %s, want 401 invalid_client", a.status, a.text)
	}
}

// keyFile writes a JWK Set.
func keyFile(t *testing.T, keys ...josetest.Key) string {
	t.Helper()
	var list []map[string]any
	for _, key := range keys {
		list = append(list, key.JWK(nil))
	}
	dir := t.TempDir()
	write(t, dir, "keys.json", string(josetest.JWKS(list...)))
	return filepath.Join(dir, "keys.json")
}

func TestOA_17_PrivateKeyJWT(t *testing.T) {
	key, other := josetest.NewKey("ES256", "k1"), josetest.NewKey("ES256", "k1")
	w := example(t, policyStart, "client signer {\n\t\t\tjwks_file "+keyFile(t, key)+"\n\t\t}\n\t\tclient caddy-uma public\n\n\t\t"+policyStart)
	access := w.login("bob@bob.localhost", "bob-demo")
	n := 0
	typed := func(k josetest.Key, typ string, edits map[string]any) map[string]string {
		now := time.Now().Unix()
		n++
		claims := map[string]any{"iss": "signer", "sub": "signer", "aud": w.url("as", ""), "iat": now, "exp": now + 60, "jti": strconv.Itoa(n)}
		maps.Copy(claims, edits)
		return map[string]string{
			"client_id": "", "client_assertion_type": oauth.AssertionTypeJWT, "client_assertion": k.Sign(map[string]any{"typ": typ}, claims),
		}
	}
	assertion := func(k josetest.Key, edits map[string]any) map[string]string { return typed(k, "JWT", edits) }
	good := assertion(key, nil)
	if a := w.asClient(access, good); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.text)
	}
	for name, form := range map[string]map[string]string{
		"OA-18 the same assertion again":           good,
		"another key":                              assertion(other, nil),
		"the token endpoint as audience":           assertion(key, map[string]any{"aud": w.url("as", "/uma/token")}),
		"another client's name":                    assertion(key, map[string]any{"iss": "caddy-uma", "sub": "caddy-uma"}),
		"expired":                                  assertion(key, map[string]any{"exp": time.Now().Unix() - 300}),
		"no assertion":                             {"client_id": "signer"},
		"OA-18 a claims token's typ in its header": typed(key, oauth.TypClaimsToken, nil),
	} {
		t.Run(name, func(t *testing.T) { refusedClient(t, w.asClient(access, form)) })
	}
	t.Run("OA-18 again after a reload", func(t *testing.T) {
		w.reload()
		w.await()
		refusedClient(t, w.asClient(access, good))
		if a := w.asClient(access, assertion(key, nil)); a.status != http.StatusOK {
			t.Errorf("a new one: %d %s", a.status, a.text)
		}
	})
	t.Run("OA-18 again after a restart, which stands for another node", func(t *testing.T) {
		w.stop()
		w.reload()
		w.await()
		refusedClient(t, w.asClient(access, good))
	})
}

const initialToken = "0123456789-the-initial-access-token"

func TestOA_24_Registration(t *testing.T) {
	t.Setenv("UMA_TEST_INITIAL", initialToken)
	v := withVault(t, "registration {env.UMA_TEST_INITIAL}\n\t\trate_limit registration off\n\t\t")
	access := v.login("bob@bob.localhost", "bob-demo")
	id := v.register("one", "read")
	meta := v.get(v.url("as", "/.well-known/uma2-configuration"), nil)
	post := func(token string, body map[string]any) answer {
		text, _ := json.Marshal(body)
		header := bearer(token)
		header.Set("Content-Type", "application/json")
		return v.request(http.MethodPost, meta.get("registration_endpoint"), string(text), header)
	}
	wanted := map[string]any{"client_name": "Bob's", "grant_types": []string{oauth.GrantUMATicket, oauth.GrantRefreshToken}}
	if a := post(flip(initialToken), wanted); a.status != http.StatusUnauthorized || a.get("client_id") != "" {
		t.Errorf("another token: %d %s", a.status, a.text)
	}
	if a := post(initialToken, map[string]any{"grant_types": []string{oauth.GrantClientCredentials}, "scope": oauth.ScopeUMAProtection}); a.status != http.StatusBadRequest {
		t.Errorf("OA-23 uma_protection: %d %s", a.status, a.text)
	}
	made := post(initialToken, wanted)
	if made.status != http.StatusCreated || made.get("client_secret") == "" {
		t.Fatalf("%d %s", made.status, made.text)
	}
	use := func(secret string) answer {
		ticket := v.ticket(id, "read")
		claims := v.claimsToken(access, v.url("vault", ""), ticket)
		return v.redeem(ticket, claims, map[string]string{"client_id": ""}, basic(made.get("client_id"), secret))
	}
	refusedClient(t, use(flip(made.get("client_secret"))))
	v.reload()
	v.await()
	rpt := use(made.get("client_secret")).get("access_token")
	if !v.active(rpt) {
		t.Fatal("the RPT of a registered client is not active")
	}
	drop := func(token string) int {
		return v.request(http.MethodDelete, made.get("registration_client_uri"), "", bearer(token)).status
	}
	if status := drop(initialToken); status != http.StatusUnauthorized || !v.active(rpt) {
		t.Errorf("deleted with the initial access token: %d", status)
	}
	if status := drop(made.get("registration_access_token")); status != http.StatusNoContent || v.active(rpt) {
		t.Errorf("deleted: %d, its RPT still active", status)
	}
	refusedClient(t, use(made.get("client_secret")))
	if status := drop(made.get("registration_access_token")); status != http.StatusUnauthorized {
		t.Errorf("deleted twice: %d", status)
	}
}

// OA-23 OD-13: what is not switched on is not there.
func TestOA_23_OffByDefault(t *testing.T) {
	w := example(t)
	meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil)
	for _, name := range []string{"registration_endpoint", "client_id_metadata_document_supported", "tls_client_certificate_bound_access_tokens", "claims_interaction_endpoint"} {
		if meta.body[name] != nil {
			t.Errorf("OD-13: metadata has %s: %v", name, meta.body[name])
		}
	}
	if strings.Contains(meta.text, oauth.GrantRefreshToken) || strings.Contains(meta.text, oauth.AuthPrivateKeyJWT) {
		t.Errorf("OD-13: %s", meta.text)
	}
	if a := w.request(http.MethodPost, w.url("as", "/uma/register"), `{}`, bearer(initialToken)); a.status != http.StatusNotFound {
		t.Errorf("registration: %d %s", a.status, a.text)
	}
	access := w.login("bob@bob.localhost", "bob-demo")
	refusedClient(t, w.asClient(access, map[string]string{"client_id": w.url("bob", "/client")}))
	if a := w.asClient(access, nil); a.status != http.StatusOK || a.get("refresh_token") != "" || a.get("pct") != "" {
		t.Errorf("UG-36: %d %s", a.status, a.text)
	}
	w.edit(policyStart, "client_metadata_documents\n\t\tclient caddy-uma public\n\t\t"+policyStart)
	if meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil); meta.body["client_id_metadata_document_supported"] != true {
		t.Errorf("switched on: %s", meta.text)
	}
	// The document would be on a loopback address, which no stranger's URL may name.
	before := w.hits.Load()
	refusedClient(t, w.asClient(access, map[string]string{"client_id": w.url("bob", "/client")}))
	if w.hits.Load() != before {
		t.Error("something was called")
	}
}
