package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// TestSEC_22_ProviderEndpoints uses every endpoint of the embedded provider. The
// world searches its log of DEBUG for each credential when the test ends.
func TestSEC_22_ProviderEndpoints(t *testing.T) {
	const secret = "secret-of-the-portal-0123456789-0123456789"
	w := example(t, "# Which resource servers", "client portal "+secret+"\n\n\t\t# Which resource servers",
		"release name groups\n", "release name groups\n\t\t\tconsent\n")
	login := w.redeemCode(w.challengeCode("bob@bob.localhost", "bob-demo", "openid email offline_access"))
	wrong := w.post(w.url("bob", "/sts/challenge"), map[string]string{
		"client_id": "caddy-uma", "response_type": "code", "username": "bob@bob.localhost", "password": "a wrong password that is long",
		"code_challenge": s256(verifier), "code_challenge_method": "S256",
	})
	next := w.refresh(login.get("refresh_token"))
	access := next.get("access_token")
	info := w.get(w.url("bob", "/sts/userinfo"), bearer(access))
	portal := func(r *http.Request) { r.SetBasicAuth("portal", secret) }
	live := w.post(w.url("bob", "/sts/introspect"), map[string]string{"token": access}, portal)
	consent := w.tryExchange(access)
	device := w.post(w.url("bob", "/sts/device_authorization"), map[string]string{"client_id": "caddy-uma", "scope": "openid"})
	w.approveDevice(device.get("verification_uri_complete"), "allow")
	page := w.get(consent.get("consent_uri"), nil)
	connected := w.post(w.url("bob", "/sts/token"), map[string]string{
		"grant_type": oauth.GrantDeviceCode, "client_id": "caddy-uma", "device_code": device.get("device_code"),
	})
	gone := w.post(w.url("bob", "/sts/revoke"), map[string]string{"token": next.get("refresh_token"), "client_id": "caddy-uma"})
	dead := w.post(w.url("bob", "/sts/introspect"), map[string]string{"token": access}, portal)
	logout := w.get(w.url("bob", "/sts/logout?"+url.Values{"id_token_hint": {login.get("id_token")}}.Encode()), nil)

	for name, got := range map[string]struct {
		answer
		want int
	}{
		"login": {login, 200}, "wrong password": {wrong, 403}, "refresh": {next, 200}, "userinfo": {info, 200},
		"introspect": {live, 200}, "exchange": {consent, 403}, "consent page": {page, 200}, "device": {device, 200},
		"device token": {connected, 200}, "revoke": {gone, 200}, "introspect again": {dead, 200}, "logout": {logout, 200},
	} {
		if got.status != got.want {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.text, got.want)
		}
	}
	if live.body["active"] != true || dead.body["active"] != false || consent.get("error") != oauth.CodeConsentRequired {
		t.Errorf("introspection %s, then %s; exchange %s", live.text, dead.text, consent.text)
	}
}

// TestAuditJoin: what the security token service and the authorization server did
// for one ticket is found by its challenge, one line of each.
func TestAuditJoin(t *testing.T) {
	w := example(t)
	access := w.login("bob@bob.localhost", "bob-demo")
	ticket, _ := w.challenged(http.MethodGet, "/")
	other, _ := w.challenged(http.MethodGet, "/")
	w.claimsToken(access, w.url("api", ""), other)
	w.exchange(access, "https://unlisted.localhost", ticket, nil)
	w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
	var got []string
	log, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(log)) {
		var line struct {
			Logger, Msg, Outcome, Sub, Email string
			Challenge                        string `json:"ticket_challenge"`
		}
		if json.Unmarshal([]byte(text), &line) != nil || line.Logger != "uma.audit" || line.Challenge != s256(ticket) {
			continue
		}
		got = append(got, line.Msg+" "+line.Outcome)
		if line.Sub == "" || line.Email != "bob@bob.localhost" {
			t.Errorf("the line does not name the person: %s", text)
		}
	}
	if want := []string{"exchange denied", "exchange granted", "decision granted"}; !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}
