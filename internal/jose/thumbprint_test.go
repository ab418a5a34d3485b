package jose_test

import (
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
)

// RFC 7638 §3.1, the example.
func TestThumbprint(t *testing.T) {
	const modulus = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	n, err := base64.RawURLEncoding.DecodeString(modulus)
	if err != nil {
		t.Fatal(err)
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	if got, err := jose.Thumbprint(key); err != nil || got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := jose.Thumbprint("a text"); err == nil {
		t.Errorf("a text has the thumbprint %s", got)
	}
	if got, err := jose.Thumbprint(&rsa.PublicKey{N: big.NewInt(3), E: 65537}); err == nil {
		t.Errorf("a weak key has the thumbprint %s", got)
	}
}

// Ids that people type do not look like flags.
func TestNewSigner_Typed(t *testing.T) {
	for range 2000 { // one in 64 would
		if key, err := jose.NewSigner("EdDSA"); err != nil || key.KID[0] == '-' {
			t.Fatal(key.KID, err)
		}
	}
}
