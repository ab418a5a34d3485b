package integration_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// relyingParty is zitadel's client at the embedded provider.
func (w *world) relyingParty(redirect, nonce string, scopes ...string) rp.RelyingParty {
	w.t.Helper()
	key := []byte("0123456789abcdef0123456789abcdef")
	party, err := rp.NewRelyingPartyOIDC(w.t.Context(), w.url("bob", ""), "caddy-uma", "", redirect, scopes,
		rp.WithHTTPClient(w.client), rp.WithPKCE(httphelper.NewCookieHandler(key, key)),
		rp.WithVerifierOpts(rp.WithNonce(func(context.Context) string { return nonce })))
	if err != nil {
		w.t.Fatal(err)
	}
	return party
}

// authorized logs bob in at the page that a client's authorization URL leads to,
// and gives the code.
func (w *world) authorized(page, redirect string, got <-chan url.Values) string {
	w.t.Helper()
	w.followLogin(page)
	select {
	case query := <-got:
		if query.Get("code") == "" {
			w.t.Fatalf("redirect to %s with %v", redirect, query)
		}
		return query.Get("code")
	case <-time.After(20 * time.Second):
		w.t.Fatal("the browser was not sent back")
		return ""
	}
}

// TestOD_10_Zitadel: a client that somebody else wrote logs in at the embedded
// provider by what its metadata says, and so does go-oidc.
func TestOD_10_Zitadel(t *testing.T) {
	w := example(t)
	redirect, got := callback(t)
	party := w.relyingParty(redirect, "nonce-1", zoidc.ScopeOpenID, zoidc.ScopeEmail, zoidc.ScopeProfile, zoidc.ScopeOfflineAccess)
	page := rp.AuthURL("state-1", party, rp.WithCodeChallenge(s256(verifier)), rp.AuthURLOpt(rp.WithURLParam("nonce", "nonce-1")))
	code := w.authorized(page, redirect, got)

	tokens, err := rp.CodeExchange[*zoidc.IDTokenClaims](t.Context(), code, party, rp.WithCodeVerifier(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if tokens.IDTokenClaims.Email != "bob@bob.localhost" || !bool(tokens.IDTokenClaims.EmailVerified) || tokens.RefreshToken == "" {
		t.Fatalf("ID token of %q, refresh token %t", tokens.IDTokenClaims.Email, tokens.RefreshToken != "")
	}
	t.Run("OD-10 a code works once", func(t *testing.T) {
		other := w.authorized(page, redirect, got)
		if _, err := rp.CodeExchange[*zoidc.IDTokenClaims](t.Context(), other, party, rp.WithCodeVerifier(verifier+"x")); err == nil {
			t.Error("a code with another verifier was redeemed")
		}
	})
	t.Run("OD-10 userinfo", func(t *testing.T) {
		subject := tokens.IDTokenClaims.Subject
		info, err := rp.Userinfo[*zoidc.UserInfo](t.Context(), tokens.AccessToken, "Bearer", subject, party)
		if err != nil || info.Email != "bob@bob.localhost" || info.Name != "Bob" {
			t.Errorf("%+v, %v", info, err)
		}
		if _, err := rp.Userinfo[*zoidc.UserInfo](t.Context(), tokens.IDToken, "Bearer", subject, party); err == nil {
			t.Error("userinfo takes an ID token")
		}
	})
	t.Run("OD-10 go-oidc", func(t *testing.T) { w.goOIDC(t, tokens) })
	t.Run("OD-10 refresh and revocation", func(t *testing.T) {
		// OpenID Connect Core §12.2: the ID token of a refresh has no nonce.
		party := w.relyingParty(redirect, "", zoidc.ScopeOpenID)
		next, err := rp.RefreshTokens[*zoidc.IDTokenClaims](t.Context(), party, tokens.RefreshToken, "", "")
		if err != nil || next.RefreshToken == tokens.RefreshToken {
			t.Fatalf("refreshed: %v", err)
		}
		if err := rp.RevokeToken(t.Context(), party, next.RefreshToken, "refresh_token"); err != nil {
			t.Fatal(err)
		}
		if _, err := rp.RefreshTokens[*zoidc.IDTokenClaims](t.Context(), party, next.RefreshToken, "", ""); err == nil {
			t.Error("refreshed after it was revoked")
		}
	})
}

// goOIDC verifies the ID token and asks at userinfo by go-oidc.
func (w *world) goOIDC(t *testing.T, tokens *zoidc.Tokens[*zoidc.IDTokenClaims]) {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), w.client)
	provider, err := oidc.NewProvider(ctx, w.url("bob", ""))
	if err != nil {
		t.Fatal(err)
	}
	check := provider.Verifier(&oidc.Config{ClientID: "caddy-uma"})
	idToken, err := check.Verify(ctx, tokens.IDToken)
	if err != nil || idToken.Subject != tokens.IDTokenClaims.Subject || idToken.Nonce != "nonce-1" {
		t.Errorf("%+v, %v", idToken, err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "other"}).Verify(ctx, tokens.IDToken); err == nil {
		t.Error("an ID token for somebody else was taken")
	}
	ticket, _ := w.challenged(http.MethodGet, "/")
	claimsToken := w.exchange(tokens.AccessToken, w.url("api", ""), ticket, nil).get("access_token")
	if claimsToken == "" {
		t.Fatal("no claims token")
	}
	if _, err := check.Verify(ctx, claimsToken); err == nil {
		t.Error("a claims token was taken for an ID token")
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens.Token))
	if err != nil || info.Email != "bob@bob.localhost" || info.Subject != idToken.Subject {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestOD_13_ZitadelDevice: the same client connects a device.
func TestOD_13_ZitadelDevice(t *testing.T) {
	w := example(t)
	party := w.relyingParty("http://127.0.0.1/callback", "", zoidc.ScopeOpenID, zoidc.ScopeEmail)
	device, err := rp.DeviceAuthorization(t.Context(), []string{zoidc.ScopeOpenID, zoidc.ScopeEmail}, party, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := rp.DeviceAccessToken(ctx, device.DeviceCode, 20*time.Millisecond, party); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("before somebody agreed: %v", err)
	}
	w.approveDevice(device.VerificationURIComplete, "allow")
	ctx, cancel = context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	token, err := rp.DeviceAccessToken(ctx, device.DeviceCode, 5*time.Second, party)
	if err != nil || token.AccessToken == "" {
		t.Fatal(err)
	}
	t.Run("OD-13 its token opens the API", func(t *testing.T) { w.opens(t, token.AccessToken) })
	if _, err := rp.DeviceAccessToken(ctx, device.DeviceCode, 5*time.Second, party); err == nil {
		t.Error("a device code was redeemed twice")
	}
}
