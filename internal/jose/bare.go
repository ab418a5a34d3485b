package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// bareKey is the key of a proof as nearly everybody writes it: a JWK of EC or OKP
// with the members that its thumbprint is made of (RFC 7638 §3.2), all strings, and
// none besides. It is read a dozen times faster than any JWK, and there is a proof
// with each request.
type bareKey struct{ kty, crv, x, y string }

// readBare reads one. ok is false for everything else, good or bad.
func readBare(raw []byte) (b bareKey, ok bool) {
	ok = true
	err := oauth.Members(raw, func(name, value []byte) {
		var isText bool
		switch string(name) {
		case "kty":
			b.kty, isText = text(value)
		case "crv":
			b.crv, isText = text(value)
		case "x":
			b.x, isText = text(value)
		case "y":
			b.y, isText = text(value)
		}
		ok = ok && isText
	})
	return b, ok && err == nil && (b.kty == "OKP") == (b.y == "")
}

// public gives the key and its thumbprint, if the key is strong and written the
// one way: without padding and of full length.
func (b bareKey) public() (key crypto.PublicKey, thumbprint string, ok bool) {
	switch b.kty + " " + b.crv {
	case "EC P-256":
		key, ok = b.point(elliptic.P256(), 32)
	case "EC P-384":
		key, ok = b.point(elliptic.P384(), 48)
	case "OKP Ed25519":
		x, err := oauth.DecodeBase64(b.x)
		key, ok = ed25519.PublicKey(x), err == nil && len(x) == ed25519.PublicKeySize
	}
	if !ok {
		return nil, "", false
	}
	return key, b.thumbprint(), true
}

func (b bareKey) point(curve elliptic.Curve, size int) (crypto.PublicKey, bool) {
	x, err := oauth.DecodeBase64(b.x)
	if err != nil || len(x) != size {
		return nil, false
	}
	y, err := oauth.DecodeBase64(b.y)
	if err != nil || len(y) != size {
		return nil, false
	}
	const uncompressed = 4 // SEC 1 §2.3.3
	key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{uncompressed}, x, y))
	return key, err == nil // a point that is not on the curve is an error
}

// thumbprint is over the members in the order of their names, without space (RFC
// 7638 §3). Nothing in them needs an escape.
func (b bareKey) thumbprint() string {
	text := `{"crv":"` + b.crv + `","kty":"` + b.kty + `","x":"` + b.x + `"`
	if b.y != "" {
		text += `,"y":"` + b.y + `"`
	}
	sum := sha256.Sum256([]byte(text + "}"))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
