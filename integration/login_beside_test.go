package integration_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// TestLogin_Beside: the security token service issues no access tokens. caddy uma
// login finds the provider by its metadata, logs in there, and the token is made
// for the service.
func TestLogin_Beside(t *testing.T) {
	native := oidcClient{
		ID: "caddy-uma", Method: "none", Type: "native", RedirectURIs: []string{"http://127.0.0.1/callback"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
	}
	w, op, _ := besideWith(t, oidcSettings{Format: "jwt", ClaimsInToken: true}, []oidcClient{native}, "")
	cfg := rqp.LoginConfig{Issuer: w.url("bob", ""), User: "bob@bob.localhost", Network: w.network()}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	browse := func(user string) func(string) {
		return func(address string) {
			if !strings.HasPrefix(address, op+"/") {
				t.Errorf("the browser was sent to %s", address)
			}
			back := w.oidcPages(address, user, "http://127.0.0.1:")
			res, err := (&http.Client{Transport: new(http.Transport)}).Do(w.pageRequest(back, nil))
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
		}
	}
	session, err := rqp.BrowserLogin(ctx, cfg, browse("bob@bob.localhost"))
	if err != nil {
		t.Fatal(err)
	}
	if session.Issuer != w.url("bob", "") || session.Provider != op || session.RefreshToken == "" {
		t.Fatalf("session of %s at %s, refresh token %t", session.Issuer, session.Provider, session.RefreshToken != "")
	}
	t.Run("its token opens the API", func(t *testing.T) { w.opens(t, session.AccessToken) })
	t.Run("renewed", func(t *testing.T) {
		next, err := rqp.Refresh(ctx, cfg, *session)
		if err != nil {
			t.Fatal(err)
		}
		w.opens(t, next.AccessToken)
	})
	t.Run("somebody else", func(t *testing.T) {
		_, err := rqp.BrowserLogin(ctx, cfg, browse("eve@else.example"))
		if err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no device flow there", func(t *testing.T) {
		_, err := rqp.DeviceLogin(ctx, cfg, func(rqp.DevicePrompt) {})
		if err == nil || !strings.Contains(err.Error(), op+" has no login for devices") {
			t.Errorf("error %v", err)
		}
	})
}
