package uma_test

import (
	"net/http"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
)

// registeredGrant gives a registered client an RPT.
func (b *bench) registeredGrant(who func(*http.Request)) reply {
	b.t.Helper()
	ticket := b.fresh()
	res := b.token(map[string]string{
		"grant_type": oauth.GrantUMATicket, "ticket": ticket,
		"claim_token": b.sign(b.claims(ticket, nil)), "claim_token_format": oauth.ClaimTokenFormatJWT,
	}, who)
	if res.status != http.StatusOK {
		b.t.Fatalf("%d %s", res.status, res.text)
	}
	return res
}

// OA-24: what was issued to a client dies with it.
func TestOA_24_DeletedClient(t *testing.T) {
	b := registering(t, refreshing)
	client := b.signUp(members{"grant_types": []string{oauth.GrantUMATicket, oauth.GrantRefreshToken}})
	who := basic(client.get("client_id"), client.get("client_secret"))
	res := b.registeredGrant(who)
	if !b.active(res.get("access_token")) || res.get("refresh_token") == "" {
		t.Fatalf("%s", res.text)
	}
	pat := b.pat("api")
	b.faulty.FailBefore(func(c storetest.Call) bool { return c.Method == "Get" && c.Key.Kind == "client" })
	if got := b.send("introspect", map[string]string{"token": res.get("access_token")}, bearer(pat)); got.status != 503 {
		t.Errorf("the client cannot be looked up: %d %s", got.status, got.text)
	}
	b.faulty.Repair()
	if got := b.manage(http.MethodDelete, client.get("client_id"), client.get("registration_access_token"), ""); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.text)
	}
	if b.active(res.get("access_token")) {
		t.Error("the RPT is active")
	}
	if got := b.token(map[string]string{"grant_type": "refresh_token", "refresh_token": res.get("refresh_token")}, who); got.code() != "invalid_client" {
		t.Errorf("%d %s", got.status, got.text)
	}
	t.Run("a client that did not register for refresh tokens gets none", func(t *testing.T) {
		client := b.signUp(members{"grant_types": umaGrant})
		if res := b.registeredGrant(basic(client.get("client_id"), client.get("client_secret"))); res.body["refresh_token"] != nil {
			t.Errorf("%s", res.text)
		}
	})
}

// OA-15: an access token of a client for itself.
func TestOA_15_AccessToken(t *testing.T) {
	b := registering(t)
	client := b.signUp(members{"grant_types": []string{"client_credentials"}, "scope": "print"})
	who := basic(client.get("client_id"), client.get("client_secret"))
	token := b.token(map[string]string{"grant_type": "client_credentials"}, who).get("access_token")
	status := func() int { return b.call(token, http.MethodGet, "resource", "").status }
	if b.introspect(token).text != inactive {
		t.Error("AT-06 it is an RPT")
	}
	if b.revoke(token); status() != http.StatusForbidden {
		t.Error("another client revoked it")
	}
	if got := b.send("revoke", map[string]string{"token": token}, who); got.status != 200 || status() != http.StatusUnauthorized {
		t.Errorf("%d, then %d", got.status, status())
	}
}
