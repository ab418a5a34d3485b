package wrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// object is a JSON object whose members stay as they are written.
type object = map[string]json.RawMessage

// added are the members of our metadata that are added to the provider's list,
// with what a provider means that does not write the list (OpenID Connect
// Discovery §3, RFC 8414 §2).
var added = map[string][]string{
	"grant_types_supported":                            {"authorization_code", "implicit"},
	"token_endpoint_auth_methods_supported":            {oauth.AuthSecretBasic},
	"token_endpoint_auth_signing_alg_values_supported": nil,
}

// mergeMetadata adds what we answer at the provider's token endpoint. Everything
// else stays the provider's. What is known of the provider does not come from this
// document: whoever asked for it may have had a say in it by fields of his header.
func (f *Front) mergeMetadata(r *http.Request, next Next, theirs []byte) ([]byte, string, error) {
	document, err := f.learn.understand(theirs)
	if err != nil {
		return nil, "", err
	}
	p, err := f.learn.wait(r, next)
	if err != nil {
		return nil, "", err
	}
	if !strings.Contains(r.URL.Path, oauth.WellKnownOpenID) {
		document = p // RFC 8414 knows nothing of ID tokens
	}
	if err := errors.Join(f.mergeable(document), f.mergeable(p)); err != nil {
		return nil, "", err
	}
	var all, ours object
	if err := errors.Join(oauth.DecodeObject(theirs, &all), oauth.DecodeObject(f.merge.Metadata, &ours)); err != nil {
		return nil, "", err
	}
	for name, standard := range added {
		if err := extend(all, ours, name, standard); err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
	}
	merged, err := encode(all)
	return merged, "", err
}

// extend adds the strings of one list.
func extend(all, ours object, name string, standard []string) error {
	var more []string
	if ours[name] == nil {
		return nil
	}
	if err := oauth.DecodeJSON(ours[name], &more); err != nil {
		return err
	}
	list := slices.Clone(standard)
	if raw, ok := all[name]; ok {
		if err := oauth.DecodeJSON(raw, &list); err != nil {
			return err
		}
	}
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	encoded, err := json.Marshal(list)
	all[name] = encoded
	return err
}

// mergeKeys adds the keys of claims tokens to the provider's key set.
func (f *Front) mergeKeys(r *http.Request, next Next, theirs []byte) ([]byte, string, error) {
	p, err := f.learn.wait(r, next)
	if err != nil {
		return nil, "", err
	}
	if err := f.mergeable(p); err != nil {
		return nil, "", err
	}
	own, err := f.ownKeys(r.Context(), p)
	if err != nil {
		return nil, "", err
	}
	var set object
	var keys []json.RawMessage
	if err := oauth.DecodeObject(theirs, &set); err != nil {
		return nil, "", err
	}
	// RFC 7517 §5: the member keys MUST be present.
	if err := oauth.DecodeJSON(set["keys"], &keys); err != nil {
		return nil, "", fmt.Errorf("the key set of the provider: %w", err)
	}
	if keys, err = join(keys, own); err != nil {
		return nil, "", err
	}
	if set["keys"], err = encode(keys); err != nil {
		return nil, "", err
	}
	merged, err := encode(set)
	return merged, keysCache, err
}

// join refuses a kid that stands for two keys: nobody could tell which one is
// meant.
func join(theirs, ours []json.RawMessage) ([]json.RawMessage, error) {
	known, err := kids(ours)
	if err != nil {
		return nil, err
	}
	others, err := kids(theirs)
	if err != nil {
		return nil, err
	}
	for kid := range known {
		if others[kid] {
			return nil, fmt.Errorf("the kid '%s' stands for a key of the provider and for one of ours", kid)
		}
	}
	return slices.Concat(theirs, ours), nil
}

// kids are the names of keys that have one.
func kids(keys []json.RawMessage) (map[string]bool, error) {
	all := make(map[string]bool, len(keys))
	for _, raw := range keys {
		var key struct {
			KID string `json:"kid"`
		}
		if err := oauth.DecodeObject(raw, &key); err != nil {
			return nil, fmt.Errorf("a key: %w", err)
		}
		if key.KID != "" {
			all[key.KID] = true
		}
	}
	return all, nil
}

// mergeable refuses a provider with which we cannot be one. CONFORMANCE A28: the
// algorithm of claims tokens is none of the provider's ID tokens, so that no
// relying party of it takes a claims token for an ID token.
func (f *Front) mergeable(p *provider) error {
	if p.token == "" || p.keys == "" {
		return misconfiguredError{"merge_jwks needs token endpoint and keys of the OpenID provider on the host of its issuer"}
	}
	if p.signsWith(f.merge.Algorithm) {
		return misconfiguredError{fmt.Sprintf("merge_jwks: the OpenID provider signs ID tokens with %s, so claims tokens must not: set the global option 'algorithm' to one that it does not use", f.merge.Algorithm)}
	}
	return nil
}

// ownKeys are our keys as they are published. One of an algorithm that was
// configured before and is the provider's is left out.
func (f *Front) ownKeys(ctx context.Context, p *provider) ([]json.RawMessage, error) {
	keys, err := f.merge.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var fit []jose.PublicKey
	for _, k := range keys {
		if !p.signsWith(k.Alg) {
			fit = append(fit, k)
		}
	}
	raw, err := jose.MarshalJWKS(fit...)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("there is no key of ours to publish")
	}
	return set.Keys, nil
}

// signsWith tells whether the provider signs ID tokens with an algorithm.
func (p *provider) signsWith(alg string) bool {
	return slices.ContainsFunc(p.signs, func(theirs string) bool { return sameAlgorithm(theirs, alg) })
}

// sameAlgorithm: RFC 9864 has given EdDSA a name for each curve.
func sameAlgorithm(a, b string) bool {
	if a == "Ed25519" {
		a = "EdDSA"
	}
	if b == "Ed25519" {
		b = "EdDSA"
	}
	return a == b
}

// encode writes JSON and leaves the text of raw members alone.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
