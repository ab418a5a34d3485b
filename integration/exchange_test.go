package integration_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

const stsClient = "# Who may exchange tokens: the command line client."

// exchangeWith is exchange with a DPoP proof of signer; nil = none.
func (w *world) exchangeWith(signer *dpop.Signer, accessToken, ticket string, edits map[string]string) answer {
	w.t.Helper()
	endpoint := w.get(w.url("bob", "/.well-known/openid-configuration"), nil).get("token_endpoint")
	form := map[string]string{
		"grant_type": oauth.GrantTokenExchange, "client_id": "caddy-uma", "resource": w.url("api", ""),
		"ticket_challenge": s256(ticket), "subject_token": accessToken, "subject_token_type": oauth.TokenTypeAccessToken,
	}
	maps.Copy(form, edits)
	if signer == nil {
		return w.post(endpoint, form)
	}
	return w.post(endpoint, form, w.proof(signer, ""))
}

// A client that signs logs in and exchanges; nobody else does so in its name.
func TestOA_17_PrivateKeyJWTAtTheSTS(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	w := example(t, stsClient, "client signer {\n\t\t\tjwks_file "+keyFile(t, key)+"\n\t\t\tfirst_party\n\t\t\tredirect_uri http://127.0.0.1/callback\n\t\t}\n\t\t"+stsClient)
	n := 0
	assertion := func(edits map[string]any) map[string]string {
		n++
		claims := map[string]any{"iss": "signer", "sub": "signer", "aud": w.url("bob", ""), "exp": time.Now().Unix() + 60, "jti": strconv.Itoa(n)}
		maps.Copy(claims, edits)
		return map[string]string{"client_id": "", "client_assertion_type": oauth.AssertionTypeJWT, "client_assertion": key.Sign(nil, claims)}
	}
	meta := w.get(w.url("bob", "/.well-known/openid-configuration"), nil)
	with := func(form, more map[string]string) map[string]string {
		maps.Copy(form, more)
		return form
	}
	code := w.post(meta.get("authorization_challenge_endpoint"), with(assertion(nil), map[string]string{
		"response_type": "code", "username": "bob@bob.localhost", "password": "bob-demo",
		"code_challenge": s256(verifier), "code_challenge_method": "S256",
	}))
	access := w.post(meta.get("token_endpoint"), with(assertion(nil), map[string]string{
		"grant_type": oauth.GrantAuthorizationCode, "code": code.get("authorization_code"), "code_verifier": verifier,
	})).get("access_token")
	ticket, _ := w.challenged(http.MethodGet, "/")
	used := assertion(nil)
	claims := w.exchangeWith(nil, access, ticket, used)
	if claims.status != http.StatusOK {
		t.Fatalf("%d %s, after %d %s", claims.status, claims.text, code.status, code.text)
	}
	if a := w.redeem(ticket, claims.get("access_token"), nil); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.text)
	}
	for name, form := range map[string]map[string]string{
		"OA-18 the same assertion again":  used,
		"OA-17 made for the AS":           assertion(map[string]any{"aud": w.url("as", "")}),
		"OA-17 made for the endpoint":     assertion(map[string]any{"aud": meta.get("token_endpoint")}),
		"OA-17 in another client's name":  assertion(map[string]any{"iss": "caddy-uma", "sub": "caddy-uma"}),
		"TX-10 the name without the keys": {"client_id": "signer"},
	} {
		t.Run(name, func(t *testing.T) { refusedClient(t, w.exchangeWith(nil, access, ticket, form)) })
	}
	t.Run("OA-18 again after a reload", func(t *testing.T) {
		w.reload()
		w.await()
		refusedClient(t, w.exchangeWith(nil, access, ticket, used))
	})
	t.Run("OA-18 again after a restart, which stands for another node", func(t *testing.T) {
		w.stop()
		w.reload()
		w.await()
		refusedClient(t, w.exchangeWith(nil, access, ticket, used))
		if a := w.exchangeWith(nil, access, ticket, assertion(nil)); a.status != http.StatusOK {
			t.Errorf("a new one: %d %s", a.status, a.text)
		}
	})
	t.Run("CA-13 its token by another client", func(t *testing.T) {
		if a := w.exchangeWith(nil, access, ticket, nil); a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidRequest {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// From the proof at the STS to the RPT: whoever steals what is in between has
// nothing.
func TestDP_08_BoundFromTheSTSToTheRPT(t *testing.T) {
	w := example(t, "release name groups\n", "release name groups\n\t\t\twhen `\"staff\" in claims.groups`\n\t\t\trequire dpop\n")
	access, mine, thief := w.login("bob@bob.localhost", "bob-demo"), w.prover(), w.prover()
	ticket, _ := w.challenged(http.MethodGet, "/")
	if a := w.exchangeWith(nil, access, ticket, nil); a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidDPoPProof {
		t.Fatalf("without a proof: %d %s", a.status, a.text)
	}
	claims := func(ticket string) string {
		a := w.exchangeWith(mine, access, ticket, nil)
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		return a.get("access_token")
	}
	t.Run("DP-08 the client itself", func(t *testing.T) {
		if a := w.redeem(ticket, claims(ticket), nil, w.proof(mine, "")); a.status != http.StatusOK || a.get("token_type") != "DPoP" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	for name, edit := range map[string]func(*http.Request){
		"DP-08 a thief without a proof":    func(*http.Request) {},
		"DP-08 a thief with his own proof": w.proof(thief, ""),
	} {
		t.Run(name, func(t *testing.T) {
			ticket, _ := w.challenged(http.MethodGet, "/")
			if a := w.redeem(ticket, claims(ticket), nil, edit); a.status == http.StatusOK || a.get("access_token") != "" {
				t.Errorf("%d %s", a.status, a.text)
			}
		})
	}
	t.Run("DP-08 the same proof after a reload", func(t *testing.T) {
		used := ""
		keep := func(r *http.Request) { w.proof(mine, "")(r); used = r.Header.Get(oauth.HeaderDPoP) }
		endpoint := w.get(w.url("bob", "/.well-known/openid-configuration"), nil).get("token_endpoint")
		form := map[string]string{
			"grant_type": oauth.GrantTokenExchange, "client_id": "caddy-uma", "resource": w.url("api", ""),
			"ticket_challenge": s256(ticket), "subject_token": access, "subject_token_type": oauth.TokenTypeAccessToken,
		}
		if a := w.post(endpoint, form, keep); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		w.reload()
		w.await()
		again := func(r *http.Request) { r.Header.Set(oauth.HeaderDPoP, used) }
		if a := w.post(endpoint, form, again); a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidDPoPProof {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	t.Run("CA-14 a user whom the condition excludes", func(t *testing.T) {
		ticket, _ := w.challenged(http.MethodGet, "/")
		mallory := w.login("mallory@bob.localhost", "mallory-demo")
		if a := w.exchangeWith(mine, mallory, ticket, nil); a.status != http.StatusBadRequest || a.get("error") != oauth.CodeInvalidTarget {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

// loginAs logs bob in through a first-party client that shows a certificate.
func (w *world) loginAs(client string) string {
	w.t.Helper()
	meta := w.get(w.url("bob", "/.well-known/openid-configuration"), nil)
	code := w.post(meta.get("authorization_challenge_endpoint"), map[string]string{
		"client_id": client, "response_type": "code", "username": "bob@bob.localhost", "password": "bob-demo",
		"code_challenge": s256(verifier), "code_challenge_method": "S256",
	})
	token := w.post(meta.get("token_endpoint"), map[string]string{
		"client_id": client, "grant_type": oauth.GrantAuthorizationCode, "code": code.get("authorization_code"), "code_verifier": verifier,
	})
	if token.status != http.StatusOK {
		w.t.Fatalf("%s: %d %s, then %d %s", client, code.status, code.text, token.status, token.text)
	}
	return token.get("access_token")
}

// Certificates of clients at the STS, from Caddy's own TLS layer (RFC 8705 §2).
func TestTX_10_CertificatesAtTheSTS(t *testing.T) {
	ca := certificate(t, "ca", nil)
	good, wrong, self := certificate(t, "bob-client", &ca), certificate(t, "eve-client", &ca), certificate(t, "self", nil)
	dir := t.TempDir()
	write(t, dir, "ca.pem", pemOf(ca))
	keys := keyFile(t, josetest.Key{KID: "self", Alg: "ES256", Private: self.PrivateKey.(*ecdsa.PrivateKey)})
	const site = "https://bob.localhost:{$UMA_PORT:8443} {\n\ttls internal\n"
	asking := func(lines string) string {
		return "https://bob.localhost:{$UMA_PORT:8443} {\n\ttls {\n\t\tissuer internal\n\t\tclient_auth {\n" + lines + "\t\t}\n\t}\n"
	}
	const more = "\n\t\t\tfirst_party\n\t\t\tredirect_uri http://127.0.0.1/callback\n\t\t}\n\t\t"
	request := "\t\t\tmode request\n"
	w := example(t, site, asking(request), stsClient,
		"client named {\n\t\t\ttls_client_auth \"CN=bob-client,O=Bob\""+more+
			"client selfsigned {\n\t\t\tself_signed_tls_client_auth\n\t\t\tjwks_file "+keys+more+stsClient)
	ticket, _ := w.challenged(http.MethodGet, "/")
	exchange := func(client, access string, shown *tls.Certificate) answer {
		w.showing(shown)
		return w.exchangeWith(nil, access, ticket, map[string]string{"client_id": client})
	}
	w.showing(&self)
	access := w.loginAs("selfsigned")
	if a := exchange("selfsigned", access, &self); a.status != http.StatusOK {
		t.Errorf("self-signed: %d %s", a.status, a.text)
	}
	refusedClient(t, exchange("selfsigned", access, &good))
	refusedClient(t, exchange("selfsigned", access, nil))
	refusedClient(t, exchange("named", access, &good)) // nobody has checked it

	w.showing(nil)
	w.edit(asking(request), asking("\t\t\tmode verify_if_given\n\t\t\ttrust_pool file "+filepath.Join(dir, "ca.pem")+"\n"))
	w.showing(&good)
	access = w.loginAs("named")
	if a := exchange("named", access, &good); a.status != http.StatusOK {
		t.Errorf("by name: %d %s", a.status, a.text)
	}
	refusedClient(t, exchange("named", access, &wrong))
	refusedClient(t, exchange("named", access, nil))
}
