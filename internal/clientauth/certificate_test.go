package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/clientauth"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// certificate makes one that signs itself; who verified it is what a test says.
func certificate(t testing.TB, key crypto.Signer, subject pkix.Name) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject, NotBefore: start, NotAfter: start.Add(time.Hour),
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

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func state(verified bool, cert *x509.Certificate) *tls.ConnectionState {
	s := &tls.ConnectionState{HandshakeComplete: true}
	if cert != nil {
		s.PeerCertificates = []*x509.Certificate{cert}
	}
	if verified {
		s.VerifiedChains = [][]*x509.Certificate{{cert}}
	}
	return s
}

var subject = pkix.Name{Country: []string{"DE"}, Organization: []string{"Bob, Inc."}, CommonName: "web"}

const subjectDN = `CN=web,O=Bob\, Inc.,C=DE`

// The authorization server's half of OA-19: RFC 8705 §2.1, §2.2 and what a token
// is bound to. (The row itself needs the resource server's half.)
func TestCertificates(t *testing.T) {
	key := newKey(t)
	good := certificate(t, key, subject)
	again := certificate(t, key, pkix.Name{CommonName: "renewed"})
	foreign := certificate(t, newKey(t), subject)
	jwk := josetest.Key{KID: "k1", Alg: "ES256", Private: key}
	byDN := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{TLSSubject: subjectDN}}
	byKey := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{JWKS: josetest.JWKS(jwk.JWK(nil)), TLSSelfSigned: true}}
	noKID := byKey
	noKID.JWKS = josetest.JWKS(jwk.JWK(map[string]any{"kid": nil, "alg": nil, "use": nil}))
	with := func(c clientauth.Client, edit func(*clientauth.Client)) clientauth.Client {
		edit(&c)
		return c
	}
	for name, tc := range map[string]struct {
		client clientauth.Client
		state  *tls.ConnectionState
		ok     bool
	}{
		"subject, verified":                     {byDN, state(true, good), true},
		"subject, nobody verified it":           {byDN, state(false, good), false},
		"subject, another key, verified":        {byDN, state(true, foreign), true}, // the CA vouches for the name
		"another subject, verified":             {byDN, state(true, again), false},
		"no certificate":                        {byDN, state(false, nil), false},
		"no TLS":                                {byDN, nil, false},
		"handshake not complete":                {byDN, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{good}, VerifiedChains: [][]*x509.Certificate{{good}}}, false},
		"subject that cannot be parsed":         {with(byDN, func(c *clientauth.Client) { c.TLSSubject = "web" }), state(true, good), false},
		"subject, registered for assertions":    {with(byDN, func(c *clientauth.Client) { c.Method = oauth.AuthPrivateKeyJWT }), state(true, good), false},
		"subject, registered for it":            {with(byDN, func(c *clientauth.Client) { c.Method = oauth.AuthTLS }), state(true, good), true},
		"its own key":                           {byKey, state(false, good), true},
		"its own key in a renewed certificate":  {byKey, state(false, again), true},
		"its own key without kid":               {noKID, state(false, good), true},
		"its own key, verified by somebody":     {byKey, state(true, good), true},
		"another key with the same subject":     {byKey, state(true, foreign), false},
		"keys, but not for certificates":        {with(byKey, func(c *clientauth.Client) { c.TLSSelfSigned = false }), state(false, good), false},
		"its own key, registered for subject":   {with(byKey, func(c *clientauth.Client) { c.Method = oauth.AuthTLS }), state(false, good), false},
		"disabled":                              {with(byKey, func(c *clientauth.Client) { c.Disabled = true }), state(false, good), false},
		"unknown":                               {clientauth.Client{}, state(true, good), false},
		"a client of secrets with certificates": {clientauth.Client{ID: "web", Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(oldSecret)}}}, state(true, good), false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			got, err := b.Authenticate(t.Context(), tc.client, clientauth.Request{
				Credentials: oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}, TLS: tc.state,
			})
			if (err == nil) != tc.ok || !tc.ok && code(err) != "invalid_client" {
				t.Fatalf("%v", err)
			}
			if !tc.ok {
				return
			}
			sum := sha256.Sum256(tc.state.PeerCertificates[0].Raw)
			if got.Certificate != base64.RawURLEncoding.EncodeToString(sum[:]) {
				t.Errorf("bound to %q", got.Certificate)
			}
		})
	}
}

