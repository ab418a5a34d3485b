package jose

import (
	"crypto"
	"encoding/json"
	"errors"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Embedded is a token that brings its own public key and is NOT verified. Its
// signature says that the sender holds that key, and nothing about who he is.
type Embedded struct {
	Header Header
	// Thumbprint of the key (RFC 7638).
	Thumbprint string

	token *Token
	key   crypto.PublicKey
}

// ParseEmbedded is the gate for a token with the header member jwk, which Parse
// refuses. Only proofs of possession have one (RFC 9449 §4.2): whoever calls this
// must know the thumbprint from elsewhere or ask for nothing but possession. kid
// may be missing; it chooses nothing. Errors wrap ErrToken.
func ParseEmbedded(compact string, limit int) (*Embedded, error) {
	var e Embedded
	var err error
	e.token, err = parse(compact, limit, func(raw []byte) (Header, error) {
		h, key, err := readHeader(raw)
		if err != nil {
			return h, err
		}
		return h, e.take(key, h.Alg)
	})
	if err != nil {
		return nil, err
	}
	e.Header = e.token.Header
	return &e, nil
}

// take reads the key in the header.
func (e *Embedded) take(jwk []byte, alg string) error {
	if bare, ok := readBare(jwk); ok {
		if e.key, e.Thumbprint, ok = bare.public(); ok && fits(e.key, alg) {
			return nil
		}
		return refuse("jwk is no strong public key for the algorithm")
	}
	var err error
	if e.key, err = embeddedKey(jwk, alg); err != nil {
		return err
	}
	if e.Thumbprint, err = thumbprint(e.key); err != nil {
		return refuse("jwk cannot be used")
	}
	return nil
}

// Unverified decodes the payload strictly into v. Nothing in it can be trusted.
func (e *Embedded) Unverified(v any) error { return e.token.Unverified(v) }

// Verify checks the signature with the token's own key and one of algs, and
// decodes the verified payload strictly into v. The errors wrap ErrToken or
// ErrSignature.
func (e *Embedded) Verify(algs []string, v any) error {
	if !slices.Contains(algs, e.Header.Alg) {
		return refuse("the algorithm is not accepted")
	}
	return e.token.verify(e.key, v)
}

// private are the members of a JWK that nobody may show (RFC 7518 §6).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// embeddedKey reads jwk. RFC 9449 §4.3: it must not contain a private key.
func embeddedKey(raw []byte, alg string) (crypto.PublicKey, error) {
	var members map[string]any
	if err := oauth.DecodeObject(raw, &members); err != nil {
		return nil, refuse("jwk is missing or no object")
	}
	for _, name := range private {
		if _, there := members[name]; there {
			return nil, refuse("jwk holds a private key")
		}
	}
	var m member
	if err := oauth.DecodeObject(raw, &m); err != nil {
		return nil, refuse("jwk cannot be read")
	}
	public, ok := m.public(raw)
	if !ok || !fits(public, alg) || !sameSpelling(public, members) {
		return nil, refuse("jwk is no strong public key for the algorithm")
	}
	return public, nil
}

// sameSpelling demands the one spelling of a key, without padding and of full
// length: with another the sender computes another thumbprint than we do.
func sameSpelling(public crypto.PublicKey, members map[string]any) bool {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return false
	}
	data, err := json.Marshal(key)
	if err != nil {
		return false
	}
	var want map[string]any
	if err := oauth.DecodeObject(data, &want); err != nil {
		return false
	}
	for name, value := range want {
		if members[name] != value {
			return false
		}
	}
	return true
}

// Thumbprint is the SHA-256 thumbprint of a public key (RFC 7638).
func Thumbprint(public crypto.PublicKey) (string, error) {
	if !strong(public) {
		return "", errors.New("no public signing key")
	}
	return thumbprint(public)
}

// NewSigner makes a key for ES256, EdDSA, PS256 or RS256; its KID is its
// thumbprint.
func NewSigner(alg string) (Signer, error) {
	if alg == algSecret {
		return Signer{}, errAlg(alg)
	}
	k, err := generate(alg)
	if err != nil {
		return Signer{}, err
	}
	return Signer{KID: k.kid, Alg: k.alg, Key: k.signer}, nil
}
