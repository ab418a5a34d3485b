package clientauth

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Thumbprint is the member x5t#S256 of a certificate (RFC 8705 §3.1).
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// peer is the certificate whose key the other side of the connection has proved
// to hold; nil = none.
func peer(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// verifyCertificate is tls_client_auth and self_signed_tls_client_auth.
func (a *Authenticator) verifyCertificate(ctx context.Context, client Client, state *tls.ConnectionState) (bool, error) {
	cert := peer(state)
	if cert == nil {
		return false, nil
	}
	if client.TLSSubject != "" && client.takes(oauth.AuthTLS) && isSubject(cert, client.TLSSubject, state, a.cfg.Now()) {
		return true, nil
	}
	if !client.TLSSelfSigned || !client.takes(oauth.AuthSelfSignedTLS) {
		return false, nil
	}
	keys := a.keys(client)
	if keys == nil {
		return false, nil
	}
	// RFC 8705 §2.2: the key is what counts, nobody has to vouch for it. x5c need
	// not be read, as it holds no other key than its JWK (RFC 7517 §4.7).
	holds, err := keys.Holds(ctx, cert.PublicKey)
	if errors.Is(err, jose.ErrKeySource) {
		return false, oauth.Unavailable(err)
	}
	return holds, err
}

// isSubject holds RFC 8705 §2.1: the TLS layer has built a chain to a CA that the
// administrator trusts for clients, and the subject is the registered one.
// Without the chain anybody could have written that name. A connection may live
// longer than the certificate that it began with.
func isSubject(cert *x509.Certificate, want string, state *tls.ConnectionState, now time.Time) bool {
	if len(state.VerifiedChains) == 0 || now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return false
	}
	expected, err := ParseDN(want)
	if err != nil {
		return false
	}
	found, err := subjectOf(cert)
	return err == nil && expected.equal(found)
}

// Shown is the thumbprint of the certificate of a TLS connection, whose key the
// other side has proved to hold; "" = none.
func Shown(state *tls.ConnectionState) string {
	cert := peer(state)
	if cert == nil {
		return ""
	}
	return Thumbprint(cert)
}
