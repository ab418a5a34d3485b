package op_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/op"
)

// ask asks an endpoint that takes an access token.
func (b *bench) ask(method, endpoint, authorization string, proof ...string) answer {
	b.t.Helper()
	req := b.request(method, endpoint, "")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	req.Header["Dpop"] = proof
	return b.do(req)
}

func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return out
}

func TestUserinfo_Claims(t *testing.T) {
	b := newBench(t, func(c *op.Config) {
		c.Users[0].Claims = map[string]any{"name": "Bob", "groups": []string{"staff"}, "secret": "x", "phone_number": "+1"}
	})
	for scope, want := range map[string]map[string]any{
		"openid":         {},
		"openid email":   {"email": "Bob@Bob.example", "email_verified": true},
		"openid profile": {"name": "Bob"},
		"openid groups":  {"groups": []any{"staff"}},
		"openid email profile groups offline_access": {
			"email": "Bob@Bob.example", "email_verified": true, "name": "Bob", "groups": []any{"staff"},
		},
	} {
		got := b.redeem(tokenParams(b.codeAgain("scope", scope)))
		_, id := decode(t, got.IDToken)
		want["sub"] = id["sub"]
		for _, method := range []string{"GET", "POST"} {
			a := b.ask(method, "userinfo", "Bearer "+got.AccessToken)
			if diff := cmp.Diff(want, a.object(t)); diff != "" || a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, scope %s: %d %s", method, scope, a.status, diff)
			}
		}
	}
	if a := b.ask("PUT", "userinfo", ""); a.status != 405 {
		t.Errorf("PUT: %d", a.status)
	}
}

// What a refresh has left out is not told.
func TestUserinfo_NarrowedScope(t *testing.T) {
	b := newBench(t, nil)
	got := b.redeem(refreshParams(b.tokens().RefreshToken, "scope", "openid"))
	if _, told := b.ask("GET", "userinfo", "Bearer "+got.AccessToken).object(t)["email"]; told {
		t.Error("the address is told")
	}
}

func TestUserinfo_Refuses(t *testing.T) {
	b := newBench(t, nil)
	good := b.redeem(tokenParams(b.code())).AccessToken
	bare := b.redeem(tokenParams(b.codeAgain("scope", "email"))).AccessToken
	for name, tc := range map[string]struct {
		authorization string
		status        int
		challenge     string
	}{
		"nothing":               {"", 401, `Bearer realm="userinfo"`},
		"another scheme":        {"Basic eDp5", 401, `Bearer realm="userinfo"`},
		"scheme alone":          {"Bearer", 401, `Bearer realm="userinfo"`},
		"unknown":               {"Bearer " + strings.Repeat("A", 43), 401, `Bearer realm="userinfo", error="invalid_token"`},
		"bearer token as DPoP":  {"DPoP " + good, 401, `Bearer realm="userinfo", error="invalid_token"`},
		"without scope openid":  {"Bearer " + bare, 403, `Bearer realm="userinfo", error="insufficient_scope", scope="openid"`},
		"in lower case is good": {"bearer " + good, 200, ""},
	} {
		a := b.ask("GET", "userinfo", tc.authorization)
		if a.status != tc.status || a.header.Get("WWW-Authenticate") != tc.challenge {
			t.Errorf("%s: %d, WWW-Authenticate %q", name, a.status, a.header.Values("WWW-Authenticate"))
		}
	}
	// CONFORMANCE OA-09: the header alone.
	if a := b.get("userinfo?access_token=" + good); a.status != 401 {
		t.Errorf("in the query: %d", a.status)
	}
	if a := serveBody(b.provider, "userinfo", "access_token="+good); a.status != 401 {
		t.Errorf("in the form: %d", a.status)
	}
	req := b.request("GET", "userinfo", "")
	req.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
	b.do(req).want(t, 400, "invalid_request")
	b.store.fail(errBroken, nil)
	b.ask("GET", "userinfo", "Bearer "+good).want(t, 503, "temporarily_unavailable")
	b.store.fail(nil, nil)
	b.pass(10 * time.Minute)
	b.ask("GET", "userinfo", "Bearer "+good).want(t, 401, "invalid_token")
}

func TestDP_03_Userinfo(t *testing.T) {
	b := newBench(t, nil)
	token := b.proven(bobKey, tokenParams(b.code())).tokens(t).AccessToken
	good := b.proof(bobKey, "GET", "userinfo", token)
	if a := b.ask("GET", "userinfo", "DPoP "+token, good); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for name, tc := range map[string]struct {
		scheme string
		proofs []string
		code   string
	}{
		"DP-04 as Bearer":            {"Bearer ", nil, "invalid_token"},
		"DP-04 as Bearer with proof": {"Bearer ", []string{b.proof(bobKey, "GET", "userinfo", token)}, "invalid_token"},
		"DP-03 without proof":        {"DPoP ", nil, "invalid_dpop_proof"},
		"DP-03 another key":          {"DPoP ", []string{b.proof(eveKey, "GET", "userinfo", token)}, "invalid_dpop_proof"},
		"DP-03 without ath":          {"DPoP ", []string{b.proof(bobKey, "GET", "userinfo", "")}, "invalid_dpop_proof"},
		"DP-03 ath of another":       {"DPoP ", []string{b.proof(bobKey, "GET", "userinfo", token+"x")}, "invalid_dpop_proof"},
		"another method":             {"DPoP ", []string{b.proof(bobKey, "POST", "userinfo", token)}, "invalid_dpop_proof"},
		"another endpoint":           {"DPoP ", []string{b.proof(bobKey, "GET", "token", token)}, "invalid_dpop_proof"},
		"used before":                {"DPoP ", []string{good}, "invalid_dpop_proof"},
		"two proofs":                 {"DPoP ", []string{b.proof(bobKey, "GET", "userinfo", token), "x"}, "invalid_dpop_proof"},
	} {
		t.Run(name, func(t *testing.T) {
			a := b.ask("GET", "userinfo", tc.scheme+token, tc.proofs...)
			a.want(t, 401, tc.code)
			if all := strings.Join(a.header.Values("WWW-Authenticate"), ", "); !strings.Contains(all, `DPoP algs="`) ||
				!strings.Contains(all, `error="`+tc.code+`"`) {
				t.Errorf("WWW-Authenticate: %s", all)
			}
		})
	}
}

func TestSEC_23_CORS(t *testing.T) {
	b := newBench(t, nil)
	for endpoint, open := range map[string]bool{"userinfo": true, "revoke": true, "introspect": false, "challenge": false} {
		a := b.ask(http.MethodOptions, endpoint, "")
		if got := a.header.Get("Access-Control-Allow-Origin") == "*"; got != open || open && a.status != 204 {
			t.Errorf("%s: %d, open = %v", endpoint, a.status, got)
		}
		if a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials of the browser are allowed", endpoint)
		}
	}
	b.provider = b.second(func(c *op.Config) { c.NoCORS = true })
	if a := serveBody(b.provider, "userinfo", ""); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS is off")
	}
}
