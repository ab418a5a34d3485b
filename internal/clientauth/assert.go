package clientauth

import (
	"crypto/rand"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// assertionLife is far more than a call takes.
const assertionLife = time.Minute

// NewAssertion makes what a client authenticates with by private_key_jwt (RFC 7523
// §3), good once. The audience is the issuer, which no other server is
// (CONFORMANCE A34).
func NewAssertion(key jose.Signer, clientID, issuer string, now time.Time) (string, error) {
	return jose.Sign(key, "JWT", map[string]any{
		"iss": clientID, "sub": clientID, "aud": issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
}
