package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// keyFile is the form of a key in storage (DESIGN §8).
type keyFile struct {
	V           int             `json:"v"`
	KID         string          `json:"kid"`
	Alg         string          `json:"alg"`
	Created     time.Time       `json:"created"`
	NotBefore   time.Time       `json:"not_before"`
	RetireAfter time.Time       `json:"retire_after,omitzero"`
	JWK         json.RawMessage `json:"jwk"`
}

const (
	keyFileVersion = 1
	algSecret      = "secret"
)

// ringKey is a key in memory.
type ringKey struct {
	kid, alg  string
	created   time.Time
	notBefore time.Time
	retire    time.Time
	signer    crypto.Signer
	secret    [32]byte
}

func (k *ringKey) isSecret() bool { return k.signer == nil }

// id is how a sealed box names its key.
func (k *ringKey) id() [4]byte {
	sum := sha256.Sum256(k.secret[:])
	return [4]byte(sum[:4])
}

// folder is where the keys of a purpose lie. The issuer stands in it as a hash:
// nothing from outside becomes part of a storage key.
func folder(role, issuer, purpose string) string {
	sum := sha256.Sum256([]byte(issuer))
	name := base32.StdEncoding.EncodeToString(sum[:])[:16]
	return path.Join("uma", role, name, purpose)
}

// generate makes a new key. Its kid does not begin with a dash: administrators type
// it, and a command line would take it for a flag.
func generate(alg string) (*ringKey, error) {
	k, err := generateAny(alg)
	for err == nil && k.kid[0] == '-' {
		k, err = generateAny(alg)
	}
	return k, err
}

func generateAny(alg string) (*ringKey, error) {
	k := &ringKey{alg: alg}
	var err error
	switch alg {
	case algSecret:
		_, err = rand.Read(k.secret[:])
	case "ES256":
		k.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.signer, err = generateEd25519()
	case "PS256", "RS256":
		k.signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = errAlg(alg)
	}
	if err != nil {
		return nil, err
	}
	k.kid, err = thumbprint(k.raw())
	return k, err
}

func generateEd25519() (ed25519.PublicKey, crypto.Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	return public, private, err
}

func (k *ringKey) raw() any {
	if k.isSecret() {
		return k.secret[:]
	}
	return k.signer
}

// thumbprint is the kid of a key (RFC 7638).
func thumbprint(raw any) (string, error) {
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return "", err
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// isThumbprint tells whether a text has the form of a kid of ours: base64url of
// 32 bytes. Nothing else becomes part of a storage key.
func isThumbprint(kid string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(kid)
	return err == nil && len(sum) == sha256.Size && len(kid) == base64.RawURLEncoding.EncodedLen(sha256.Size)
}

func (k *ringKey) marshal() ([]byte, error) {
	key, err := jwk.FromRaw(k.raw())
	if err != nil {
		return nil, err
	}
	private, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(keyFile{
		V: keyFileVersion, KID: k.kid, Alg: k.alg, Created: k.created,
		NotBefore: k.notBefore, RetireAfter: k.retire, JWK: private,
	})
}

// parseKeyFile reads a key file. Its kid must be the key's own thumbprint.
func parseKeyFile(data []byte) (*ringKey, error) {
	var f keyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, errors.New("not a key file")
	}
	if f.V != keyFileVersion {
		return nil, fmt.Errorf("version %d of the key file is unknown to this program", f.V)
	}
	parsed, err := jwk.ParseKey(f.JWK)
	if err != nil {
		return nil, errors.New("the jwk of the key file cannot be read")
	}
	k := &ringKey{kid: f.KID, alg: f.Alg, created: f.Created, notBefore: f.NotBefore, retire: f.RetireAfter}
	if err := k.take(parsed); err != nil {
		return nil, err
	}
	if kid, err := thumbprint(k.raw()); err != nil || kid != f.KID {
		return nil, errors.New("the kid of the key file is not the thumbprint of its key")
	}
	return k, nil
}

// take sets the private key or secret, if it fits the algorithm.
func (k *ringKey) take(parsed jwk.Key) error {
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return errors.New("the jwk of the key file cannot be used")
	}
	if secret, ok := raw.([]byte); ok && k.alg == algSecret && len(secret) == len(k.secret) {
		copy(k.secret[:], secret)
		return nil
	}
	signer, ok := raw.(crypto.Signer)
	if !ok || !strong(signer.Public()) || !fits(signer.Public(), k.alg) {
		return errors.New("the key is weak or does not fit its algorithm")
	}
	k.signer = signer
	return nil
}
