package sts_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/sts"
)

const robotKeys = "https://robot.bob.example/jwks"

var robotKey = josetest.NewKeypair("k1")

func jwkOf(k josetest.Keypair) map[string]any {
	return josetest.Key{KID: k.KID, Alg: "ES256", Private: k.Private}.JWK(nil)
}

// withRobot adds the client `robot`, which has these credentials.
func withRobot(t *testing.T, creds clientauth.Credentials) *bench {
	t.Helper()
	return newBench(t, func(b *bench) {
		b.cfg.Clients = append(b.cfg.Clients, sts.Client{Client: clientauth.Client{ID: "robot", Credentials: creds}})
		b.users[bobToken] = b.bob("robot")
		b.jwks = map[string][]byte{robotKeys: josetest.JWKS(jwkOf(robotKey))}
	})
}

// assertionForm is an exchange by `robot` with an assertion.
func assertionForm(assertion string, pairs ...string) url.Values {
	return good(append([]string{"client_id", "-", "client_assertion_type", oauth.AssertionTypeJWT, "client_assertion", assertion}, pairs...)...)
}

func (b *bench) assertion(edits map[string]any) map[string]any {
	now := b.now.Unix()
	claims := map[string]any{"iss": "robot", "sub": "robot", "aud": issuer, "iat": now, "exp": now + 60, "jti": rand.Text()}
	maps.Copy(claims, edits)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func TestOA_17_OA_18_AssertionAtTheExchange(t *testing.T) {
	type edit = map[string]any
	now := clock().Unix()
	for name, tc := range map[string]struct {
		claims, header edit
		ok             bool
	}{
		"OA-17 good":                          {nil, nil, true},
		"OA-17 another iss":                   {edit{"iss": "web"}, nil, false},
		"OA-17 no iss":                        {edit{"iss": nil}, nil, false},
		"OA-17 another sub":                   {edit{"sub": "web"}, nil, false},
		"OA-17 no sub":                        {edit{"sub": nil}, nil, false},
		"OA-17 aud in an array":               {edit{"aud": []string{issuer}}, nil, true},
		"OA-17 aud with another":              {edit{"aud": []string{issuer, "https://x.example"}}, nil, false},
		"OA-17 aud is the token endpoint":     {edit{"aud": issuer + "/sts/token"}, nil, false},
		"OA-17 aud is an AS":                  {edit{"aud": "https://as.alice.example"}, nil, false},
		"OA-17 no aud":                        {edit{"aud": nil}, nil, false},
		"OA-17 expired":                       {edit{"exp": now - 1}, nil, false},
		"OA-17 exp far ahead":                 {edit{"exp": now + 301}, nil, false},
		"OA-17 no exp":                        {edit{"exp": nil}, nil, false},
		"OA-17 nbf ahead":                     {edit{"nbf": now + 1}, nil, false},
		"OA-17 another kid":                   {nil, edit{"kid": "k2"}, false},
		"OA-18 no jti":                        {edit{"jti": nil}, nil, false},
		"OA-18 typ client-authentication+jwt": {nil, edit{"typ": "client-authentication+jwt"}, true},
		"OA-18 typ of a claims token":         {nil, edit{"typ": oauth.TypClaimsToken}, false},
		"OA-18 typ of an access token":        {nil, edit{"typ": oauth.TypAccessToken}, false},
		"OA-18 typ of a proof":                {nil, edit{"typ": oauth.TypDPoP}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := withRobot(t, clientauth.Credentials{JWKSURI: robotKeys})
			form := assertionForm(robotKey.Sign(tc.header, b.assertion(tc.claims)))
			if tc.ok {
				b.mustIssue(t, form)
				return
			}
			b.wantError(t, b.post(form), http.StatusUnauthorized, oauth.CodeInvalidClient)
			if b.asked != 0 {
				t.Error("the subject token was looked at")
			}
		})
	}
}

