package fakeop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"time"
)

// authority is a CA that makes a certificate for any name it is asked for.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// sharedCA is made once per test binary: keys cost time.
var sharedCA = sync.OnceValue(newAuthority)

func newAuthority() *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	tmpl := template("fakeop CA")
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	check(err)
	cert, err := x509.ParseCertificate(der)
	check(err)
	return &authority{cert: cert, key: key, leaves: map[string]*tls.Certificate{}}
}

// template is valid for any clock of a test between 2000 and 2100.
func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(err)
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// PEM is the CA certificate as a file would have it.
func (op *OP) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: op.ca.cert.Raw})
}

func (a *authority) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequestClientCert, // so that a test sees whether one is shown
		// For a client that names no server, because its URL has the address.
		Certificates: []tls.Certificate{*a.leaf("127.0.0.1")},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.leaf(hello.ServerName), nil
		},
	}
}

func (a *authority) leaf(name string) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if leaf, ok := a.leaves[name]; ok {
		return leaf
	}
	a.leaves[name] = a.sign(name, template(name))
	return a.leaves[name]
}

// sign makes a certificate for a name.
func (a *authority) sign(name string, tmpl *x509.Certificate) *tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	tmpl.KeyUsage, tmpl.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	check(err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Certificate is one of the shared CA, for a server that a test runs itself.
func Certificate(name string) tls.Certificate { return *sharedCA().leaf(name) }

// CertificateBetween is one of the shared CA that is valid for a time.
func CertificateBetween(name string, notBefore, notAfter time.Time) tls.Certificate {
	tmpl := template(name)
	tmpl.NotBefore, tmpl.NotAfter = notBefore, notAfter
	return *sharedCA().sign(name, tmpl)
}
