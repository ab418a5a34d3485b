package jose

import (
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// MarshalJWKS writes a JWK Set of public keys (RFC 7517 §5). It takes public
// keys alone, so no private parameter can get into it.
func MarshalJWKS(keys ...PublicKey) (json.RawMessage, error) {
	set := jwk.NewSet()
	for _, k := range keys {
		key, err := publicJWK(k)
		if err != nil {
			return nil, err
		}
		if err := set.AddKey(key); err != nil {
			return nil, err
		}
	}
	return json.Marshal(set)
}

func publicJWK(k PublicKey) (jwk.Key, error) {
	if !strong(k.Key) {
		return nil, fmt.Errorf("key %s is no public signing key", k.KID)
	}
	key, err := jwk.FromRaw(k.Key)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{jwk.KeyIDKey: k.KID, jwk.AlgorithmKey: k.Alg, jwk.KeyUsageKey: "sig"} {
		if value == "" {
			continue
		}
		if err := key.Set(name, value); err != nil {
			return nil, err
		}
	}
	return key, nil
}
