package caddysts_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddysts"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const (
	verifier  = "a-code-verifier-of-at-least-43-characters-0123456789"
	challenge = "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c"
)

// post sends a form and decodes the answer.
func post(t *testing.T, h *caddysts.Handler, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://bob.example"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w, passed := serve(t, h, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || passed {
		t.Fatalf("%s: %q, %v, handed on %v", path, w.Body, err, passed)
	}
	return w.Code, body
}

// login logs bob in and gives the code and the tokens.
func login(t *testing.T, h *caddysts.Handler, password string) (code string, tokens map[string]any) {
	t.Helper()
	status, body := post(t, h, "/sts/challenge", url.Values{
		"response_type": {"code"}, "client_id": {"caddy-uma"}, "username": {"bob@bob.example"}, "password": {password}, "scope": {"openid"},
		"code_challenge": {oauth.TicketChallenge(verifier)}, "code_challenge_method": {"S256"},
	})
	code, _ = body["authorization_code"].(string)
	if code == "" {
		return "", map[string]any{"status": status, "answer": body}
	}
	_, tokens = post(t, h, "/sts/token", url.Values{
		"grant_type": {oauth.GrantAuthorizationCode}, "client_id": {"caddy-uma"},
		"code": {code}, "code_verifier": {verifier},
	})
	return code, tokens
}

func exchange(subject string) url.Values {
	return url.Values{
		"grant_type": {oauth.GrantTokenExchange}, "client_id": {"caddy-uma"}, "resource": {"https://api.alice.example"},
		"ticket_challenge": {challenge}, "subject_token": {subject}, "subject_token_type": {oauth.TokenTypeAccessToken},
	}
}

// flipped changes one random character of a token.
func flipped(token string) string {
	i, c := len(token)/2, byte('A')
	if token[i] == c {
		c = 'B'
	}
	return token[:i] + string(c) + token[i+1:]
}

// TestCA_02_AT_06_OnlyAccessTokensAreExchanged walks steps 4 and 5 with the embedded provider.
func TestCA_02_AT_06_OnlyAccessTokensAreExchanged(t *testing.T) {
	h, err := load(context(t), strings.Replace(plain, bcryptHash, argonHash, 1)+
		`,"clients":[{"client_id":"caddy-uma","public":true,"first_party":true},{"client_id":"other","public":true}]`+
		`,"targets":[{"names":["https://api.alice.example"]}]`)
	if err != nil {
		t.Fatal(err)
	}
	if code, refused := login(t, h, "antitimin"); code != "" || refused["status"] != http.StatusForbidden {
		t.Fatalf("wrong password: %v", refused)
	}
	code, tokens := login(t, h, "antitiming")
	access, _ := tokens["access_token"].(string)
	idToken, _ := tokens["id_token"].(string)
	if access == "" || idToken == "" {
		t.Fatalf("tokens = %v", tokens)
	}
	status, body := post(t, h, "/sts/token", exchange(access))
	claimsToken, _ := body["access_token"].(string)
	if status != http.StatusOK || claimsToken == "" || body["token_type"] != "N_A" {
		t.Fatalf("exchange = %d %v", status, body)
	}
	for name, subject := range map[string]string{
		"AT-06 ID token":               idToken,
		"AT-06 claims token":           claimsToken,
		"AT-06 authorization code":     code,
		"AT-06 another access token":   flipped(access),
		"TX-07 access token and space": access + " ",
	} {
		t.Run(name, func(t *testing.T) {
			status, body := post(t, h, "/sts/token", exchange(subject))
			if status != http.StatusBadRequest || body["error"] != oauth.CodeInvalidRequest {
				t.Errorf("exchange = %d %v, want 400 invalid_request", status, body)
			}
		})
	}
	t.Run("CA-13 another client", func(t *testing.T) {
		form := exchange(access)
		form.Set("client_id", "other")
		if status, body := post(t, h, "/sts/token", form); status != http.StatusBadRequest {
			t.Errorf("exchange = %d %v, want 400", status, body)
		}
	})
	for name, grant := range map[string]string{"CA-02 no client_credentials": oauth.GrantClientCredentials, "OA-05 no password grant": "password"} {
		t.Run(name, func(t *testing.T) {
			status, body := post(t, h, "/sts/token", url.Values{"grant_type": {grant}, "client_id": {"caddy-uma"}})
			if status != http.StatusBadRequest || body["error"] != oauth.CodeUnsupportedGrantType {
				t.Errorf("answer = %d %v", status, body)
			}
		})
	}
}
