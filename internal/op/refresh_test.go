package op_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

const offline = "openid email offline_access"

var bobKey, eveKey = josetest.NewKey("ES256", ""), josetest.NewKey("ES256", "")

func refreshParams(token string, changes ...string) url.Values {
	return with(url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {token}}, changes...)
}

// tokens are those of a new grant with a refresh token.
func (b *bench) tokens(changes ...string) oauth.TokenResponse {
	b.t.Helper()
	got := b.redeem(tokenParams(b.codeAgain(append([]string{"scope", offline}, changes...)...)))
	if got.RefreshToken == "" {
		b.t.Fatal("no refresh token")
	}
	return got
}

// lives tells whether an access token counts.
func lives(p *op.Provider, token string) bool {
	_, err := p.Resolve(context.Background(), token)
	return err == nil
}

func (a answer) tokens(t testing.TB) oauth.TokenResponse {
	t.Helper()
	var out oauth.TokenResponse
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusOK {
		t.Fatalf("token: %d %s", a.status, a.body)
	}
	return out
}

func TestRefresh(t *testing.T) {
	b := newBench(t, nil)
	first := b.tokens()
	if !strings.HasPrefix(first.RefreshToken, "rt_") || first.Scope != offline {
		t.Fatalf("answer = %+v", first)
	}
	b.pass(time.Hour)
	got := b.redeem(refreshParams(first.RefreshToken))
	if got.RefreshToken == first.RefreshToken || got.AccessToken == first.AccessToken || got.Scope != offline || got.ExpiresIn != 600 {
		t.Errorf("answer = %+v", got)
	}
	// OpenID Connect Core §12.2
	_, was := decode(t, first.IDToken)
	_, claims := decode(t, got.IDToken)
	if claims["sub"] != was["sub"] || claims["auth_time"] != was["auth_time"] || claims["iat"] == was["iat"] || claims["nonce"] != nil {
		t.Errorf("ID token: %v, then %v", was, claims)
	}
	if !lives(b.provider, got.AccessToken) {
		t.Error("the access token does not count")
	}
	if got := b.redeem(tokenParams(b.codeAgain())); got.RefreshToken != "" {
		t.Error("a refresh token without offline_access")
	}
	b.post("token", refreshParams("")).want(t, 400, "invalid_request")
}

func TestRefresh_OfDeviceAndChallenge(t *testing.T) {
	b := newBench(t, nil)
	d := b.newDevice("scope", offline)
	page := b.confirm(d.UserCode)
	b.post("device", url.Values{"request": {page.sealed(t)}, "decision": {"allow"}})
	got := b.poll(d).tokens(t)
	b.redeem(refreshParams(got.RefreshToken))

	a := b.post("challenge", challengeParams("scope", offline))
	var code struct {
		Code string `json:"authorization_code"`
	}
	if err := json.Unmarshal([]byte(a.body), &code); err != nil {
		t.Fatal(err)
	}
	got = b.redeem(tokenParams(code.Code, "client_id", "native", "redirect_uri", ""))
	b.redeem(refreshParams(got.RefreshToken, "client_id", "native"))
}

// Access that lasts is never given without a page (OpenID Connect Core §11).
func TestRefresh_NotSilently(t *testing.T) {
	b := newBench(t, nil)
	b.redeem(tokenParams(b.code("client_id", "web"), "client_id", "web", "client_secret", webKey))
	if v := b.authorize("client_id", "web", "prompt", "none").params(t); v.Get("code") == "" {
		t.Errorf("without offline_access: %v", v)
	}
	if v := b.authorize("client_id", "web", "prompt", "none", "scope", offline).params(t); v.Get("error") != "consent_required" {
		t.Errorf("with offline_access: %v", v)
	}
}

func TestOA_08_RefreshScope(t *testing.T) {
	b := newBench(t, nil)
	token := b.tokens().RefreshToken
	for _, scope := range []string{"openid profile", "admin", `openid "`} {
		b.post("token", refreshParams(token, "scope", scope)).want(t, 400, "invalid_scope")
	}
	less := b.redeem(refreshParams(token, "scope", "email"))
	if less.Scope != "email" || less.IDToken != "" {
		t.Errorf("narrowed: %+v", less)
	}
	if again := b.redeem(refreshParams(less.RefreshToken)); again.Scope != offline {
		t.Errorf("afterwards: %q", again.Scope)
	}
}

func TestOA_08_RefreshOfOtherClient(t *testing.T) {
	b := newBench(t, nil)
	got := b.tokens()
	b.post("token", refreshParams(got.RefreshToken, "client_id", "native")).want(t, 400, "invalid_grant")
	b.post("token", refreshParams(got.RefreshToken, "client_id", "web", "client_secret", webKey)).want(t, 400, "invalid_grant")
	b.redeem(refreshParams(got.RefreshToken)) // that has ended nothing
}

