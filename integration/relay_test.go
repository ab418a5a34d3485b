package integration_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// rqp gives the client of the module, over the test's network.
func (w *world) rqp(user, password string, origins ...string) *rqp.Client {
	w.t.Helper()
	client, err := rqp.New(rqp.Config{
		STS: w.url("bob", ""), HTTPClient: w.client, Network: rqp.Network{Localhost: true}, AllowedOrigins: origins,
		AccessToken: func(context.Context) (string, error) {
			w.asked++
			return w.login(user, password), nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

func (w *world) newRequest(target string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, target, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestCA_43_ModuleClient(t *testing.T) {
	w := example(t)
	t.Run("CA-43 Client.Do", func(t *testing.T) {
		res, err := w.rqp("bob@bob.localhost", "bob-demo").Do(w.newRequest(w.url("api", "/")))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || w.hits.Load() != 1 {
			t.Errorf("%d, %d hits", res.StatusCode, w.hits.Load())
		}
	})
	t.Run("CA-43 Transport", func(t *testing.T) {
		client := &http.Client{Transport: &rqp.Transport{
			Client: w.rqp("bob@bob.localhost", "bob-demo", w.url("api", "")), Base: w.client.Transport,
		}}
		res, err := client.Do(w.newRequest(w.url("api", "/x")))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || w.hits.Load() != 2 {
			t.Errorf("%d, %d hits", res.StatusCode, w.hits.Load())
		}
	})
	t.Run("CA-39 mallory", func(t *testing.T) {
		res, err := w.rqp("mallory@bob.localhost", "mallory-demo").Do(w.newRequest(w.url("api", "/")))
		if err == nil {
			_ = res.Body.Close()
		}
		var step *rqp.StepError
		if !errors.As(err, &step) || step.Step != 6 || step.Code != oauth.CodeRequestDenied || step.DecisionID == "" {
			t.Errorf("%v", err)
		}
		if w.hits.Load() != 2 {
			t.Error("the backend was reached")
		}
	})
}

// A malicious resource server answers with a ticket that an honest one gave it,
// to get an RPT for the honest one out of its visitors.
func TestCA_44_RelayedTicket(t *testing.T) {
	w := example(t, "# Alice's API. Whatever", `https://evil.localhost:{$UMA_PORT:8443} {
	tls internal
	@metadata path /.well-known/oauth-protected-resource
	respond @metadata `+"`"+`{"resource":"https://evil.localhost:{$UMA_PORT:8443}","authorization_servers":["https://as.localhost:{$UMA_PORT:8443}"]}`+"`"+` 200 {
		close
	}
	@lie path /lie/.well-known/oauth-protected-resource /.well-known/oauth-protected-resource/lie
	respond @lie `+"`"+`{"resource":"https://api.localhost:{$UMA_PORT:8443}","authorization_servers":["https://as.localhost:{$UMA_PORT:8443}"]}`+"`"+` 200
	header WWW-Authenticate "UMA as_uri=\"https://as.localhost:{$UMA_PORT:8443}\", ticket=\"{http.request.uri.query.t}\""
	respond 401
}

# Alice's API. Whatever`)
	ticket, _ := w.challenged(http.MethodGet, "/")
	for _, path := range []string{"/", "/lie"} {
		t.Run("CA-44 the client at "+path, func(t *testing.T) {
			w.asked = 0
			res, err := w.rqp("bob@bob.localhost", "bob-demo").Do(w.newRequest(w.url("evil", path+"?t="+ticket)))
			if err == nil {
				_ = res.Body.Close()
				t.Fatalf("no error but %d", res.StatusCode)
			}
			var step *rqp.StepError
			if !errors.As(err, &step) || step.Step > 4 {
				t.Errorf("%v", err)
			}
			if path == "/lie" && w.asked != 0 {
				t.Error("the user's access token was asked for")
			}
			if strings.Contains(err.Error(), ticket) {
				t.Error("SEC-22: the ticket is in the error")
			}
		})
	}
	t.Run("CA-14 the STS knows no such target", func(t *testing.T) {
		a := w.exchange(w.login("bob@bob.localhost", "bob-demo"), w.url("evil", ""), ticket, nil)
		if a.get("error") != oauth.CodeInvalidTarget {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// The client is forced: the claims token is made for the liar, and says so.
func TestCA_36_RelayedTicketRefusedByAudience(t *testing.T) {
	w := example(t, "target https://api.localhost:{$UMA_PORT:8443} {", "target https://api.localhost:{$UMA_PORT:8443} https://evil.localhost:{$UMA_PORT:8443} {")
	ticket, _ := w.challenged(http.MethodGet, "/")
	claims := w.claimsToken(w.login("bob@bob.localhost", "bob-demo"), w.url("evil", ""), ticket)
	w.refused(t, w.redeem(ticket, claims, nil), oauth.CodeNeedInfo)
}
