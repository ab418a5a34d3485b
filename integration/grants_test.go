package integration_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// What comes of a ticket at the end of its life: reference tokens, introspection,
// revocation, refresh tokens, upgrades and persisted claims.
func TestGrants(t *testing.T) {
	v := withVault(t, "refresh_tokens\n\t\tpct\n\t\t")
	access := v.login("bob@bob.localhost", "bob-demo")
	one, two := v.register("one", "read"), v.register("two", "read", "write")
	fresh := func(id string) (answer, string) {
		t.Helper()
		a := v.granted(access, v.ticket(id, "read"), nil)
		return a, a.get("access_token")
	}

	t.Run("an opaque RPT", func(t *testing.T) {
		_, rpt := fresh(one)
		a := v.introspect(rpt)
		groups, _ := a.body["groups"].([]any)
		if a.body["active"] != true || a.get("client_id") != "web" || a.get("aud") != v.url("vault", "") || !slices.Contains(groups, any("staff")) {
			t.Errorf("%s", a.text)
		}
		if list := permissions(a); len(list) != 1 || list[one] != "read" || len(rpt) > 60 {
			t.Errorf("%v for %s", list, a.text)
		}
	})
	t.Run("an opaque RPT's neighbours", func(t *testing.T) {
		_, rpt := fresh(one)
		api := *v
		api.pat = v.world.pat("as", "api", apiSecret)
		if api.active(rpt) || v.active(flip(rpt)) || v.active(access) || !v.active(rpt) {
			t.Error("another resource server, another token")
		}
	})
	t.Run("without a PAT", func(t *testing.T) {
		_, rpt := fresh(one)
		a := v.introspect(rpt, func(r *http.Request) { r.Header.Del("Authorization") })
		if a.status != http.StatusUnauthorized || a.body["active"] != nil {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("signed answer", func(t *testing.T) {
		_, rpt := fresh(one)
		a := v.introspect(rpt, func(r *http.Request) { r.Header.Set("Accept", oauth.MediaTypeIntrospection) })
		var c struct {
			Issuer string         `json:"iss"`
			Aud    string         `json:"aud"`
			Answer map[string]any `json:"token_introspection"`
		}
		typ, err := v.verify(a.text, &c)
		if err != nil || typ != oauth.TypIntrospection || c.Issuer != v.url("as", "") || c.Aud != v.url("vault", "") || c.Answer["active"] != true {
			t.Errorf("%v %s %+v", err, typ, c)
		}
		if _, err := v.verify(flip(a.text), &c); err == nil {
			t.Error("a changed answer verifies")
		}
	})
	t.Run("OA-15 revocation by the client", func(t *testing.T) {
		_, rpt := fresh(one)
		v.revoke(rpt, basic("api", apiSecret))
		if !v.active(rpt) {
			t.Error("another client revoked it")
		}
		if v.revoke(rpt, basic("web", webSecret)); v.active(rpt) {
			t.Error("it is revoked and active")
		}
	})
	t.Run("a PAT that is revoked", func(t *testing.T) {
		_, rpt := fresh(one)
		old := v.pat
		if v.revoke(old, basic("web", webSecret)); !v.active(rpt) {
			t.Error("another client revoked the PAT")
		}
		v.revoke(old, basic("vault", vaultSecret))
		if a := v.introspect(rpt); a.status != http.StatusUnauthorized || a.body["active"] != nil {
			t.Errorf("%d %s", a.status, a.text)
		}
		if v.pat = v.world.pat("as", "vault", vaultSecret); !v.active(rpt) {
			t.Error("the RPT died with a PAT")
		}
	})
	t.Run("UG-38 UG-40 upgrade", func(t *testing.T) {
		_, old := fresh(one)
		a := v.granted(access, v.ticket(two, "read"), map[string]string{"rpt": flip(old)})
		if a.body["upgraded"] != nil || len(permissions(v.introspect(a.get("access_token")))) != 1 || !v.active(old) {
			t.Errorf("a foreign text is an RPT: %s", a.text)
		}
		a = v.granted(access, v.ticket(two, "read"), map[string]string{"rpt": old})
		all := permissions(v.introspect(a.get("access_token")))
		if a.body["upgraded"] != true || all[one] != "read" || all[two] != "read" || v.active(old) {
			t.Errorf("%s %v", a.text, all)
		}
	})
	t.Run("SEC-15 refresh tokens over a reload", func(t *testing.T) {
		a, _ := fresh(one)
		first := a.get("refresh_token")
		second := v.refresh(first)
		v.reload()
		v.await()
		third := v.refresh(second.get("refresh_token"))
		if third.status != http.StatusOK || !v.active(third.get("access_token")) || third.get("refresh_token") == second.get("refresh_token") {
			t.Fatalf("%d %s, %d %s", second.status, second.text, third.status, third.text)
		}
		// The first one is in nobody's hands any more but a thief's: the family ends.
		if a := v.refresh(first); a.get("error") != oauth.CodeInvalidGrant {
			t.Errorf("%d %s", a.status, a.text)
		}
		if v.active(third.get("access_token")) || v.refresh(third.get("refresh_token")).status == http.StatusOK {
			t.Error("the family lives")
		}
	})
}

// Persisted claims are enough where a policy says so, for the client
// that they were issued to.
func TestUG_57_PCT(t *testing.T) {
	v := withVault(t, "pct\n\t\t")
	access := v.login("bob@bob.localhost", "bob-demo")
	id := v.register("one", "read")
	pct := v.granted(access, v.ticket(id, "read"), nil).get("pct")
	alone := map[string]string{"pct": pct}
	if pct == "" {
		t.Fatal("no PCT")
	}
	t.Run("A18 no policy accepts it", func(t *testing.T) {
		if a := v.asWeb(v.ticket(id, "read"), "", alone); a.get("error") != oauth.CodeNeedInfo || a.get("ticket") == "" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	v.edit("policy vault {", "policy vault {\n\t\t\taccept_pct")
	t.Run("accept_pct, after a reload", func(t *testing.T) {
		if a := v.asWeb(v.ticket(id, "read"), "", alone); a.status != http.StatusOK || !v.active(a.get("access_token")) {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("UG-57 another client", func(t *testing.T) {
		form := map[string]string{"claim_token_format": "", "pct": pct}
		v.refused(t, v.redeem(v.ticket(id, "read"), "", form), oauth.CodeNeedInfo)
		form["client_id"] = ""
		v.refused(t, v.redeem(v.ticket(id, "read"), "", form, basic("desk", webSecret)), oauth.CodeNeedInfo)
	})
	t.Run("revoked", func(t *testing.T) {
		v.revoke(pct, basic("web", webSecret))
		v.refused(t, v.asWeb(v.ticket(id, "read"), "", alone), oauth.CodeNeedInfo)
	})
}

// verify checks a JWT of the authorization server with the keys it publishes.
func (w *world) verify(text string, claims any) (typ string, err error) {
	w.t.Helper()
	meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil)
	keys, err := jose.ParseJWKS([]byte(w.get(meta.get("jwks_uri"), nil).text))
	if err != nil {
		w.t.Fatal(err)
	}
	token, err := jose.Parse(text, 1<<16)
	if err != nil {
		return "", err
	}
	return token.Header.Typ, token.Verify(w.t.Context(), keys, jose.DefaultAlgs(), claims)
}

// permissions gives the first scope of each resource in an introspection answer.
func permissions(a answer) map[string]string {
	list, _ := a.body["permissions"].([]any)
	all := map[string]string{}
	for _, entry := range list {
		p, _ := entry.(map[string]any)
		id, _ := p["resource_id"].(string)
		scopes, _ := p["resource_scopes"].([]any)
		if len(scopes) > 0 {
			all[id], _ = scopes[0].(string)
		}
	}
	return all
}
