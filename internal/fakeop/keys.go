package fakeop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is one key of the provider.
type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

func newKey(id string) signingKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return signingKey{id: id, key: key}
}

func marshalKeys(keys []signingKey) []byte {
	var set jose.JSONWebKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Algorithm: "ES256", Use: "sig"})
	}
	data, err := json.Marshal(set)
	check(err)
	return data
}

// KID is the identifier of the key that signs at the moment.
func (op *OP) KID() string {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.keys[len(op.keys)-1].id
}

// Rotate adds a key that signs from now on; with drop the others are gone.
func (op *OP) Rotate(kid string, drop bool) {
	op.mu.Lock()
	defer op.mu.Unlock()
	if drop {
		op.keys = nil
	}
	op.keys = append(op.keys, newKey(kid))
}

// Sign makes a compact JWS (ES256) with this typ over the claims; an absent iss
// is the provider's issuer, an iss of nil is left out.
func (op *OP) Sign(claims map[string]any, typ string) string {
	op.mu.Lock()
	key := op.keys[len(op.keys)-1]
	op.mu.Unlock()
	return sign(key, op.withIssuer(claims), typ)
}

// Forge signs with a key that the provider does not publish, under the kid of
// one that it does.
func (op *OP) Forge(claims map[string]any, typ string) string {
	return sign(newKey(op.KID()), op.withIssuer(claims), typ)
}

func (op *OP) withIssuer(claims map[string]any) map[string]any {
	all := map[string]any{"iss": op.Issuer}
	for name, value := range claims {
		all[name] = value
		if name == "iss" && value == nil {
			delete(all, name)
		}
	}
	return all
}

func sign(k signingKey, claims map[string]any, typ string) string {
	payload, err := json.Marshal(claims)
	check(err)
	opts := (&jose.SignerOptions{}).WithHeader("kid", k.id)
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.key}, opts)
	check(err)
	jws, err := signer.Sign(payload)
	check(err)
	compact, err := jws.CompactSerialize()
	check(err)
	return compact
}

// check ends the test: nothing in here fails but by a mistake in a test.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
