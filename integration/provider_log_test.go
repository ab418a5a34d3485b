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

// TestSEC_22_AuditJoin: what the security token service and the authorization
// server did for one ticket is found by its challenge, and what the resource server
// did with the RPT by the id of the decision; one line of each, with the policy,
// its revision, the claims that decided, and how the provider was found.
func TestSEC_22_AuditJoin(t *testing.T) {
	w := example(t, "from bob@bob.localhost", "from bob@bob.localhost\n\t\t\twhen `\"staff\" in claims.groups`")
	access := w.login("bob@bob.localhost", "bob-demo")
	ticket, _ := w.challenged(http.MethodGet, "/")
	other, _ := w.challenged(http.MethodGet, "/")
	w.claimsToken(access, w.url("api", ""), other)
	w.exchange(access, "https://unlisted.localhost", ticket, nil)
	granted := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
	w.redeem(ticket, "", map[string]string{"claim_token_format": ""})
	for range 3 {
		w.get(w.url("api", "/"), bearer(granted.get("access_token")))
	}
	w.request(http.MethodPost, w.url("api", "/"), "", bearer(granted.get("access_token")))
	var got []string
	for _, line := range w.auditLines() {
		if line.Challenge != s256(ticket) && line.Decision != granted.get("decision_id") {
			continue
		}
		got = append(got, line.Msg+" "+line.Outcome)
		switch {
		case line.Msg == "exchange" && (line.Sub == "" || line.Email != "bob@bob.localhost"):
			t.Errorf("the line does not name the person: %+v", line)
		case line.Msg == "decision" && line.Outcome == "granted" && (line.Sub == "" || line.Email != "bob@bob.localhost" || line.Policy != "readers" || line.Revision == "" ||
			line.Claims["groups"] != `["staff"]` || line.Evidence == "" || line.Key == ""):
			t.Errorf("the line does not say why: %+v", line)
		case line.Msg == "rpt_check" && (line.Decision != granted.get("decision_id") || line.ResourceServer != "api"):
			t.Errorf("the line does not say by what: %+v", line)
		}
	}
	want := []string{"exchange denied", "exchange granted", "decision granted", "replay ", "decision refused", "rpt_check granted", "rpt_check denied"}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

// auditLine is a line of uma.audit.
type auditLine struct {
	Logger, Msg, Outcome, Sub, Email, Policy, Evidence string

	Challenge      string `json:"ticket_challenge"`
	Decision       string `json:"decision_id"`
	Revision       string `json:"policy_revision"`
	ResourceServer string `json:"resource_server"`
	Key            string `json:"key_thumbprint"`
	Claims         map[string]string
}

func (w *world) auditLines() (lines []auditLine) {
	w.t.Helper()
	log, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	for text := range strings.Lines(string(log)) {
		var line auditLine
		if json.Unmarshal([]byte(text), &line) == nil && line.Logger == "uma.audit" {
			lines = append(lines, line)
		}
	}
	return lines
}