func TestCertificatesAtURI(t *testing.T) {
	key := newKey(t)
	cert := certificate(t, key, subject)
	client := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{JWKSURI: keysURI, TLSSelfSigned: true}}
	b := newBench(t)
	try := func() error {
		_, err := b.Authenticate(context.WithoutCancel(t.Context()), client, clientauth.Request{
			Credentials: oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}, TLS: state(false, cert),
		})
		return err
	}
	b.keys = func() ([]byte, error) { return nil, errors.New("down") }
	if err := try(); code(err) != "temporarily_unavailable" {
		t.Errorf("%v", err)
	}
	b.pass(time.Minute)
	b.keys = func() ([]byte, error) { return josetest.JWKS(josetest.NewKey("ES256", "k1").JWK(nil)), nil }
	if err := try(); code(err) != "invalid_client" {
		t.Errorf("another key: %v", err)
	}
	b.pass(time.Minute)
	b.keys = func() ([]byte, error) {
		return josetest.JWKS(josetest.Key{KID: "k1", Alg: "ES256", Private: key}.JWK(nil)), nil
	}
	if err := try(); err != nil {
		t.Errorf("%v", err)
	}
}

// What is sent decides the method: a certificate beside it authenticates nobody
// and binds only who asked for that.
func TestCertificateBesideOtherCredentials(t *testing.T) {
	b := newBench(t)
	key := newKey(t)
	cert := certificate(t, key, subject)
	both := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{
		TLSSubject: subjectDN, Secrets: [][32]byte{clientauth.HashSecret(oldSecret)},
	}}
	public := clientauth.Client{ID: "web", Public: true}
	bound := func(c clientauth.Client) clientauth.Client { c.TLSBound = true; return c }
	secret := func(s string) oauth.Credentials {
		return oauth.Credentials{ClientID: "web", Method: oauth.AuthSecretPost, Secret: s}
	}
	none := oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}
	all := newBench(t, func(c *clientauth.Config) { c.BindAll = true })
	for name, tc := range map[string]struct {
		b      *bench
		client clientauth.Client
		creds  oauth.Credentials
		state  *tls.ConnectionState
		ok     bool
		bound  bool
	}{
		"a wrong secret is not made good":   {b, both, secret("x"), state(true, cert), false, false},
		"secret":                            {b, both, secret(oldSecret), state(true, cert), true, false},
		"secret, asked for":                 {b, bound(both), secret(oldSecret), state(true, cert), true, true},
		"secret, asked for, none there":     {b, bound(both), secret(oldSecret), nil, true, false},
		"certificate alone":                 {b, both, none, state(true, cert), true, true},
		"public":                            {b, public, none, state(false, cert), true, false},
		"public, asked for":                 {b, bound(public), none, state(false, cert), true, true},
		"public, all are bound":             {all, public, none, state(false, cert), true, true},
		"public, all are bound, none there": {all, public, none, state(false, nil), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.b.Authenticate(t.Context(), tc.client, clientauth.Request{Credentials: tc.creds, TLS: tc.state})
			if (err == nil) != tc.ok || (got.Certificate != "") != tc.bound {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestMethodIsHeld(t *testing.T) {
	b := newBench(t)
	for _, registered := range []string{"", oauth.AuthSecretBasic, oauth.AuthSecretPost, oauth.AuthPrivateKeyJWT} {
		client := clientauth.Client{ID: "web", Method: registered, Credentials: clientauth.Credentials{Secrets: [][32]byte{clientauth.HashSecret(oldSecret)}}}
		for _, used := range []string{oauth.AuthSecretBasic, oauth.AuthSecretPost} {
			_, err := b.Authenticate(t.Context(), client, clientauth.Request{Credentials: oauth.Credentials{ClientID: "web", Method: used, Secret: oldSecret}})
			if want := registered == "" || registered == used; (err == nil) != want {
				t.Errorf("registered for %q, uses %q: %v", registered, used, err)
			}
		}
	}
}

// A connection may outlive the certificate that its handshake was verified with
// (RFC 5280 §4.1.2.5); a self-signed one is good as long as the key is registered
// (RFC 8705 §2.2).
func TestCertificateExpires(t *testing.T) {
	key := newKey(t)
	cert := certificate(t, key, subject)
	byDN := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{TLSSubject: subjectDN}}
	byKey := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{
		JWKS: josetest.JWKS(josetest.Key{KID: "k1", Alg: "ES256", Private: key}.JWK(nil)), TLSSelfSigned: true,
	}}
	for name, tc := range map[string]struct {
		client clientauth.Client
		after  time.Duration
		ok     bool
	}{
		"subject, in time":     {byDN, time.Hour, true},
		"subject, not yet":     {byDN, -time.Second, false},
		"subject, expired":     {byDN, time.Hour + time.Second, false},
		"self-signed, expired": {byKey, time.Hour + time.Second, true},
		"self-signed, not yet": {byKey, -time.Second, true},
		"self-signed, in time": {byKey, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.pass(tc.after)
			_, err := b.Authenticate(t.Context(), tc.client, clientauth.Request{
				Credentials: oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}, TLS: state(tc.client.TLSSubject != "", cert),
			})
			if (err == nil) != tc.ok || !tc.ok && code(err) != "invalid_client" {
				t.Errorf("%v", err)
			}
		})
	}
}

