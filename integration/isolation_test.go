package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	apiSecret   = "example-only-change-me-0000000000"
	otherSecret = "example-only-other-secret-00000000"
	apiSite     = "# Alice's API. Whatever"
	policyStart = "# Bob may read. Nobody else may do anything."
)

// site is a second protected site.
func site(host, as, id, secret string) string {
	return "https://" + host + `.localhost:{$UMA_PORT:8443} {
	tls internal
	uma_protect https://` + as + `.localhost:{$UMA_PORT:8443} {
		client_id ` + id + `
		client_secret ` + secret + `
		resource "RS API" {
			scope get
		}
	}
	respond "the other one"
}

`
}

// tokens are one of each kind, of a run that succeeded.
func (w *world) tokens() map[string]string {
	w.t.Helper()
	login := w.loginAnswer("bob@bob.localhost", "bob-demo")
	access := login.get("access_token")
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.claimsToken(access, w.url("api", ""), ticket)
	rpt := w.redeem(ticket, claims, nil)
	pat := w.pat("as", "api", apiSecret)
	all := map[string]string{
		"ID token": login.get("id_token"), "access token": access, "claims token": claims,
		"RPT": rpt.get("access_token"), "PAT": pat, "ticket": ticket,
	}
	for name, token := range all {
		if token == "" {
			w.t.Fatalf("no %s", name)
		}
	}
	return all
}

func (w *world) pat(as, id, secret string) string {
	w.t.Helper()
	meta := w.get(w.url(as, "/.well-known/uma2-configuration"), nil)
	return w.post(meta.get("token_endpoint"), map[string]string{"grant_type": "client_credentials", "scope": "uma_protection"},
		func(r *http.Request) { r.SetBasicAuth(id, secret) }).get("access_token")
}

func TestAT_06_TokenMatrix(t *testing.T) {
	w := example(t,
		policyStart, "resource_server other https://other.localhost:{$UMA_PORT:8443} "+otherSecret+"\n\n\t\t"+policyStart,
		`resource "RS API"`+"\n\t\t\tscopes get", `resource_server api`+"\n\t\t\tresource \"RS API\"\n\t\t\tscopes get",
		apiSite, site("other", "as", "other", otherSecret)+apiSite)
	tokens := w.tokens()
	permission := w.get(w.url("as", "/.well-known/uma2-configuration"), nil).get("permission_endpoint")
	for kind, token := range tokens {
		if kind != "RPT" {
			t.Run("AT-06 "+kind+" as RPT", func(t *testing.T) {
				if a := w.get(w.url("api", "/"), bearer(token)); a.status != http.StatusUnauthorized || w.hits.Load() != 0 {
					t.Errorf("%d %s", a.status, a.text)
				}
			})
		}
		if kind != "PAT" {
			t.Run("AT-06 "+kind+" as PAT", func(t *testing.T) {
				if a := w.get(permission, bearer(token)); a.status == http.StatusOK || a.status == http.StatusCreated {
					t.Errorf("%d %s", a.status, a.text)
				}
				h := bearer(token)
				h.Set("Content-Type", "application/json")
				if a := w.request(http.MethodPost, permission, `{"resource_id":"x","resource_scopes":["get"]}`, h); a.status != http.StatusUnauthorized && a.get("error") != oauth.CodeInsufficientScope {
					t.Errorf("%d %s", a.status, a.text)
				}
			})
		}
		if kind != "access token" {
			t.Run("AT-06 "+kind+" as subject_token", func(t *testing.T) {
				if a := w.exchange(token, w.url("api", ""), "x", nil); a.status != http.StatusBadRequest || a.get("access_token") != "" {
					t.Errorf("%d %s", a.status, a.text)
				}
			})
		}
		t.Run("AT-06 "+kind+" as claims token", func(t *testing.T) {
			ticket, _ := w.challenged(http.MethodGet, "/")
			w.refused(t, w.redeem(ticket, token, nil), oauth.CodeNeedInfo)
		})
	}
	t.Run("AT-03 RPT at another resource server", func(t *testing.T) {
		if a := w.get(w.url("other", "/"), bearer(tokens["RPT"])); a.status != http.StatusUnauthorized {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("AT-03 RPT at its own", func(t *testing.T) {
		if a := w.get(w.url("api", "/"), bearer(tokens["RPT"])); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

func TestSEC_22_Log(t *testing.T) {
	w := example(t)
	secrets := w.tokens()
	w.get(w.url("api", "/"), bearer(secrets["RPT"]))
	w.get(w.url("api", "/"), bearer(flip(secrets["RPT"])))
	w.redeem(secrets["ticket"], secrets["claims token"], nil)
	w.redeem(flip(secrets["ticket"]), secrets["claims token"], nil)
	w.exchange(flip(secrets["access token"]), w.url("api", ""), secrets["ticket"], nil)
	ticket, _ := w.challenged(http.MethodGet, "/")
	w.redeem(ticket, secrets["claims token"], nil)
	secrets["refused ticket"], secrets["client secret"], secrets["password"] = ticket, apiSecret, "bob-demo"
	text, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil || !strings.Contains(string(text), "uma.audit") {
		t.Fatalf("no log with an audit line: %v", err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.Contains(line, `"msg":"adjusted config"`) {
			continue // Caddy's own: at DEBUG it prints the configuration, literal secrets included
		}
		for name, secret := range secrets {
			if strings.Contains(line, secret) {
				t.Errorf("%s in the log: %.300s", name, line)
			}
		}
		if strings.Contains(line, "bob@bob.localhost") && !strings.Contains(line, `"logger":"uma.audit"`) {
			t.Errorf("the address outside uma.audit: %.300s", line)
		}
	}
}
