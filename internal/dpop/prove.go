package dpop

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/url"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Signer makes proofs with one key. It may be used concurrently.
type Signer struct {
	key jose.Signer
	jkt string
	now func() time.Time
}

// NewKey makes a key for proofs.
func NewKey() (jose.Signer, error) { return jose.NewSigner("ES256") }

// NewSigner makes a Signer; now is the clock that iat is read from.
func NewSigner(key jose.Signer, now func() time.Time) (*Signer, error) {
	if key.Key == nil || now == nil {
		return nil, errors.New("key and clock are required")
	}
	jkt, err := jose.Thumbprint(key.Key.Public())
	return &Signer{key, jkt, now}, err
}

// JKT is the thumbprint of the key: what a token will be bound to.
func (s *Signer) JKT() string { return s.jkt }

// Prove makes the proof for one request (RFC 9449 §4.2). accessToken and nonce
// may be "".
func (s *Signer) Prove(method, uri, accessToken, nonce string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return "", errURI
	}
	// htu is without query and fragment, and nobody's password belongs into it.
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	c := map[string]any{"jti": randomText(), "htm": method, "htu": u.String(), "iat": s.now().Unix()}
	if accessToken != "" {
		c["ath"] = hash(accessToken)
	}
	if nonce != "" {
		c["nonce"] = nonce
	}
	return jose.SignEmbedded(s.key, oauth.TypDPoP, c)
}

// randomText has 128 random bits; RFC 9449 §4.2 asks for 96.
func randomText() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
