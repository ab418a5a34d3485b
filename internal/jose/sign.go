package jose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// protected is the header of a token of ours (RFC 7515 §4.1).
type protected struct {
	Alg string          `json:"alg"`
	JWK json.RawMessage `json:"jwk,omitempty"`
	KID string          `json:"kid,omitempty"`
	Typ string          `json:"typ"`
}

// Sign makes a compact JWS with typ and kid over claims as JSON.
func Sign(key Signer, typ string, claims any) (string, error) {
	return sign(key, protected{Alg: key.Alg, KID: key.KID, Typ: typ}, claims)
}

// SignEmbedded makes a compact JWS with typ and, as jwk, the public key, over
// claims as JSON.
func SignEmbedded(key Signer, typ string, claims any) (string, error) {
	public, err := jwk.FromRaw(key.Key.Public())
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(public)
	if err != nil {
		return "", err
	}
	return sign(key, protected{Alg: key.Alg, JWK: data, Typ: typ}, claims)
}

func sign(key Signer, header protected, claims any) (string, error) {
	first, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encoding := base64.RawURLEncoding
	compact := make([]byte, 0, encoding.EncodedLen(len(first)+len(payload)+maxSignature)+4)
	compact = append(encoding.AppendEncode(compact, first), '.')
	compact = encoding.AppendEncode(compact, payload)
	made, err := signature(key, compact)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return string(encoding.AppendEncode(append(compact, '.'), made)), nil
}

// maxSignature is what a key of 4096 bits makes.
const maxSignature = 512
