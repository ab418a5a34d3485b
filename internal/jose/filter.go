package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// maxKeys is how many keys a key set may have (CONFORMANCE SEC-04).
const maxKeys = 64

// parseJWKS reads a stranger's JWK Set and keeps the keys that may verify
// something here. A key that is unknown, weak or for another use is skipped; a
// set that holds a private or symmetric key, or two keys with one kid, is not
// to be trusted with the rest either. A key without a usable kid verifies no
// token, but a certificate may be of it.
func parseJWKS(data []byte) ([]PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if oauth.DecodeObject(data, &set) != nil {
		// The cause may quote a member of any length, and this is remembered.
		return nil, oauth.ErrNotJSON
	}
	if set.Keys == nil || len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("a key set of 0 to %d keys is expected", maxKeys)
	}
	var keys []PublicKey
	seen := map[string]bool{}
	for _, raw := range set.Keys {
		key, ok, err := parseKey(raw)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if key.KID != "" && seen[key.KID] {
			return nil, errors.New("two keys have one kid")
		}
		seen[key.KID] = true
		keys = append(keys, key)
	}
	return keys, nil
}

// exponent is 65537. It is compared as text, as the library cuts off what does
// not fit into its number.
const exponent = "AQAB"

// member of a JWK that decides whether it is used at all (RFC 7517 §4).
type member struct {
	KTY    string   `json:"kty"`
	KID    string   `json:"kid"`
	Use    string   `json:"use"`
	Alg    string   `json:"alg"`
	KeyOps []string `json:"key_ops"`
	E      any      `json:"e"`

	D   any `json:"d"`
	P   any `json:"p"`
	Q   any `json:"q"`
	DP  any `json:"dp"`
	DQ  any `json:"dq"`
	QI  any `json:"qi"`
	Oth any `json:"oth"`
	K   any `json:"k"`
}

func parseKey(raw []byte) (key PublicKey, usable bool, err error) {
	var m member
	if oauth.DecodeObject(raw, &m) != nil {
		return key, false, oauth.ErrNotJSON
	}
	if m.secret() {
		return key, false, errors.New("the key set holds a secret")
	}
	public, ok := m.public(raw)
	if !ok {
		return key, false, nil
	}
	if !isKID(m.KID) {
		m.KID = ""
	}
	return PublicKey{KID: m.KID, Alg: m.Alg, Key: public}, true, nil
}

// secret tells whether this is, or holds, a key that nobody else may have. A prime
// or an exponent of RSA gives the rest away (RFC 7518 §6.3.2).
func (m member) secret() bool {
	parts := []any{m.D, m.P, m.Q, m.DP, m.DQ, m.QI, m.Oth, m.K}
	return m.KTY == "oct" || slices.ContainsFunc(parts, func(part any) bool { return part != nil })
}

// public reads the key itself, if it may verify signatures and is strong.
func (m member) public(raw []byte) (crypto.PublicKey, bool) {
	if m.KTY == "RSA" && m.E != exponent {
		return nil, false
	}
	wrongUse := m.Use != "" && m.Use != "sig" || m.KeyOps != nil && !slices.Contains(m.KeyOps, "verify")
	if wrongUse || !slices.Contains([]string{"RSA", "EC", "OKP"}, m.KTY) {
		return nil, false
	}
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, false
	}
	var public crypto.PublicKey
	if err := parsed.Raw(&public); err != nil {
		return nil, false
	}
	return public, strong(public) && (m.Alg == "" || fits(public, m.Alg))
}

// strong refuses weak keys, keys so long that checking a signature would cost
// seconds, and points that are on no curve (CONFORMANCE SEC-04).
func strong(public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096 && k.E == 65537
	case *ecdsa.PublicKey:
		_, err := k.ECDH() // checks that the point is on the curve
		return err == nil && (k.Curve == elliptic.P256() || k.Curve == elliptic.P384())
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}

// fits tells whether a key is of the kind that an algorithm needs.
func fits(public crypto.PublicKey, alg string) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "PS256"
	case *ecdsa.PublicKey:
		return alg == "ES256" && k.Curve == elliptic.P256() || alg == "ES384" && k.Curve == elliptic.P384()
	case ed25519.PublicKey:
		return alg == "EdDSA" && len(k) == ed25519.PublicKeySize // with another length the standard library panics
	}
	return false
}
