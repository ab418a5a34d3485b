package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestCA_43_NineSteps(t *testing.T) {
	const confidential = "\tresource_server api"
	for _, tc := range []struct {
		name     string
		edits    []string // of Caddyfile.example
		resource string   // "" = the URI
		form     func(claims string) map[string]string
		basic    bool
	}{
		{name: "CA-23 claim_token, public client, URI"},
		{
			name: "CA-24 pushed_claims",
			form: func(claims string) map[string]string {
				return map[string]string{"claim_token": "", "claim_token_format": "", "pushed_claims": claims}
			},
		},
		{
			name:  "UG-12 confidential client",
			edits: []string{confidential, "\tclient web {$RS_SECRET:example-only-web-secret-00000000000}\n\t" + confidential},
			form:  func(string) map[string]string { return map[string]string{"client_id": ""} },
			basic: true,
		},
		{
			name: "CA-15 logical name",
			edits: []string{
				"{$RS_SECRET:example-only-change-me-0000000000}\n\n\t\t# Bob", "{$RS_SECRET:example-only-change-me-0000000000} {\n\t\t\taudience \"RS API\"\n\t\t}\n\n\t\t# Bob",
				"target https://api.localhost:{$UMA_PORT:8443} {", "target \"RS API\" {",
			},
			resource: "RS API",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := example(t, tc.edits...)
			resource := tc.resource
			if resource == "" {
				resource = w.url("api", "")
			}
			access := w.login("bob@bob.localhost", "bob-demo")

			ticket, refusal := w.challenged(http.MethodGet, "/photos?size=large")
			if !strings.Contains(refusal.header.Get("WWW-Authenticate"), `resource_metadata="`+w.url("api", "/.well-known/oauth-protected-resource")+`"`) {
				t.Errorf("OA-26: %v", refusal.header)
			}
			claims := w.claimsToken(access, resource, ticket)
			form := map[string]string{}
			if tc.form != nil {
				form = tc.form(claims)
			}
			var edits []func(*http.Request)
			if tc.basic {
				edits = append(edits, func(r *http.Request) { r.SetBasicAuth("web", "example-only-web-secret-00000000000") })
			}
			rpt := w.redeem(ticket, claims, form, edits...)
			if rpt.status != http.StatusOK {
				t.Fatalf("step 7: %d %s", rpt.status, rpt.text)
			}
			if w.hits.Load() != 0 {
				t.Error("CA-42: the backend was reached before step 8")
			}
			ok := w.get(w.url("api", "/photos?size=large"), bearer(rpt.get("access_token")))
			if ok.status != http.StatusOK || ok.get("uri") != "/photos?size=large" || w.hits.Load() != 1 {
				t.Fatalf("step 9: %d %s", ok.status, ok.text)
			}
			checkBackendRequest(t, ok)
			if again, res := w.challengedWith(http.MethodPost, "/photos", rpt.get("access_token")); again == "" || w.hits.Load() != 1 {
				t.Errorf("UG-50: the RPT for get opens post: %d", res.status)
			}
		})
	}
}

func checkBackendRequest(t *testing.T, ok answer) {
	t.Helper()
	header, _ := ok.body["header"].(map[string]any)
	if header["Authorization"] != nil {
		t.Error("SEC-20: the RPT reached the backend")
	}
	user, _ := header["X-User"].([]any)
	if len(user) != 1 || !strings.HasPrefix(user[0].(string), "u-") {
		t.Errorf("X-User = %v", header["X-User"])
	}
	for _, line := range ok.header.Values("WWW-Authenticate") {
		if strings.HasPrefix(line, "UMA") {
			t.Errorf("CA-48: %s", line)
		}
	}
}

// challengedWith sends a token that is not good enough.
func (w *world) challengedWith(method, path, token string) (ticket string, a answer) {
	w.t.Helper()
	a = w.request(method, w.url("api", path), "", bearer(token))
	challenges, err := oauth.ParseChallenges(a.header.Values("WWW-Authenticate"))
	if err != nil || len(challenges) == 0 {
		return "", a
	}
	return challenges[0].Get("ticket"), a
}

func TestCA_39_Mallory(t *testing.T) {
	w := example(t)
	access := w.login("mallory@bob.localhost", "mallory-demo")
	ticket, _ := w.challenged(http.MethodGet, "/")
	a := w.redeem(ticket, w.claimsToken(access, w.url("api", ""), ticket), nil)
	if a.status != http.StatusForbidden || a.get("error") != "request_denied" || a.get("decision_id") == "" || a.get("ticket") != "" {
		t.Errorf("%d %s", a.status, a.text)
	}
	if w.hits.Load() != 0 {
		t.Error("the backend was reached")
	}
}

func TestSEC_24_Reload(t *testing.T) {
	w := example(t)
	access := w.login("bob@bob.localhost", "bob-demo")
	ticket, _ := w.challenged(http.MethodGet, "/")
	w.reload()
	w.await()
	claims := w.claimsToken(access, w.url("api", ""), ticket)
	w.reload()
	w.await()
	rpt := w.redeem(ticket, claims, nil)
	if rpt.status != http.StatusOK {
		t.Fatalf("%d %s", rpt.status, rpt.text)
	}
	w.reload()
	w.await()
	if ok := w.get(w.url("api", "/"), bearer(rpt.get("access_token"))); ok.status != http.StatusOK {
		t.Fatalf("%d %s", ok.status, ok.text)
	}
	if again := w.redeem(ticket, claims, nil); again.get("error") != "invalid_grant" {
		t.Errorf("the ticket works again after a reload: %s", again.text)
	}
}
