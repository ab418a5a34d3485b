package integration_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// The resource server authenticates for its PAT with a key or a certificate, and
// nobody else's will do.
func TestOA_17_OA_19_TheResourceServersOwnCredentials(t *testing.T) {
	const secret = "\t\tclient_secret {$RS_SECRET:example-only-change-me-0000000000}\n"
	dir := t.TempDir()
	ca := certificate(t, "ca", nil)
	good, other := certificate(t, "api", &ca), certificate(t, "ledger", &ca)
	write(t, dir, "ca.pem", pemOf(ca))
	for name, c := range map[string]*ecdsa.PrivateKey{"good": good.PrivateKey.(*ecdsa.PrivateKey), "other": other.PrivateKey.(*ecdsa.PrivateKey)} {
		write(t, dir, name+".key", keyPEM(t, c))
	}
	write(t, dir, "good.pem", pemOf(good))
	write(t, dir, "other.pem", pemOf(other))
	thumb, err := jose.Thumbprint(good.Leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	keys := keyFile(t, josetest.Key{KID: thumb, Alg: "ES256", Private: good.PrivateKey.(*ecdsa.PrivateKey)})
	at := func(name string) string { return filepath.Join(dir, name) }
	const registered = "{$RS_SECRET:example-only-change-me-0000000000}\n\n\t\t# Bob"
	for name, edits := range map[string][]string{
		"OA-17 private_key_jwt": {
			registered, "{\n\t\t\tjwks_file " + keys + "\n\t\t}\n\n\t\t# Bob",
			secret, "\t\tprivate_key_jwt " + at("good.key") + "\n",
			at("good.key"), at("other.key"),
		},
		"OA-19 tls_client_auth": {
			registered, "{\n\t\t\ttls_client_auth \"CN=api,O=Bob\"\n\t\t}\n\n\t\t# Bob",
			secret, "\t\ttls_client_auth " + at("good.pem") + " " + at("good.key") + "\n",
			at("good.pem") + " " + at("good.key"), at("other.pem") + " " + at("other.key"),
			asTLS, asksFor("\t\t\tmode verify_if_given\n\t\t\ttrust_pool file " + at("ca.pem") + "\n"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := example(t, append(edits[:4:4], edits[6:]...)...)
			rpt := w.boundRPT(w.login("bob@bob.localhost", "bob-demo"), nil)
			if a := w.request(http.MethodGet, w.url("api", "/"), "", bearer(rpt)); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.text)
			}
			w.edit(edits[4], edits[5])
			if a := w.request(http.MethodGet, w.url("api", "/"), "", nil); a.status != http.StatusForbidden || a.header.Get("Warning") == "" {
				t.Errorf("with another's: %d %v", a.status, a.header)
			}
		})
	}
}

func keyPEM(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
