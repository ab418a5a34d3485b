package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// The oracle is the path that the thin one took the place of: a gate that decodes
// header and payload into maps with go-jose's JSON, and jwx behind it. It stays
// here so that the two can be held together.

// rsaKey is made once in a process: RSA keys cannot be made from a seed.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	return key
})

// steadyKeys are one key for each algorithm, in the order of DefaultAlgs. But for RSA
// they are the same in every process of a fuzz run.
func steadyKeys() []josetest.Key {
	p256, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), 7))
	must(err)
	p384, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 47), 7))
	must(err)
	return []josetest.Key{
		{KID: "k", Alg: "ES256", Private: p256},
		{KID: "k", Alg: "ES384", Private: p384},
		{KID: "k", Alg: "RS256", Private: rsaKey()},
		{KID: "k", Alg: "PS256", Private: rsaKey()},
		{KID: "k", Alg: "EdDSA", Private: ed25519.NewKeyFromSeed(make([]byte, 32))},
	}
}

func steadyKey(alg string) josetest.Key {
	for _, key := range steadyKeys() {
		if key.Alg == alg {
			return key
		}
	}
	panic("no key for " + alg)
}

// oracle gives what the old path gives: the payload of a token that it accepts.
func oracle(compact string, key josetest.Key) (map[string]any, error) {
	if err := oldGate(compact, key); err != nil {
		return nil, err
	}
	payload, err := jws.Verify([]byte(compact), jws.WithKey(jwa.SignatureAlgorithm(key.Alg), key.Private.Public()), jws.WithCompact())
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, oauth.DecodeObject(payload, &claims)
}

func oldGate(compact string, key josetest.Key) error {
	parts := strings.Split(compact, ".")
	if len(compact) > limit || len(parts) != 3 {
		return errors.New("form")
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(b) == 0 || strings.ContainsAny(part, "\r\n") || i < 2 && !utf8.Valid(b) {
			return errors.New("segment")
		}
		raw[i] = b
	}
	var header, payload map[string]any
	if err := errors.Join(oauth.DecodeObject(raw[0], &header), oauth.DecodeObject(raw[1], &payload)); err != nil {
		return err
	}
	for _, name := range []string{"crit", "jku", "x5u", "x5c", "b64", "zip", "enc", "jwk"} {
		if _, there := header[name]; there {
			return errors.New(name)
		}
	}
	if typ, there := header["typ"]; there && reflect.TypeOf(typ) != reflect.TypeFor[string]() {
		return errors.New("typ")
	}
	// Stricter than the old path: jwx verifies the header without the space around
	// it, so it takes what somebody has added; and it takes null for a string.
	if raw[0][len(raw[0])-1] != '}' || raw[0][0] != '{' {
		return errors.New("space")
	}
	for _, name := range []string{"cty", "x5t", "x5t#S256"} {
		if value, there := header[name]; there && value == nil {
			return errors.New(name)
		}
	}
	if header["alg"] != key.Alg || header["kid"] != key.KID || len(raw[0]) > 2048 {
		return errors.New("header")
	}
	return nil
}

// thin is the path of today.
func thin(t *testing.T, compact string, key josetest.Key) (map[string]any, error) {
	t.Helper()
	token, err := jose.Parse(compact, limit)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	return claims, token.Verify(t.Context(), key, jose.DefaultAlgs(), &claims)
}

// sameVerdict holds the two paths together and tells whether they accept. The thin
// one is stricter in three points: the salt of PS256 is as long as the hash, and those
// of oldGate.
func sameVerdict(t *testing.T, compact string, key josetest.Key) bool {
	t.Helper()
	ours, err := thin(t, compact, key)
	theirs, wrong := oracle(compact, key)
	switch {
	case (err == nil) == (wrong == nil):
	case err != nil && key.Alg == "PS256" && otherSalt(compact, key):
	default:
		t.Fatalf("%s: %q: %v, the old path: %v", key.Alg, compact, err, wrong)
	}
	if err == nil && !reflect.DeepEqual(ours, theirs) {
		t.Errorf("%s: %q: claims %v, the old path: %v", key.Alg, compact, ours, theirs)
	}
	if err != nil && !errors.Is(err, jose.ErrToken) && !errors.Is(err, jose.ErrSignature) && !errors.Is(err, jose.ErrNoKey) {
		t.Errorf("%s: %q: an error of no kind: %v", key.Alg, compact, err)
	}
	return err == nil
}

// otherSalt tells whether a signature has a salt that RFC 7518 §3.5 does not allow.
func otherSalt(compact string, key josetest.Key) bool {
	input, made := cut(compact)
	sum, public := sha256.Sum256(input), key.Private.Public().(*rsa.PublicKey)
	auto := rsa.VerifyPSS(public, crypto.SHA256, sum[:], made, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	hash := rsa.VerifyPSS(public, crypto.SHA256, sum[:], made, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	return auto == nil && hash != nil
}

// signSteadily is key.Raw, but for RSA-PSS the same each time, so that a fuzz run
// learns from what it does.
func signSteadily(key josetest.Key, header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	private, ok := key.Private.(*ecdsa.PrivateKey)
	if !ok {
		return key.SignInput(input)
	}
	var sum []byte
	hash := crypto.SHA256
	if key.Alg == "ES384" {
		hash = crypto.SHA384
		all := sha512.Sum384([]byte(input))
		sum = all[:]
	} else {
		all := sha256.Sum256([]byte(input))
		sum = all[:]
	}
	der, err := private.Sign(nil, sum, hash) // RFC 6979
	must(err)
	return input + "." + encode(fixed(der, (private.Curve.Params().BitSize+7)/8))
}

// signPSS makes a signature with a salt of any length.
func signPSS(key josetest.Key, input []byte, salt int) []byte {
	sum := sha256.Sum256(input)
	made, err := rsa.SignPSS(rand.Reader, key.Private.(*rsa.PrivateKey), crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
	must(err)
	return made
}
