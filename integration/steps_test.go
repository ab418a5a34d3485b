package integration_test

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// The client by hand: each step of the diagram is one function, so that tests
// can change what it sends. caddyuma/rqp is tested beside it.

const verifier = "a-code-verifier-of-43-characters-or-more-0123456789"

func s256(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// login gets an access token at the authorization challenge endpoint.
func (w *world) login(user, password string) string {
	w.t.Helper()
	return w.loginAnswer(user, password).get("access_token")
}

func (w *world) loginAnswer(user, password string) answer {
	w.t.Helper()
	meta := w.get(w.url("bob", "/.well-known/openid-configuration"), nil)
	code := w.post(meta.get("authorization_challenge_endpoint"), map[string]string{
		"client_id": "caddy-uma", "response_type": "code", "scope": "openid email profile",
		"username": user, "password": password,
		"code_challenge": s256(verifier), "code_challenge_method": "S256",
	})
	token := w.post(meta.get("token_endpoint"), map[string]string{
		"grant_type": "authorization_code", "client_id": "caddy-uma",
		"code": code.get("authorization_code"), "code_verifier": verifier,
	})
	if token.get("access_token") == "" {
		w.t.Fatalf("login: %d %s, then %d %s", code.status, code.text, token.status, token.text)
	}
	return token
}

// challenged does steps 1 and 2: a request without a token, the 401.
func (w *world) challenged(method, path string) (ticket string, a answer) {
	w.t.Helper()
	a = w.request(method, w.url("api", path), "", nil)
	challenges, err := oauth.ParseChallenges(a.header.Values("WWW-Authenticate"))
	if err != nil || a.status != http.StatusUnauthorized || len(challenges) == 0 || challenges[0].Scheme != "UMA" {
		w.t.Fatalf("step 2: %d %v %s", a.status, a.header, a.text)
	}
	return challenges[0].Get("ticket"), a
}

// exchange does steps 3 to 5.
func (w *world) exchange(accessToken, resource, ticket string, edits map[string]string) answer {
	w.t.Helper()
	meta := w.get(w.url("bob", "/.well-known/openid-configuration"), nil)
	form := map[string]string{
		"grant_type": oauth.GrantTokenExchange, "client_id": "caddy-uma", "resource": resource,
		"ticket_challenge": s256(ticket), "subject_token": accessToken,
		"subject_token_type": oauth.TokenTypeAccessToken, "requested_token_type": oauth.TokenTypeJWT,
	}
	maps.Copy(form, edits)
	return w.post(meta.get("token_endpoint"), form)
}

// redeem does steps 6 and 7.
func (w *world) redeem(ticket, claimsToken string, edits map[string]string, more ...func(*http.Request)) answer {
	w.t.Helper()
	return w.redeemAt("as", ticket, claimsToken, edits, more...)
}

func (w *world) redeemAt(as, ticket, claimsToken string, edits map[string]string, more ...func(*http.Request)) answer {
	w.t.Helper()
	meta := w.get(w.url(as, "/.well-known/uma2-configuration"), nil)
	form := map[string]string{
		"grant_type": oauth.GrantUMATicket, "client_id": "caddy-uma", "ticket": ticket,
		"claim_token": claimsToken, "claim_token_format": oauth.ClaimTokenFormatJWT,
	}
	maps.Copy(form, edits)
	return w.post(meta.get("token_endpoint"), form, more...)
}

// claimsToken does steps 3 to 5 and must succeed.
func (w *world) claimsToken(accessToken, resource, ticket string) string {
	w.t.Helper()
	a := w.exchange(accessToken, resource, ticket, nil)
	if a.status != http.StatusOK {
		w.t.Fatalf("step 5: %d %s", a.status, a.text)
	}
	return a.get("access_token")
}
