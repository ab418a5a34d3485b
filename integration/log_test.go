package integration_test

import (
	"net/http"
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

// The search itself finds what is there.
func TestSearchLogFinds(t *testing.T) {
	const secret = "a-secret-that-somebody-logged"
	seen := credentials{}
	seen.answer(answer{body: map[string]any{"pct": secret, "ticket": "short"}})
	for line, want := range map[string]string{
		`{"msg":"x","token":"` + secret + `"}`:       "pct",
		`{"msg":"adjusted config","x":"` + secret:    "",
		`{"msg":"x","token":"a-secret-that-nobody"}`: "",
	} {
		if got := seen.in(line + "\n"); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
