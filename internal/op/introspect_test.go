package op_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/op"
)

const inactive = `{"active":false}`

// as is a form about a token from the confidential client web.
func asWeb(token string, changes ...string) url.Values {
	return with(url.Values{"client_id": {"web"}, "client_secret": {webKey}, "token": {token}}, changes...)
}

func TestIntrospect(t *testing.T) {
	b := newBench(t, nil)
	web := []string{"client_id", "web", "client_secret", webKey}
	now := float64(b.clock().Unix())
	got := b.proven(bobKey, tokenParams(b.code("client_id", "web", "scope", offline), web...)).tokens(t)
	_, id := decode(t, got.IDToken)
	want := map[string]any{
		"active": true, "iss": issuer, "aud": issuer, "sub": id["sub"], "client_id": "web", "scope": offline,
		"iat": now, "exp": now + 600, "auth_time": now, "token_type": "DPoP", "cnf": map[string]any{"jkt": jktOf(t, bobKey)},
	}
	a := b.post("introspect", asWeb(got.AccessToken))
	if diff := cmp.Diff(want, a.object(t)); diff != "" || a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("access token: %d %s", a.status, diff)
	}
	want["exp"] = now + 30*24*3600
	delete(want, "token_type")
	delete(want, "cnf") // a confidential client's refresh token is not bound
	for _, hint := range []string{"", "access_token", "nonsense"} {
		if diff := cmp.Diff(want, b.post("introspect", asWeb(got.RefreshToken, "token_type_hint", hint)).object(t)); diff != "" {
			t.Errorf("refresh token, hint %q: %s", hint, diff)
		}
	}
	// Another client's access token, as a resource server sees it.
	bearer := b.tokens()
	if o := b.post("introspect", asWeb(bearer.AccessToken)).object(t); o["active"] != true || o["token_type"] != "Bearer" || o["client_id"] != "app" || o["cnf"] != nil {
		t.Errorf("bearer: %v", o)
	}
}

func TestOA_11_Inactive(t *testing.T) {
	b := newBench(t, nil)
	got := b.tokens()
	next := b.redeem(refreshParams(got.RefreshToken))
	revoked := b.redeem(tokenParams(b.codeAgain())).AccessToken
	b.post("revoke", url.Values{"client_id": {"app"}, "token": {revoked}})
	for name, token := range map[string]string{
		"OA-11 unknown": strings.Repeat("A", 43), "OA-11 revoked": revoked, "OA-11 another client's refresh token": next.RefreshToken,
		"OA-11 an old refresh token": got.RefreshToken, "OA-11 ID token": got.IDToken, "garbage": "garbage !",
	} {
		if a := b.post("introspect", asWeb(token)); a.body != inactive || a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	b.redeem(refreshParams(next.RefreshToken)) // to ask for an old one ends nothing
	gone := b.second(func(c *op.Config) { c.Users = c.Users[1:] })
	if a := serve(gone, "introspect", asWeb(next.AccessToken)); a.body != inactive {
		t.Errorf("user removed: %s", a.body)
	}
	b.pass(10 * time.Minute)
	if a := b.post("introspect", asWeb(next.AccessToken)); a.body != inactive {
		t.Errorf("OA-11 expired: %s", a.body)
	}
}

func TestIntrospect_WhoMayAsk(t *testing.T) {
	b := newBench(t, nil)
	token := b.redeem(tokenParams(b.code())).AccessToken
	b.post("introspect", url.Values{"client_id": {"app"}, "token": {token}}).want(t, 401, "invalid_client")
	b.post("introspect", url.Values{"token": {token}}).want(t, 400, "invalid_request")
	b.post("introspect", asWeb(token, "client_secret", "wrong")).want(t, 401, "invalid_client")
	b.post("introspect", asWeb("")).want(t, 400, "invalid_request")
	if a := b.get("introspect?" + asWeb(token).Encode()); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.status)
	}
	b.store.fail(errBroken, nil)
	b.post("introspect", asWeb(token)).want(t, 503, "temporarily_unavailable")
	b.post("introspect", asWeb("rt_"+strings.Repeat("A", 86))).want(t, 503, "temporarily_unavailable")
}

