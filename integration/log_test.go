package integration_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// One of each kind of credential is used, well and badly, with the log at DEBUG;
// that none of them stands there is looked up when Caddy has stopped, as in every
// test of this package.
func TestSEC_22_EveryKind(t *testing.T) {
	t.Setenv("UMA_TEST_INITIAL", initialToken)
	key := josetest.NewKey("ES256", "k1")
	v := withVault(t, "refresh_tokens\n\t\tpct\n\t\tdpop_nonces\n\t\tregistration {env.UMA_TEST_INITIAL}\n\t\tclient signer {\n\t\t\tjwks_file "+keyFile(t, key)+"\n\t\t}\n\t\t")
	v.tokens()
	access := v.login("bob@bob.localhost", "bob-demo")
	id := v.register("one", "read")
	a := v.granted(access, v.ticket(id, "read"), nil)
	rpt, pct := a.get("access_token"), a.get("pct")
	next := v.refresh(a.get("refresh_token"))
	for _, token := range []string{rpt, flip(rpt), pct, next.get("refresh_token"), access} {
		v.introspect(token)
		v.get(v.url("api", "/"), bearer(token))
	}
	v.asWeb(v.ticket(id, "read"), "", map[string]string{"pct": pct, "rpt": rpt})
	v.asWeb(v.ticket(id, "read"), "", map[string]string{"pct": flip(pct), "rpt": flip(rpt)})
	v.refresh(flip(a.get("refresh_token")))
	v.useRegistration()
	v.useProofs(id, access)
	v.useAssertions(key, id)
	v.revoke(pct, basic("web", webSecret))
	v.revoke(next.get("refresh_token"), basic("web", webSecret))
	v.revoke(v.pat, basic("vault", vaultSecret))
	v.searchAdmin()

	kinds := map[string]bool{}
	for secret := range v.seen {
		kinds[secret.name] = true
	}
	for _, kind := range []string{
		"access_token", "refresh_token", "pct", "rpt", "ticket", "id_token", "claim_token", "subject_token", "token", "client_secret",
		"client_assertion", "registration_access_token", "secret", "Authorization Bearer", "DPoP", "authorization_code", "code_verifier",
	} {
		if !kinds[kind] {
			t.Errorf("no %s was used", kind)
		}
	}
	if !v.logged(`"level":"debug"`) || !v.logged("uma.audit") {
		t.Error("the log is not that of DEBUG")
	}
}