func TestOA_17_WhoMayAssert(t *testing.T) {
	keys := clientauth.Credentials{JWKSURI: robotKeys}
	for name, tc := range map[string]struct {
		creds clientauth.Credentials
		key   josetest.Keypair
		pairs []string
		ok    bool
	}{
		"OA-17 keys of a file":        {clientauth.Credentials{JWKS: josetest.JWKS(jwkOf(robotKey))}, robotKey, nil, true},
		"OA-17 keys of a URI":         {keys, robotKey, nil, true},
		"OA-17 client_id beside it":   {keys, robotKey, []string{"client_id", "robot"}, true},
		"OA-17 another client_id":     {keys, robotKey, []string{"client_id", "web"}, false},
		"OA-17 another key":           {keys, josetest.NewKeypair("k1"), nil, false},
		"OA-17 no assertion type":     {keys, robotKey, []string{"client_assertion_type", "-"}, false},
		"OA-17 another type":          {keys, robotKey, []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, false},
		"OA-17 a client with secrets": {clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(secret)}}, robotKey, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := withRobot(t, tc.creds)
			form := assertionForm(tc.key.Sign(nil, b.assertion(nil)), tc.pairs...)
			if tc.ok {
				b.mustIssue(t, form)
				return
			}
			b.wantError(t, b.post(form), http.StatusUnauthorized, oauth.CodeInvalidClient)
		})
	}
	t.Run("OA-03 an assertion and a secret", func(t *testing.T) {
		b := withRobot(t, keys)
		form := assertionForm(robotKey.Sign(nil, b.assertion(nil)), "client_secret", secret)
		b.wantError(t, b.post(form), http.StatusBadRequest, oauth.CodeInvalidRequest)
	})
	t.Run("OA-17 keys that cannot be had", func(t *testing.T) {
		b := withRobot(t, clientauth.Credentials{JWKSURI: "https://robot.bob.example/gone"})
		b.wantError(t, b.post(assertionForm(robotKey.Sign(nil, b.assertion(nil)))), http.StatusServiceUnavailable, oauth.CodeUnavailable)
	})
}

func TestOA_18_AssertionIsUsedOnce(t *testing.T) {
	b := withRobot(t, clientauth.Credentials{JWKSURI: robotKeys})
	form := assertionForm(robotKey.Sign(nil, b.assertion(nil)))
	b.mustIssue(t, form)
	b.wantError(t, b.post(form), http.StatusUnauthorized, oauth.CodeInvalidClient)
	b.now = b.now.Add(59 * time.Second)
	b.wantError(t, b.post(form), http.StatusUnauthorized, oauth.CodeInvalidClient)
	b.mustIssue(t, assertionForm(robotKey.Sign(nil, b.assertion(nil))))
}

// certificate is one that signs itself; a chain to a CA is what the test says.
func certificate(t *testing.T, key *ecdsa.PrivateKey, name string) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: clock().Add(-time.Hour), NotAfter: clock().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTX_10_CertificatesAtTheExchange(t *testing.T) {
	named, own := clientauth.Credentials{TLSSubject: "CN=robot"}, clientauth.Credentials{JWKSURI: robotKeys, TLSSelfSigned: true}
	good, foreign := certificate(t, robotKey.Private, "robot"), certificate(t, josetest.NewKeypair("k1").Private, "robot")
	for name, tc := range map[string]struct {
		creds    clientauth.Credentials
		cert     *x509.Certificate
		verified bool
		ok       bool
	}{
		"tls_client_auth":                {named, good, true, true},
		"tls_client_auth, no chain":      {named, good, false, false},
		"tls_client_auth, another name":  {named, certificate(t, robotKey.Private, "robots"), true, false},
		"tls_client_auth, none":          {named, nil, false, false},
		"self-signed":                    {own, good, false, true},
		"self-signed, another key":       {own, foreign, false, false},
		"self-signed, foreign but known": {own, foreign, true, false},
	} {
		t.Run("TX-10 "+name, func(t *testing.T) {
			b := withRobot(t, tc.creds)
			r := httptest.NewRequest(http.MethodPost, issuer+"/sts/token", strings.NewReader(form("client_id", "robot")))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
			if tc.cert != nil {
				r.TLS.PeerCertificates = []*x509.Certificate{tc.cert}
			}
			if tc.verified {
				r.TLS.VerifiedChains = [][]*x509.Certificate{{tc.cert}}
			}
			w := b.serve(r)
			if tc.ok {
				b.verify(t, decode(t, w).AccessToken)
				return
			}
			b.wantError(t, w, http.StatusUnauthorized, oauth.CodeInvalidClient)
		})
	}
}

func form(pairs ...string) string { return good(pairs...).Encode() }

