package fakeop

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// ManyKeys is a key set of n RSA keys of so many bits: k0, k1 and so on. The
// numbers are no products of primes, and nobody has a private key.
func ManyKeys(n, bits int) http.HandlerFunc {
	return Raw(http.StatusOK, "application/json", KeySet(n, bits))
}

// KeySet is the document of ManyKeys.
func KeySet(n, bits int) string {
	modulus := make([]byte, bits/8)
	for i := range modulus {
		modulus[i] = 0xff
	}
	text := base64.RawURLEncoding.EncodeToString(modulus)
	var b strings.Builder
	b.WriteString(`{"keys":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"kty":"RSA","use":"sig","alg":"RS256","e":"AQAB","kid":"k` + strconv.Itoa(i) + `","n":"` + text + `"}`)
	}
	b.WriteString(`]}`)
	return b.String()
}