// searchAdmin looks for every credential in what the admin API shows. The secrets
// of these tests come from the environment, as an administrator is told to do.
func (v *vault) searchAdmin() {
	v.t.Helper()
	v.administer()
	apps, _ := v.config["apps"].(map[string]any)
	web, _ := apps["http"].(map[string]any)
	web["metrics"] = map[string]any{}
	v.reload()
	v.await()
	v.get(v.url("api", "/"), bearer("a-token-that-nobody-has-issued"))
	listen, _ := v.config["admin"].(map[string]any)["listen"].(string)
	admin := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(listen, "unix/"))
	}}}
	defer admin.CloseIdleConnections()
	seen := maps.Clone(v.seen)
	maps.DeleteFunc(seen, func(c credential, _ bool) bool { return c.value == apiSecret }) // literal in the example, which is warned of
	issuer := "issuer=" + url.QueryEscape(v.url("as", ""))
	for _, path := range []string{
		"/config/", "/metrics", "/debug/vars", "/pki/ca/local", "/reverse_proxy/upstreams", "/uma/show/keys", "/uma/show/keys?" + issuer,
		"/uma/show/as/domains?" + issuer, "/uma/show/as/domains/bob.localhost?" + issuer, "/uma/show/as/resources?resource_server=vault&" + issuer,
		"/uma/show/as/blocks?" + issuer, "/uma/show/rs/resources/diff",
	} {
		res, err := admin.Get("http://127.0.0.1" + path)
		if err != nil {
			v.t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || len(body) == 0 {
			v.t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
		if found := seen.in(string(body)); found != "" {
			v.t.Errorf("SEC-22: at %s: %s", path, found)
		}
	}
}

func (v *vault) useRegistration() {
	v.t.Helper()
	meta := v.get(v.url("as", "/.well-known/uma2-configuration"), nil)
	for _, token := range []string{flip(initialToken), initialToken} {
		header := bearer(token)
		header.Set("Content-Type", "application/json")
		made := v.request(http.MethodPost, meta.get("registration_endpoint"), `{"grant_types":["`+oauth.GrantUMATicket+`"]}`, header)
		if uri := made.get("registration_client_uri"); uri != "" {
			v.get(uri, bearer(flip(made.get("registration_access_token"))))
			v.get(uri, bearer(made.get("registration_access_token")))
			v.request(http.MethodDelete, uri, "", bearer(made.get("registration_access_token")))
		}
	}
}

func (v *vault) useProofs(id, access string) {
	v.t.Helper()
	signer, ticket := v.prover(), v.ticket(id, "read")
	claims := v.claimsToken(access, v.url("vault", ""), ticket)
	a := v.redeem(ticket, claims, nil, v.proof(signer, ""))
	a = v.redeem(ticket, claims, nil, v.proof(signer, a.header.Get(oauth.HeaderDPoPNonce)))
	if a.status != http.StatusOK || a.get("refresh_token") == "" {
		v.t.Errorf("with a proof: %d %s", a.status, a.text)
	}
	v.redeem(ticket, claims, nil, func(r *http.Request) {
		v.proof(signer, "")(r)
		r.Header.Set(oauth.HeaderDPoP, flip(r.Header.Get(oauth.HeaderDPoP)))
		v.seen.request(r)
	})
}

func (v *vault) useAssertions(key josetest.Key, id string) {
	v.t.Helper()
	now := time.Now().Unix()
	assertion := key.Sign(nil, map[string]any{"iss": "signer", "sub": "signer", "aud": v.url("as", ""), "exp": now + 60, "jti": "one"})
	for _, text := range []string{flip(assertion), assertion, assertion} {
		v.redeem(v.ticket(id, "read"), "", map[string]string{
			"client_id": "", "claim_token_format": "", "client_assertion_type": oauth.AssertionTypeJWT, "client_assertion": text,
		})
	}
}

// The search itself finds what is there, in any of its forms.
func TestSearchLogFinds(t *testing.T) {
	const secret, jwt = "a-secret that-somebody-logged", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJib2IifQ-long-enough.c2lnbmF0dXJlLW9mLWEtdG9rZW4"
	seen := credentials{}
	seen.answer(answer{body: map[string]any{"pct": secret, "ticket": "short", "id_token": jwt}})
	for line, want := range map[string]string{
		`{"msg":"x","token":"` + secret + `"}`:                          "pct",
		`{"msg":"x","uri":"/?a=a-secret+that-somebody-logged"}`:         "pct",
		`{"msg":"x","uri":"/?a=a-secret%20that-somebody-logged"}`:       "pct",
		`{"msg":"adjusted config","x":"` + secret:                       "pct",
		`{"msg":"x","token":"a-secret that-nobody"}`:                    "",
		`{"msg":"x","token":"short"}`:                                   "",
		`{"msg":"x","header":"eyJhbGciOiJFUzI1NiJ9"}`:                   "",
		`{"msg":"x","payload":"eyJzdWIiOiJib2IifQ-long-enough"}`:        "id_token",
		`{"msg":"x","signature":"c2lnbmF0dXJlLW9mLWEtdG9rZW4"}`:         "id_token",
		`{"msg":"x","twice":"YS1zZWNyZXQgdGhhdC1zb21lYm9keS1sb2dnZWQ"}`: "pct",
	} {
		if got := seen.in(line + "\n"); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// Without the filter the same requests do show credentials, and the search that
// every test ends with finds them: tickets and proofs in the access log, proofs in
// what reverse_proxy says at DEBUG. So it would find them behind the filter, too.
func TestSEC_22_WithoutTheFilter(t *testing.T) {
	for name, tc := range map[string]struct {
		access, found bool
		level         string
	}{
		"access log": {true, true, "INFO"},
		"DEBUG":      {false, true, "DEBUG"},
		"INFO":       {false, false, "INFO"},
	} {
		t.Run("SEC-22 "+name, func(t *testing.T) {
			w := example(t, protectStart, "rewrite /old /new\n\t"+protectStart) // it tells of the request as it came
			logs, _ := w.config["logging"].(map[string]any)["logs"].(map[string]any)
			logs["default"] = map[string]any{
				"level": tc.level, "writer": map[string]any{"output": "file", "filename": filepath.Join(w.dir, "plain")}, "encoder": map[string]any{"format": "json"},
			}
			if !tc.access {
				w.withoutAccessLog()
			}
			w.reload()
			w.await()
			signer := w.prover()
			rpt := w.boundRPT(w.login("bob@bob.localhost", "bob-demo"), signer)
			if a := w.bound(signer, rpt)(http.MethodGet, "/"); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.text)
			}
			w.bound(signer, rpt)(http.MethodGet, "/old")
			plain, err := os.ReadFile(filepath.Join(w.dir, "plain"))
			if err != nil {
				t.Fatal(err)
			}
			if found := w.seen.in(string(plain)); (found != "") != tc.found {
				t.Errorf("found %q, want anything: %v", found, tc.found)
			}
			warned := strings.Contains(string(plain), "put the filter into the site's log directive")
			if warned != tc.access {
				t.Errorf("warned of the access log: %v", warned)
			}
		})
	}
}

func (w *world) withoutAccessLog() {
	apps, _ := w.config["apps"].(map[string]any)
	web, _ := apps["http"].(map[string]any)
	servers, _ := web["servers"].(map[string]any)
	for _, server := range servers {
		if server, ok := server.(map[string]any); ok {
			delete(server, "logs")
		}
	}
}