func TestOD_13_AuthenticationMethods(t *testing.T) {
	client := func(id string, creds clientauth.Credentials) sts.Client {
		return sts.Client{Client: clientauth.Client{ID: id, Public: creds.Empty(), Credentials: creds}}
	}
	secrets := clientauth.Credentials{Secrets: [][32]byte{{}}}
	nameless := jwkOf(robotKey)
	delete(nameless, "kid")
	algs := []any{"ES256", "ES384", "RS256", "PS256", "EdDSA"}
	for name, tc := range map[string]struct {
		clients []sts.Client
		methods []any
		algs    any
	}{
		"public":            {[]sts.Client{client("a", clientauth.Credentials{})}, []any{"none"}, nil},
		"secret":            {[]sts.Client{client("a", secrets)}, []any{"client_secret_basic", "client_secret_post"}, nil},
		"keys":              {[]sts.Client{client("a", clientauth.Credentials{JWKSURI: robotKeys})}, []any{"private_key_jwt"}, algs},
		"subject":           {[]sts.Client{client("a", clientauth.Credentials{TLSSubject: "CN=a"})}, []any{"tls_client_auth"}, nil},
		"self-signed":       {[]sts.Client{client("a", clientauth.Credentials{JWKSURI: robotKeys, TLSSelfSigned: true})}, []any{"private_key_jwt", "self_signed_tls_client_auth"}, algs},
		"keys without kid":  {[]sts.Client{client("a", clientauth.Credentials{JWKS: josetest.JWKS(nameless), TLSSelfSigned: true})}, []any{"self_signed_tls_client_auth"}, nil},
		"only who may come": {[]sts.Client{client("a", secrets), {Client: clientauth.Client{ID: "b", Public: true, Disabled: true}}}, []any{"client_secret_basic", "client_secret_post"}, nil},
	} {
		t.Run("OD-13 "+name, func(t *testing.T) {
			b := newBench(t, func(b *bench) { b.cfg.Clients = tc.clients })
			var m map[string]any
			if err := json.Unmarshal(b.get(issuer+"/.well-known/openid-configuration").Body.Bytes(), &m); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.methods, m["token_endpoint_auth_methods_supported"]); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tc.algs, m["token_endpoint_auth_signing_alg_values_supported"]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConfigRefusesClients(t *testing.T) {
	key := josetest.JWKS(jwkOf(robotKey))
	for name, tc := range map[string]struct {
		client sts.Client
		want   string
	}{
		"public with keys":        {sts.Client{Client: clientauth.Client{ID: "x", Public: true, Credentials: clientauth.Credentials{JWKS: key}}}, "client 'x' is public and has keys"},
		"public with certificate": {sts.Client{Client: clientauth.Client{ID: "x", Public: true, Credentials: clientauth.Credentials{TLSSubject: "CN=x"}}}, "client 'x' is public and has a certificate"},
		"two sets":                {sts.Client{Client: clientauth.Client{ID: "x", Credentials: clientauth.Credentials{JWKS: key, JWKSURI: robotKeys}}}, "client 'x' has both"},
		"no keys":                 {sts.Client{Client: clientauth.Client{ID: "x", Credentials: clientauth.Credentials{JWKS: []byte(`{"keys":[]}`)}}}, "client 'x': the key set holds no key"},
		"http":                    {sts.Client{Client: clientauth.Client{ID: "x", Credentials: clientauth.Credentials{JWKSURI: "http://x.example"}}}, "jwks_uri"},
		"self-signed alone":       {sts.Client{Client: clientauth.Client{ID: "x", Credentials: clientauth.Credentials{TLSSelfSigned: true}}}, "self_signed_tls_client_auth"},
		"may_act of the public":   {sts.Client{Client: clientauth.Client{ID: "x", Public: true}, MayAct: true}, "may_act needs credentials"},
		"no name":                 {sts.Client{Client: clientauth.Client{Public: true}}, "no client_id"},
		"good":                    {sts.Client{Client: clientauth.Client{ID: "x", Credentials: clientauth.Credentials{JWKS: key, TLSSelfSigned: true}}, MayAct: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newBench(t, nil).cfg
			cfg.Clients = []sts.Client{tc.client}
			_, err := sts.New(cfg)
			if got := fmt.Sprint(err); (tc.want == "") != (err == nil) || err != nil && !strings.Contains(got, tc.want) {
				t.Errorf("New() = %v, want %q", err, tc.want)
			}
		})
	}
}