// The second use of a refresh token ends everything of its family.
func TestSEC_15_RefreshReuse(t *testing.T) {
	for name, reuse := range map[string]func(first, second string) string{
		"SEC-15 the one before": func(first, _ string) string { return first },
		"SEC-15 made up":        func(_, second string) string { return second[:len(second)-22] + strings.Repeat("A", 22) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			first := b.tokens()
			second := b.redeem(refreshParams(first.RefreshToken))
			other := b.tokens()
			if !lives(b.provider, first.AccessToken) || !lives(b.provider, second.AccessToken) {
				t.Fatal("before")
			}
			b.post("token", refreshParams(reuse(first.RefreshToken, second.RefreshToken))).want(t, 400, "invalid_grant")
			if lives(b.provider, first.AccessToken) || lives(b.provider, second.AccessToken) {
				t.Error("access tokens outlive the family")
			}
			b.post("token", refreshParams(second.RefreshToken)).want(t, 400, "invalid_grant")
			if !lives(b.provider, other.AccessToken) {
				t.Error("another family has ended")
			}
		})
	}
}

// A code that comes twice ends refresh tokens, too, and all access tokens.
func TestToken_ReplayEndsFamily(t *testing.T) {
	b := newBench(t, nil)
	code := b.code("scope", offline)
	got := b.redeem(tokenParams(code))
	access := []string{got.AccessToken}
	for range 300 { // more than one commit could delete
		got = serveTokens(t, b.provider, refreshParams(got.RefreshToken))
		access = append(access, got.AccessToken)
	}
	b.post("token", tokenParams(code)).want(t, 400, "invalid_grant")
	for _, token := range access {
		if lives(b.provider, token) {
			t.Fatal("an access token lives")
		}
	}
	b.post("token", refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
}

func TestRefresh_Lifetime(t *testing.T) {
	b := newBench(t, func(c *op.Config) { c.RefreshLifetime = time.Hour })
	token := b.tokens().RefreshToken
	b.pass(time.Hour - time.Second)
	got := b.redeem(refreshParams(token))
	b.pass(time.Second)
	b.post("token", refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
	if !lives(b.provider, got.AccessToken) {
		t.Error("the last access token ends with the family")
	}
	b.pass(10 * time.Minute)
	if lives(b.provider, got.AccessToken) {
		t.Error("an expired access token lives")
	}
}

// Nothing of a user who is gone, or who has changed his password, counts; nobody
// panics.
func TestRefresh_UserAndClient(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*op.Config)
		status int
		code   string
	}{
		"user removed":     {func(c *op.Config) { c.Users = c.Users[1:] }, 400, "invalid_grant"},
		"all users gone":   {func(c *op.Config) { c.Users = nil }, 400, "invalid_grant"},
		"another password": {func(c *op.Config) { c.Users = []op.User{{Email: "bob@bob.example", PasswordHash: "hash-new"}} }, 400, "invalid_grant"},
		"client removed":   {func(c *op.Config) { c.Clients = c.Clients[1:] }, 400, "invalid_grant"},
		"client disabled":  {func(c *op.Config) { c.Clients = []op.Client{{ID: "app", Public: true, Disabled: true}} }, 400, "invalid_grant"},
		"none of these":    {func(*op.Config) {}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			got, code := b.tokens(), b.codeAgain("scope", offline)
			p := b.second(tc.change)
			for what, form := range map[string]url.Values{"refresh": refreshParams(got.RefreshToken), "code": tokenParams(code)} {
				if a := serve(p, "token", form); a.status != tc.status || tc.code != "" && a.error(t) != tc.code {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			}
			if lives(p, got.AccessToken) != (tc.status == 200) {
				t.Error("the access token")
			}
		})
	}
}

func TestEndGrants(t *testing.T) {
	b := newBench(t, nil)
	var app []oauth.TokenResponse
	for range 3 {
		app = append(app, b.tokens())
	}
	web := b.redeem(tokenParams(b.codeAgain("client_id", "web"), "client_id", "web", "client_secret", webKey))
	if err := op.EndGrants(b.provider, "bob@bob.example", "app"); err != nil {
		t.Fatal(err)
	}
	for _, got := range app {
		if lives(b.provider, got.AccessToken) {
			t.Error("an access token of the client lives")
		}
		b.post("token", refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
	}
	if !lives(b.provider, web.AccessToken) {
		t.Error("a token of another client has ended")
	}
	for _, user := range []string{"eve@bob.example", "bob@bob.example"} {
		if err := op.EndGrants(b.provider, user, ""); err != nil {
			t.Fatal(err)
		}
		if lives(b.provider, web.AccessToken) != (user == "eve@bob.example") {
			t.Errorf("after the end of all of %s", user)
		}
	}
}

func TestSEC_13_RefreshStoreFails(t *testing.T) {
	b := newBench(t, nil)
	got := b.tokens()
	for name, fail := range map[string][2]error{"read": {errBroken, nil}, "write": {nil, errBroken}} {
		b.store.fail(fail[0], fail[1])
		b.post("token", refreshParams(got.RefreshToken)).want(t, 503, "temporarily_unavailable")
		if a := b.post("revoke", url.Values{"client_id": {"app"}, "token": {got.RefreshToken}}); a.status != 503 {
			t.Errorf("%s: revocation: %d", name, a.status)
		}
		b.store.fail(nil, nil)
	}
	got = b.redeem(refreshParams(got.RefreshToken))
	if !lives(b.provider, got.AccessToken) {
		t.Error("what failed has ended something")
	}
}
