package integration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// certificate is one for TLS clients, of another one (its CA) or of itself.
func certificate(t *testing.T, name string, ca *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Bob"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		IsCA: name == "ca", KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func pemOf(c tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

func thumbprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// showing makes the client show a certificate to whoever asks for one; nil = none.
func (w *world) showing(c *tls.Certificate) {
	transport := w.client.Transport.(*http.Transport)
	next := transport.Clone()
	transport.CloseIdleConnections()
	next.TLSClientConfig.GetClientCertificate = nil
	if c != nil { // also to who would not take it
		next.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
	}
	w.t.Cleanup(next.CloseIdleConnections)
	w.client.Transport = next
}

const asTLS = "https://as.localhost:{$UMA_PORT:8443} {\n\ttls internal\n"

// asksFor is the site of the authorization server with client_auth.
func asksFor(lines string) string {
	return "https://as.localhost:{$UMA_PORT:8443} {\n\ttls {\n\t\tissuer internal\n\t\tclient_auth {\n" + lines + "\t\t}\n\t}\n"
}

// Certificates of clients, from Caddy's own TLS layer (RFC 8705): the authorization
// server's half of OA-19.
func TestClientCertificates(t *testing.T) {
	ca := certificate(t, "ca", nil)
	good, wrong := certificate(t, "bob-client", &ca), certificate(t, "eve-client", &ca)
	forged := certificate(t, "bob-client", nil)
	self := certificate(t, "self", nil)
	dir := t.TempDir()
	write(t, dir, "ca.pem", pemOf(ca))
	keys := keyFile(t, josetest.Key{KID: "self", Alg: "ES256", Private: self.PrivateKey.(*ecdsa.PrivateKey)})
	request := "\t\t\tmode request\n"
	w := example(t, asTLS, asksFor(request),
		policyStart, "client named {\n\t\t\ttls_client_auth \"CN=bob-client,O=Bob\"\n\t\t}\n\t\tclient selfsigned {\n\t\t\tself_signed_tls_client_auth\n\t\t\tjwks_file "+keys+"\n\t\t}\n\t\tclient caddy-uma public\n\n\t\t"+policyStart)
	access := w.login("bob@bob.localhost", "bob-demo")
	as := func(id string, c *tls.Certificate, edits ...func(*http.Request)) answer {
		t.Helper()
		w.showing(c)
		return w.asClient(access, map[string]string{"client_id": id}, edits...)
	}
	bound := func(t *testing.T, a answer, c tls.Certificate) {
		t.Helper()
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.text)
		}
		if cnf, _ := payload(t, a.get("access_token"))["cnf"].(map[string]any); cnf["x5t#S256"] != thumbprint(c) || a.get("token_type") != "Bearer" {
			t.Errorf("cnf %v, %s", cnf, a.get("token_type"))
		}
	}
	inHeaders := func(c tls.Certificate) func(*http.Request) {
		return func(r *http.Request) {
			for _, name := range []string{"X-Client-Cert", "X-Ssl-Cert", "X-Forwarded-Client-Cert", "Client-Cert", "Ssl-Client-Cert"} {
				r.Header.Set(name, url.QueryEscape(pemOf(c)))
			}
		}
	}
	t.Run("self-signed", func(t *testing.T) { bound(t, as("selfsigned", &self), self) })
	t.Run("self-signed by another key", func(t *testing.T) { refusedClient(t, as("selfsigned", &forged)) })
	t.Run("no certificate", func(t *testing.T) { refusedClient(t, as("selfsigned", nil)) })
	t.Run("a certificate in a header", func(t *testing.T) { refusedClient(t, as("selfsigned", nil, inHeaders(self))) })
	t.Run("a name that nobody vouches for", func(t *testing.T) { refusedClient(t, as("named", &good)) })

	w.showing(nil)
	w.edit(asksFor(request), asksFor("\t\t\tmode verify_if_given\n\t\t\ttrust_pool file "+filepath.Join(dir, "ca.pem")+"\n"))
	t.Run("by the name in it", func(t *testing.T) { bound(t, as("named", &good), good) })
	t.Run("another name", func(t *testing.T) { refusedClient(t, as("named", &wrong)) })
	t.Run("its name in a header", func(t *testing.T) { refusedClient(t, as("named", nil, inHeaders(good))) })
	t.Run("another certificate, and its name in a header", func(t *testing.T) { refusedClient(t, as("named", &wrong, inHeaders(good))) })
	t.Run("its name, of another CA", func(t *testing.T) {
		w.showing(&forged)
		res, err := w.client.Get(w.url("as", "/.well-known/uma2-configuration"))
		if err == nil {
			_ = res.Body.Close()
			t.Errorf("Caddy took it: %d", res.StatusCode)
		}
	})
	t.Run("a public client that shows none", func(t *testing.T) {
		w.showing(nil)
		if a := w.asClient(access, nil); a.status != http.StatusOK || payload(t, a.get("access_token"))["cnf"] != nil {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
	w.showing(nil)
	meta := w.get(w.url("as", "/.well-known/uma2-configuration"), nil)
	if meta.body["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("OD-13: %s", meta.text)
	}
}
