package caddysts_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls" // sources of CAs

	"github.com/caddy-uma/caddy-uma/caddysts"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// beside is a service beside the provider op, which the uma app connects to.
func beside(t *testing.T, op *fakeop.OP, words string) (*caddysts.Handler, error) {
	t.Helper()
	return trusting(t, op, op.PEM(), words)
}

func trusting(t *testing.T, op *fakeop.OP, pem []byte, words string) (*caddysts.Handler, error) {
	t.Helper()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"admin":{"disabled":true,"config":{"persist":false}},"storage":{"module":"file_system","root":%q},`+
		`"apps":{"uma":{"connect_to":{"op.example:443":%q},"store":{"module":"bolt","path":%q}}}}`, dir, op.Addr, filepath.Join(dir, "uma.db"))
	cfg := new(caddy.Config)
	if err := json.Unmarshal([]byte(text), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return load(ctx, fmt.Sprintf(`"issuer":"https://bob.example","email_domains":["bob.example"],"targets":[{"names":["https://api.alice.example"]}],`+
		`"upstreams":[{"issuer":%q,"trust_pool":{"provider":"file","pem_files":[%q]}%s}]`, op.Issuer, ca, words))
}

func newOP(t *testing.T) *fakeop.OP {
	t.Helper()
	return fakeop.New(t, fakeop.Config{Domain: "op.example", OwnCA: true})
}

func subjectToken(op *fakeop.OP, typ string, changes map[string]any) string {
	claims := map[string]any{
		"sub": "bob", "aud": "https://bob.example", "client_id": "caddy-uma", "email": "bob@bob.example", "email_verified": true,
		"name": "Bob", "iat": time.Now().Unix(), "exp": time.Now().Add(50 * time.Second).Unix(),
	}
	maps.Copy(claims, changes)
	return op.Sign(claims, typ)
}

// TestCA_12_CA_19_Beside walks steps 4 and 5 beside somebody else's provider.
func TestCA_12_CA_19_Beside(t *testing.T) {
	op := newOP(t)
	h, err := beside(t, op, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := op.Hits(""); n != 0 {
		t.Errorf("loading made %d requests", n)
	}
	form := exchange(subjectToken(op, "at+jwt", nil))
	form.Set("email", "eve@bob.example") // CA-12
	status, body := post(t, h, "/sts/token", form)
	text, _ := body["access_token"].(string)
	if status != http.StatusOK || text == "" {
		t.Fatalf("exchange = %d %v", status, body)
	}
	token, err := jose.Parse(text, oauth.MaxForm)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Unverified(&claims); err != nil {
		t.Fatal(err)
	}
	exp, _ := claims["exp"].(float64)
	if claims["email"] != "bob@bob.example" || claims["email_verified"] != true || claims["iss"] != "https://bob.example" ||
		claims["name"] != nil || claims["sub"] == "bob" || exp > float64(time.Now().Add(51*time.Second).Unix()) {
		t.Errorf("claims token = %v", claims) // CA-19: it ends with the subject token
	}
	for name, subject := range map[string]string{
		"CA-02 ID token":           subjectToken(op, "JWT", map[string]any{"nonce": "x", "aud": "caddy-uma"}),
		"CA-02 client_credentials": subjectToken(op, "at+jwt", map[string]any{"sub": "caddy-uma"}),
		"CA-13 other client":       subjectToken(op, "at+jwt", map[string]any{"client_id": "other"}),
		"CA-13 other audience":     subjectToken(op, "at+jwt", map[string]any{"aud": "https://api.alice.example"}),
		"CA-13 two audiences":      subjectToken(op, "at+jwt", map[string]any{"aud": []string{"https://bob.example", "x"}}),
		"CA-17 other domain":       subjectToken(op, "at+jwt", map[string]any{"email": "bob@alice.example"}),
		"TX-07 forged":             op.Forge(map[string]any{"sub": "bob"}, "at+jwt"),
		"TX-07 foreign issuer":     subjectToken(op, "at+jwt", map[string]any{"iss": "https://eve.example"}),
		"TX-07 opaque":             "opaque",
	} {
		t.Run(name, func(t *testing.T) {
			status, body := post(t, h, "/sts/token", exchange(subject))
			if status != http.StatusBadRequest || body["error"] != oauth.CodeInvalidRequest {
				t.Errorf("exchange = %d %v, want 400 invalid_request", status, body)
			}
		})
	}
}

func TestBesideOutage(t *testing.T) {
	op := newOP(t)
	op.Misbehave(fakeop.JWKS, fakeop.Status(http.StatusInternalServerError))
	h, err := beside(t, op, "")
	if err != nil {
		t.Fatal(err)
	}
	if status, body := post(t, h, "/sts/token", exchange(subjectToken(op, "at+jwt", nil))); status != http.StatusServiceUnavailable || body["access_token"] != nil {
		t.Errorf("exchange = %d %v, want 503", status, body)
	}
}

// TestConnectionsEndWithTheConfiguration: a connection is kept between two calls, and
// not after Cleanup.
func TestConnectionsEndWithTheConfiguration(t *testing.T) {
	op := newOP(t)
	op.Edit(func(doc map[string]any) { doc["introspection_endpoint"] = op.Issuer + "/introspect" })
	op.Misbehave("/introspect", fakeop.JSON("application/json", map[string]any{"active": false}))
	h, err := beside(t, op, `,"check":"introspection","client_id":"asks","client_secret":"s3cret-s3cret-s3cret-s3cret-s3cret-s3cret"`)
	if err != nil {
		t.Fatal(err)
	}
	calls := func(token string) int {
		t.Helper()
		if status, body := post(t, h, "/sts/token", exchange(token)); status != http.StatusBadRequest {
			t.Fatalf("exchange = %d %v, want 400", status, body)
		}
		return op.Conns()
	}
	first := calls("one")
	if again := calls("two"); again != first {
		t.Errorf("%d connections, then %d: none was kept", first, again)
	}
	if err := h.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if last := calls("three"); last != first+1 {
		t.Errorf("%d connections after Cleanup, want %d", last, first+1)
	}
}

// TestCAsOfTheProvider: a certificate of another CA than the one written.
func TestCAsOfTheProvider(t *testing.T) {
	op, other := newOP(t), newOP(t)
	h, err := beside(t, op, "")
	if err != nil {
		t.Fatal(err)
	}
	token := subjectToken(op, "at+jwt", nil)
	if status, body := post(t, h, "/sts/token", exchange(token)); status != http.StatusOK {
		t.Fatalf("exchange = %d %v", status, body)
	}
	if h, err = trusting(t, op, other.PEM(), ""); err != nil {
		t.Fatal(err)
	}
	if status, _ := post(t, h, "/sts/token", exchange(token)); status != http.StatusServiceUnavailable {
		t.Errorf("exchange = %d, want 503", status)
	}
}

func TestProvisionUpstream(t *testing.T) {
	t.Setenv("STS_TEST_OP", "short is fine")
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, []byte("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const asks = `,"check":"introspection","client_id":"sts",`
	for name, tt := range map[string]struct{ words, want string }{
		"secret":        {asks + `"client_secret":"{env.STS_TEST_OP}"`, ""},
		"unset secret":  {asks + `"client_secret":"{env.STS_TEST_UNSET}"`, "STS_TEST_UNSET is not set"},
		"no key file":   {asks + `"private_key_jwt":"/does/not/exist"`, "private_key_jwt"},
		"bad key file":  {asks + fmt.Sprintf(`"private_key_jwt":%q`, key), "neither a JWK nor a private key"},
		"other domain":  {`,"email_domains":["alice.example"]`, "is none of the server's"},
		"and provider":  {`}],"provider":{"users":[{}]},"deny_targets":["x"],"upstreams":[{"issuer":"https://x.example"`, "choose one of upstream, wrap, provider"},
		"unknown field": {`,"audiance":["x"]`, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := beside(t, newOP(t), tt.words)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Provision = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