// What a real TLS layer says: it verifies only if it was told to, and the name in
// a certificate that nobody verified counts for nothing.
func TestCertificatesOverTLS(t *testing.T) {
	b := newBench(t)
	key := newKey(t)
	cert := certificate(t, key, subject)
	byDN := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{TLSSubject: subjectDN}}
	byKey := clientauth.Client{ID: "web", Credentials: clientauth.Credentials{
		JWKS: josetest.JWKS(josetest.Key{KID: "k1", Alg: "ES256", Private: key}.JWK(nil)), TLSSelfSigned: true,
	}}
	trusted := x509.NewCertPool()
	trusted.AddCert(cert)
	for name, tc := range map[string]struct {
		mode   tls.ClientAuthType
		client clientauth.Client
		shows  bool
		status int
	}{
		"subject, verified":                 {tls.VerifyClientCertIfGiven, byDN, true, 200},
		"subject, asked for, not verified":  {tls.RequireAnyClientCert, byDN, true, 401},
		"key, asked for, not verified":      {tls.RequestClientCert, byKey, true, 200},
		"none shown":                        {tls.RequestClientCert, byKey, false, 401},
		"none shown, verified if there":     {tls.VerifyClientCertIfGiven, byDN, false, 401},
		"nobody asks, so none can be shown": {tls.NoClientCert, byKey, true, 401},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := b.Authenticate(r.Context(), tc.client, clientauth.Request{
					Credentials: oauth.Credentials{ClientID: "web", Method: oauth.AuthNone}, TLS: r.TLS,
				})
				if err != nil {
					oauth.WriteError(w, err)
				}
			}))
			srv.TLS = &tls.Config{ClientAuth: tc.mode, ClientCAs: trusted, Time: b.clock, MinVersion: tls.VersionTLS12}
			srv.StartTLS()
			defer srv.Close()
			client := srv.Client()
			if transport, ok := client.Transport.(*http.Transport); ok && tc.shows {
				transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Client-Cert", base64.StdEncoding.EncodeToString(cert.Raw))
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != tc.status {
				t.Errorf("%d", resp.StatusCode)
			}
		})
	}
}