func TestOA_15_Revoke(t *testing.T) {
	b := newBench(t, nil)
	revoke := func(token string, changes ...string) answer {
		return b.post("revoke", with(url.Values{"client_id": {"app"}, "token": {token}}, changes...))
	}
	got := b.tokens()
	for name, a := range map[string]answer{
		"OA-15 another client, access token":  revoke(got.AccessToken, "client_id", "native"),
		"OA-15 another client, refresh token": b.post("revoke", asWeb(got.RefreshToken)),
		"OA-15 unknown":                       revoke(strings.Repeat("A", 43)),
		"OA-15 garbage":                       revoke("garbage !"),
		"an ID token":                         revoke(got.IDToken),
		"a refresh token of nothing":          revoke("rt_" + strings.Repeat("A", 86)),
	} {
		if a.status != 200 || a.body != "" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if !lives(b.provider, got.AccessToken) {
		t.Fatal("somebody else has revoked it")
	}
	revoke(got.AccessToken, "token_type_hint", "refresh_token")
	if lives(b.provider, got.AccessToken) {
		t.Error("OA-16: a wrong hint prevents the look-up")
	}
	got = b.redeem(refreshParams(got.RefreshToken)) // the refresh token goes on
	revoke(got.RefreshToken, "token_type_hint", "access_token")
	if lives(b.provider, got.AccessToken) {
		t.Error("OA-16: the access token outlives its refresh token")
	}
	b.post("token", refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
	revoke("").want(t, 400, "invalid_request")
	b.post("revoke", url.Values{"token": {"x"}}).want(t, 400, "invalid_request")
	if a := b.get("revoke"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", a.status)
	}
	// A token that was replaced ends the family, too.
	first := b.tokens()
	second := b.redeem(refreshParams(first.RefreshToken))
	revoke(first.RefreshToken)
	if lives(b.provider, second.AccessToken) {
		t.Error("an old refresh token revokes nothing")
	}
}

// Whatever is no access token is none anywhere, be it sealed or signed with our
// own keys.
func TestCA_13_NoAccessToken(t *testing.T) {
	b := newBench(t, nil)
	got := b.tokens()
	unspent := b.codeAgain()
	forged := map[string]string{
		"CA-13 ID token": got.IDToken, "CA-13 refresh token": got.RefreshToken, "CA-13 refresh token without prefix": got.RefreshToken[3:],
		"CA-13 code": unspent, "CA-13 random": strings.Repeat("B", 43), "CA-13 page": b.authorize().sealed(t), "CA-13 access token, padded": got.AccessToken + "=",
		"CA-13 device code": b.newDevice().DeviceCode, "CA-13 hash of an access token": codeChallenge(got.AccessToken),
	}
	claims := map[string]any{
		"iss": issuer, "sub": "x", "aud": issuer, "client_id": "app", "scope": "openid", "exp": b.clock().Unix() + 600, "iat": b.clock().Unix(), "jti": got.AccessToken,
	}
	for _, typ := range []string{"at+jwt", "JWT", "claims+jwt"} {
		token, err := b.idTokens.Sign(t.Context(), typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		forged["CA-13 signed with our key, typ "+typ] = token
	}
	for _, data := range []string{"op access token", "op login page", "op device code"} {
		text, err := op.SealAs(b.provider, `{"user":"bob@bob.example","client":"app","scope":"openid"}`, data, issuer)
		if err != nil {
			t.Fatal(err)
		}
		forged["CA-13 sealed with our key, "+data] = text
	}
	for name, token := range forged {
		t.Run(name, func(t *testing.T) {
			if lives(b.provider, token) {
				t.Error("Resolve takes it")
			}
			for _, scheme := range []string{"Bearer ", "DPoP "} {
				if a := b.ask("GET", "userinfo", scheme+token, b.proof(bobKey, "GET", "userinfo", token)); a.status != 401 {
					t.Errorf("userinfo: %d", a.status)
				}
			}
			if a := b.post("introspect", asWeb(token)); a.body != inactive {
				t.Errorf("introspection: %s", a.body)
			}
			if strings.HasPrefix(token, "rt_") {
				return
			}
			b.post("token", refreshParams(token)).want(t, 400, "invalid_grant")
			if a := b.post("revoke", url.Values{"client_id": {"app"}, "token": {token}}); a.status != 200 || !lives(b.provider, got.AccessToken) {
				t.Errorf("revocation: %d, or it ends something", a.status)
			}
		})
	}
	b.post("token", refreshParams(got.AccessToken)).want(t, 400, "invalid_grant")
	b.redeem(refreshParams(got.RefreshToken)) // all that has ended nothing
	b.redeem(tokenParams(unspent))
}
