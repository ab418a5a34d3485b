package uma_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/store"
	"github.com/caddy-uma/caddy-uma/internal/store/storetest"
	"github.com/caddy-uma/caddy-uma/internal/uma"
)

// keyed is a bench whose client svc and resource server api have keys: the client
// in the configuration, the server at a URI.
func keyed(t *testing.T, key josetest.Key, edits ...func(*bench)) *bench {
	t.Helper()
	b := newBench(t, append([]func(*bench){func(b *bench) {
		b.cfg.Clients = append(b.cfg.Clients, clientauth.Client{ID: "svc", Scopes: []string{"print", "scan"}, Credentials: clientauth.Credentials{
			JWKS: josetest.JWKS(key.JWK(nil)), TLSSelfSigned: true,
		}})
		b.cfg.ResourceServers[0].Credentials = clientauth.Credentials{JWKSURI: docKeys}
	}}, edits...)...)
	b.op.Misbehave(docHost+"/client-keys", fakeop.Raw(200, "application/json", string(josetest.JWKS(key.JWK(nil)))))
	return b
}

func TestOA_17_TokenEndpoint(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	b := keyed(t, key)
	for name, tc := range map[string]struct {
		form map[string]string
		code string
	}{
		"good":                        {b.asserted(key, "svc", nil), "invalid_grant"},
		"named in the assertion only": {without(b.asserted(key, "svc", nil), "client_id"), "invalid_grant"},
		"another client_id":           {with(b.asserted(key, "svc", nil), "client_id", "web"), "invalid_client"},
		"a client without keys":       {b.asserted(key, "web", nil), "invalid_client"},
		"a public client":             {b.asserted(key, "app", nil), "invalid_client"},
		"nobody":                      {b.asserted(key, "nobody", nil), "invalid_client"},
		"the token endpoint":          {b.asserted(key, "svc", map[string]any{"aud": issuer + "/uma/token"}), "invalid_client"},
		"no exp":                      {b.asserted(key, "svc", map[string]any{"exp": nil}), "invalid_client"},
		"another key":                 {b.asserted(josetest.NewKey("ES256", "k1"), "svc", nil), "invalid_client"},
		"no assertion":                {map[string]string{"client_id": "svc"}, "invalid_client"},
		"type alone":                  {without(b.asserted(key, "svc", nil), "client_assertion"), "invalid_client"},
		"assertion alone":             {without(b.asserted(key, "svc", nil), "client_assertion_type"), "invalid_client"},
		"OA-03 and a secret":          {with(b.asserted(key, "svc", nil), "client_secret", "x"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			form := with(tc.form, "grant_type", oauth.GrantUMATicket)
			form["ticket"] = "x"
			res := b.token(form)
			if res.code() != tc.code || (res.status == 401) != (tc.code == "invalid_client") || res.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("a PAT by an assertion", func(t *testing.T) {
		form := with(b.asserted(key, "api", nil), "grant_type", "client_credentials")
		res := b.token(form)
		if res.status != 200 || b.call(res.get("access_token"), http.MethodGet, "resource", "").status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
		if again := b.token(form); again.code() != "invalid_client" {
			t.Errorf("OA-18 again: %s", again.text)
		}
	})
	t.Run("keys that cannot be read", func(t *testing.T) {
		b := keyed(t, key)
		b.op.Misbehave(docHost+"/client-keys", fakeop.Status(500))
		form := with(b.asserted(key, "api", nil), "grant_type", "client_credentials")
		if res := b.token(form); res.status != 503 || res.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("metadata", func(t *testing.T) {
		doc := b.get("/.well-known/uma2-configuration")
		if !slices.Contains(list(doc, "token_endpoint_auth_methods_supported"), any("private_key_jwt")) ||
			!slices.Contains(list(doc, "token_endpoint_auth_signing_alg_values_supported"), any("ES256")) {
			t.Errorf("%s", doc.text)
		}
	})
}

func TestOA_18_TokenEndpoint(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	b := keyed(t, key)
	form := with(b.asserted(key, "svc", nil), "grant_type", "client_credentials")
	var yes atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch res := b.token(form); {
			case res.status == 200:
				yes.Add(1)
			case res.code() != "invalid_client":
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	wg.Wait()
	if yes.Load() != 1 {
		t.Errorf("%d got a token", yes.Load())
	}
	t.Run("handed on, the memory outlives a reload", func(t *testing.T) {
		used := clientauth.NewWindow(0)
		b := keyed(t, key, func(b *bench) { b.cfg.Assertions = used })
		form := with(b.asserted(key, "svc", nil), "grant_type", "client_credentials")
		if res := b.token(form); res.status != 200 {
			t.Fatal(res.text)
		}
		if res := b.reload().token(form); res.code() != "invalid_client" {
			t.Errorf("%s", res.text)
		}
	})
}

// Nodes share the store and nothing else.
func TestOA_18_Nodes(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	b := keyed(t, key)
	other := b.reload()
	form := with(b.asserted(key, "svc", nil), "grant_type", "client_credentials")
	var yes atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		node := []*bench{b, other}[i%2]
		wg.Go(func() {
			switch res := node.token(form); {
			case res.status == 200:
				yes.Add(1)
			case res.code() != "invalid_client":
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	wg.Wait()
	if yes.Load() != 1 {
		t.Errorf("%d got a token", yes.Load())
	}
	t.Run("until it has expired", func(t *testing.T) {
		b.pass(2*time.Minute - time.Second) // exp, and the leeway
		if res := b.reload().token(form); res.code() != "invalid_client" {
			t.Errorf("%s", res.text)
		}
	})
	t.Run("another one at the other node", func(t *testing.T) {
		if res := other.token(with(other.asserted(key, "svc", nil), "grant_type", "client_credentials")); res.status != 200 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
	t.Run("SEC-13 what cannot be recorded is not accepted", func(t *testing.T) {
		form := with(b.asserted(key, "svc", nil), "grant_type", "client_credentials")
		b.faulty.FailBefore(func(c storetest.Call) bool { return c.Writes(store.ActionCreate, "assertion") })
		defer b.faulty.Repair()
		if res := b.token(form); res.status != 503 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func with(form map[string]string, name, value string) map[string]string {
	form[name] = value
	return form
}

func without(form map[string]string, name string) map[string]string {
	delete(form, name)
	return form
}

// shows adds a certificate of a key to a request, as the TLS layer would.
func shows(t *testing.T, key josetest.Key, verified bool) (func(*http.Request), string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "svc"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Private.Public(), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	state := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{cert}}
	if verified {
		state.VerifiedChains = [][]*x509.Certificate{{cert}}
	}
	return func(r *http.Request) { r.TLS = state }, clientauth.Thumbprint(cert)
}

// The authorization server's half of OA-19: who is authenticated by a certificate
// of the TLS layer, and what is bound to it.
func TestMutualTLS(t *testing.T) {
	key, foreign := josetest.NewKey("ES256", "k1"), josetest.NewKey("ES256", "k1")
	b := keyed(t, key, func(b *bench) {
		b.cfg.Clients = append(b.cfg.Clients,
			clientauth.Client{ID: "ca", Credentials: clientauth.Credentials{TLSSubject: "CN=svc"}},
			clientauth.Client{ID: "spa", Public: true, TLSBound: true})
	})
	mine, thumbprint := shows(t, key, false)
	other, _ := shows(t, foreign, false)
	verified, _ := shows(t, foreign, true)
	header := func(r *http.Request) {
		r.Header.Set("X-Client-Cert", "x")
		r.Header.Set("Client-Cert", ":"+thumbprint+":")
	}
	for name, tc := range map[string]struct {
		client string
		edit   func(*http.Request)
		code   string
	}{
		"its own key":                      {"svc", mine, "invalid_grant"},
		"another key":                      {"svc", other, "invalid_client"},
		"another key, verified":            {"svc", verified, "invalid_client"},
		"in a header field":                {"svc", header, "invalid_client"},
		"its subject, verified":            {"ca", verified, "invalid_grant"},
		"its subject, verified by nobody":  {"ca", other, "invalid_client"},
		"nobody":                           {"nobody", verified, "invalid_client"},
		"a confidential client of secrets": {"web", verified, "invalid_client"},
		"public":                           {"app", verified, "invalid_grant"},
		"public, bound":                    {"spa", other, "invalid_grant"},
		"public, bound, shows none":        {"spa", func(*http.Request) {}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			res := b.token(map[string]string{"grant_type": oauth.GrantUMATicket, "client_id": tc.client, "ticket": "x"}, tc.edit)
			if res.code() != tc.code {
				t.Errorf("%d %s", res.status, res.text)
			}
		})
	}
	t.Run("a resource server that demands it", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.ResourceServers[0].Require = uma.BindMTLS })
		ticket := b.fresh()
		form := map[string]string{
			"grant_type": oauth.GrantUMATicket, "client_id": "app", "ticket": ticket,
			"claim_token": b.sign(b.claims(ticket, nil)), "claim_token_format": oauth.ClaimTokenFormatJWT,
		}
		if res := b.token(form); res.code() != "invalid_request" {
			t.Errorf("without: %s", res.text)
		}
		if res := b.token(form, mine); res.status != 200 {
			t.Errorf("with: %d %s", res.status, res.text)
		}
	})
	t.Run("metadata", func(t *testing.T) {
		doc := b.get("/.well-known/uma2-configuration")
		methods := list(doc, "token_endpoint_auth_methods_supported")
		if !slices.Contains(methods, any("tls_client_auth")) || !slices.Contains(methods, any("self_signed_tls_client_auth")) ||
			doc.body["tls_client_certificate_bound_access_tokens"] != true {
			t.Errorf("%s", doc.text)
		}
	})
}

// UF-03: an access token with another scope is a good one and still no PAT; one
// that is not alive is nothing.
func TestUF_03_OtherScope(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	b := keyed(t, key)
	ask := func(b *bench, scope string) reply {
		return b.token(with(with(b.asserted(key, "svc", nil), "grant_type", "client_credentials"), "scope", scope))
	}
	for scope, want := range map[string]string{"": "print scan", "scan": "scan", "scan print": "scan print", "print print": "print"} {
		res := ask(b, scope)
		if res.status != 200 || res.get("scope") != want || res.get("token_type") != "Bearer" || res.body["expires_in"] != 3600.0 ||
			!strings.HasPrefix(res.get("access_token"), "at_") || len(res.get("access_token")) != 46 || res.body["resource_uri"] != nil {
			t.Errorf("%q: %d %s", scope, res.status, res.text)
		}
	}
	for _, scope := range []string{"uma_protection", "print uma_protection", "get", "print get", "Print"} {
		if res := ask(b, scope); res.code() != "invalid_scope" {
			t.Errorf("%q: %s", scope, res.text)
		}
	}
	token := ask(b, "").get("access_token")
	check := func(b *bench, token string, status int, code string) {
		t.Helper()
		for _, call := range [][2]string{{http.MethodGet, "resource"}, {http.MethodPost, "resource"}, {http.MethodPost, "permission"}} {
			res := b.call(token, call[0], call[1], "")
			if res.status != status || !strings.Contains(res.header.Get("WWW-Authenticate"), `error="`+code+`"`) || !strings.Contains(res.header.Get("WWW-Authenticate"), `scope="uma_protection"`) {
				t.Errorf("%v: %d %v", call, res.status, res.header)
			}
		}
	}
	check(b, token, 403, "insufficient_scope")
	check(b, token[:len(token)-1], 401, "invalid_token")
	check(b, "at_"+strings.Repeat("A", 43), 401, "invalid_token")
	check(b.reload(func(c *uma.Config) { c.Clients = c.Clients[:1] }), token, 401, "invalid_token")
	check(b.reload(func(c *uma.Config) {
		c.Clients = slices.Clone(c.Clients)
		c.Clients[len(c.Clients)-1].Disabled = true
	}), token, 401, "invalid_token")
	check(b.reload(func(c *uma.Config) { c.Issuer = "https://as.carol.example" }), token, 401, "invalid_token")
	b.pass(time.Hour)
	check(b, token, 401, "invalid_token")

	t.Run("OA-05 a public client, and one without scopes", func(t *testing.T) {
		b := newBench(t, func(b *bench) { b.cfg.Clients[0].Scopes = []string{"print"} })
		if res := b.token(map[string]string{"grant_type": "client_credentials", "client_id": "app"}); res.code() != "unauthorized_client" {
			t.Errorf("%s", res.text)
		}
		if res := b.token(map[string]string{"grant_type": "client_credentials"}, basic("web", "secret-of-the-web-app")); res.code() != "unauthorized_client" {
			t.Errorf("%s", res.text)
		}
	})
}

func TestClientSettings(t *testing.T) {
	for name, client := range map[string]clientauth.Client{
		"uma_protection":   {ID: "x", Public: true, Scopes: []string{"uma_protection"}},
		"a bad scope":      {ID: "x", Public: true, Scopes: []string{"a b"}},
		"both key sets":    {ID: "x", Credentials: clientauth.Credentials{JWKS: []byte(`{"keys":[]}`), JWKSURI: "https://a.example/"}},
		"jwks_uri, http":   {ID: "x", Credentials: clientauth.Credentials{JWKSURI: "http://a.example/"}},
		"a bad subject":    {ID: "x", Credentials: clientauth.Credentials{TLSSubject: "x"}},
		"an empty key set": {ID: "x", Credentials: clientauth.Credentials{JWKS: []byte(`{"keys":[]}`)}},
	} {
		cfg := uma.Config{Clients: []clientauth.Client{client}}
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "'x'") {
			t.Errorf("%s: %v", name, err)
		}
		cfg = uma.Config{ResourceServers: []uma.ResourceServer{{ID: "x", URI: apiURI, Credentials: client.Credentials}}}
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "'x'") {
			t.Errorf("resource server, %s: %v", name, err)
		}
	}
	cfg := uma.Config{Clients: []clientauth.Client{{ID: "x", Scopes: []string{"print"}, Credentials: clientauth.Credentials{TLSSubject: "CN=x", JWKSURI: "https://a.example/keys"}}}}
	if err := cfg.Check(); err != nil {
		t.Errorf("%v", err)
	}
}

// SEC-25: whoever fails, the answer is one.
func TestSEC_25_OneAnswer(t *testing.T) {
	key := josetest.NewKey("ES256", "k1")
	b := keyed(t, key, func(b *bench) {
		b.cfg.InitialAccessTokens = [][32]byte{clientauth.HashSecret(initialToken)}
		b.cfg.ClientDocuments = &uma.ClientDocuments{}
	})
	registered := b.signUp(members{"grant_types": umaGrant}).get("client_id")
	b.op.Misbehave(docHost+"/client", fakeop.Status(404))
	base := map[string]string{"grant_type": oauth.GrantUMATicket, "ticket": "x"}
	var first string
	for _, id := range []string{"web", "svc", "gone", "api", "nobody", "", registered, "c-" + strings.Repeat("A", 22), docID, "https://evil.example/none", "https://evil.example"} {
		for name, form := range map[string]map[string]string{
			"secret":    {"client_id": id, "client_secret": "x"},
			"assertion": b.asserted(josetest.NewKey("ES256", "k1"), id, nil),
			"garbage":   {"client_id": id, "client_assertion": "x"},
			"none":      {"client_id": id},
		} {
			if id == "" && name == "none" {
				continue // no client is named at all: invalid_request
			}
			maps.Copy(form, base)
			res := b.token(form)
			if first == "" {
				first = res.text
			}
			if res.status != 401 || res.text != first || res.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%q by %s: %d %s", id, name, res.status, res.text)
			}
		}
		if res := b.token(base, basic(id, "x")); res.text != first || res.header.Get("WWW-Authenticate") != `Basic realm="client"` {
			t.Errorf("%q by Basic: %s", id, res.text)
		}
	}
	t.Run("a store that cannot be read is no unknown client", func(t *testing.T) {
		b.faulty.Before(func(context.Context, storetest.Call) error { return storetest.ErrDisk })
		defer b.faulty.Repair()
		if res := b.knock(registered); res.status != 503 {
			t.Errorf("%d %s", res.status, res.text)
		}
		if res := b.manage(http.MethodGet, registered, "rat_x", ""); res.status != 503 {
			t.Errorf("%d %s", res.status, res.text)
		}
	})
}

func TestOD_13_ClientMetadata(t *testing.T) {
	plain := newBench(t).get("/.well-known/uma2-configuration")
	for _, name := range []string{
		"registration_endpoint", "client_id_metadata_document_supported", "tls_client_certificate_bound_access_tokens",
		"token_endpoint_auth_signing_alg_values_supported",
	} {
		if _, there := plain.body[name]; there {
			t.Errorf("%s is not offered", name)
		}
	}
	if got := list(plain, "token_endpoint_auth_methods_supported"); len(got) != 3 {
		t.Errorf("%v", got)
	}
	with := registering(t).get("/.well-known/uma2-configuration")
	if with.get("registration_endpoint") != issuer+"/uma/register" || with.body["tls_client_certificate_bound_access_tokens"] != true ||
		len(list(with, "token_endpoint_auth_methods_supported")) != 6 {
		t.Errorf("%s", with.text)
	}
}
