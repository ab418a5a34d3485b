package op_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/op"
)

// proof is a DPoP proof for an endpoint; token "" = without ath.
func (b *bench) proof(key josetest.Key, method, endpoint, token string) string {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": issuer + "/sts/" + endpoint, "iat": b.clock().Unix()}
	if token != "" {
		claims["ath"] = codeChallenge(token)
	}
	public := key.JWK(nil)
	for _, name := range []string{"kid", "alg", "use"} {
		delete(public, name)
	}
	return key.Sign(map[string]any{"kid": nil, "typ": oauth.TypDPoP, "jwk": public}, claims)
}

func jktOf(t testing.TB, key josetest.Key) string {
	t.Helper()
	text, err := jose.Thumbprint(key.Private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// proven posts to the token endpoint with a proof of a key.
func (b *bench) proven(key josetest.Key, form url.Values) answer {
	b.t.Helper()
	req := b.request(http.MethodPost, "token", form.Encode())
	req.Header.Set("DPoP", b.proof(key, "POST", "token", ""))
	return b.do(req)
}

func TestDP_02_TokenEndpoint(t *testing.T) {
	b := newBench(t, nil)
	code := b.code("scope", offline)
	req := b.request(http.MethodPost, "token", tokenParams(code).Encode())
	req.Header.Set("DPoP", b.proof(bobKey, "POST", "userinfo", ""))
	b.do(req).want(t, 400, "invalid_dpop_proof") // and the code is not spent
	got := b.proven(bobKey, tokenParams(code)).tokens(t)
	if got.TokenType != "DPoP" {
		t.Errorf("token_type = %s", got.TokenType)
	}
	s, err := b.provider.Resolve(t.Context(), got.AccessToken)
	if err != nil || s.JKT != jktOf(t, bobKey) {
		t.Errorf("Resolve() = %+v, %v", s, err)
	}
	// The refresh token of a public client is bound, too (RFC 9449 §5).
	b.post("token", refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
	b.proven(eveKey, refreshParams(got.RefreshToken)).want(t, 400, "invalid_grant")
	got = b.proven(bobKey, refreshParams(got.RefreshToken)).tokens(t)
	if got.TokenType != "DPoP" {
		t.Errorf("refreshed: %s", got.TokenType)
	}
	// From the first proof on.
	plain := b.tokens()
	bound := b.proven(bobKey, refreshParams(plain.RefreshToken)).tokens(t)
	b.post("token", refreshParams(bound.RefreshToken)).want(t, 400, "invalid_grant")
	b.proven(bobKey, refreshParams(bound.RefreshToken)).tokens(t)
}

// A confidential client's refresh token is bound to its credentials; its keys may
// change.
func TestDP_02_ConfidentialClient(t *testing.T) {
	b := newBench(t, nil)
	web := []string{"client_id", "web", "client_secret", webKey}
	got := b.proven(bobKey, tokenParams(b.code("client_id", "web", "scope", offline), web...)).tokens(t)
	got = b.proven(eveKey, refreshParams(got.RefreshToken, web...)).tokens(t)
	if s, err := b.provider.Resolve(t.Context(), got.AccessToken); err != nil || s.JKT != jktOf(t, eveKey) {
		t.Errorf("Resolve() = %+v, %v", s, err)
	}
	if got := b.redeem(refreshParams(got.RefreshToken, web...)); got.TokenType != "Bearer" {
		t.Errorf("without proof: %s", got.TokenType)
	}
}

func TestDP_02_BoundClient(t *testing.T) {
	b := newBench(t, func(c *op.Config) {
		c.Authenticate = func(_ *http.Request, f oauth.Form) (clientauth.Client, error) {
			return clientauth.Client{ID: f.Get("client_id"), Public: true, DPoPBound: true}, nil
		}
	})
	code := b.code("scope", offline)
	b.post("token", tokenParams(code)).want(t, 400, "invalid_dpop_proof")
	b.proven(bobKey, tokenParams(code)).tokens(t)
}

func TestDP_06_ProofReplay(t *testing.T) {
	b := newBench(t, nil)
	token, proof := b.tokens().RefreshToken, b.proof(bobKey, "POST", "token", "")
	for i, want := range []int{200, 400} {
		req := b.request(http.MethodPost, "token", refreshParams(token).Encode())
		req.Header.Set("DPoP", proof)
		a := b.do(req)
		if a.status != want {
			t.Errorf("use %d: %d %s", i, a.status, a.body)
		}
		if want == 200 {
			token = a.tokens(t).RefreshToken
		} else {
			a.want(t, 400, "invalid_dpop_proof")
		}
	}
	b.proven(bobKey, refreshParams(token)).tokens(t)
}
