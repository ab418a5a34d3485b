package jose_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// bothWays reads a proof with a key of these members, and with one more member,
// which jwx reads then: one verdict, one thumbprint.
func bothWays(t *testing.T, key josetest.Key, jwk map[string]any) (ok bool) {
	t.Helper()
	var prints [2]string
	var errs [2]error
	for i, more := range []map[string]any{{}, {"ext": true}} {
		maps.Copy(more, jwk)
		member, err := json.Marshal(more)
		must(err)
		compact := signSteadily(key, `{"alg":"`+key.Alg+`","typ":"dpop+jwt","jwk":`+string(member)+`}`, `{"sub":"bob"}`)
		var token *jose.Embedded
		if token, errs[i] = jose.ParseEmbedded(compact, limit); errs[i] == nil {
			var claims map[string]any
			prints[i], errs[i] = token.Thumbprint, token.Verify(jose.DefaultAlgs(), &claims)
		} else if !errors.Is(errs[i], jose.ErrToken) {
			t.Errorf("%v: an error of no kind: %v", jwk, errs[i])
		}
	}
	if (errs[0] == nil) != (errs[1] == nil) || prints[0] != prints[1] {
		t.Errorf("%s: %q: bare %q, %v, not bare %q, %v", key.Alg, jwk, prints[0], errs[0], prints[1], errs[1])
	}
	return errs[0] == nil
}

func TestDP_01_BareKey(t *testing.T) {
	ec, long, ed := steadyKey("ES256"), steadyKey("ES384"), steadyKey("EdDSA")
	x, _ := bare(ec, nil)["x"].(string)
	y, _ := bare(ec, nil)["y"].(string)
	for name, tc := range map[string]struct {
		key  josetest.Key
		edit map[string]any
		ok   bool
	}{
		"ES256":                   {ec, nil, true},
		"ES384":                   {long, nil, true},
		"EdDSA":                   {ed, nil, true},
		"RS256":                   {steadyKey("RS256"), nil, true},
		"kid beside it":           {ec, map[string]any{"kid": "k"}, true},
		"x padded":                {ec, map[string]any{"x": x + "="}, false},
		"x with a line break":     {ec, map[string]any{"x": x + "\n"}, false},
		"x with trailing bits":    {ec, map[string]any{"x": x[:len(x)-1] + string(otherSpelling(x[len(x)-1]))}, false},
		"x with a zero before":    {ec, map[string]any{"x": "AAAA" + x}, false},
		"x short":                 {ec, map[string]any{"x": x[:40]}, false},
		"x empty":                 {ec, map[string]any{"x": ""}, false},
		"x missing":               {ec, map[string]any{"x": nil}, false},
		"x a number":              {ec, map[string]any{"x": 1}, false},
		"y missing":               {ec, map[string]any{"y": nil}, false},
		"x and y changed round":   {ec, map[string]any{"x": y, "y": x}, false},
		"both zero":               {ec, map[string]any{"x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}, false},
		"above the field":         {ec, map[string]any{"x": strings.Repeat("_", 42) + "8"}, false},
		"kty missing":             {ec, map[string]any{"kty": nil}, false},
		"kty of another kind":     {ec, map[string]any{"kty": "OKP"}, false},
		"kty in lower case":       {ec, map[string]any{"kty": "ec"}, false},
		"kty and crv in one":      {ec, map[string]any{"kty": "EC P-256", "crv": ""}, false},
		"crv of another length":   {ec, map[string]any{"crv": "P-384"}, false},
		"crv unknown":             {ec, map[string]any{"crv": "secp256k1"}, false},
		"crv missing":             {ec, map[string]any{"crv": nil}, false},
		"X25519":                  {ed, map[string]any{"crv": "X25519"}, false},
		"Ed25519 short":           {ed, map[string]any{"x": "AAAA"}, false},
		"Ed25519 with an empty y": {ed, map[string]any{"y": ""}, true},
		"Ed25519 with a y":        {ed, map[string]any{"y": "AAAA"}, true},
		"P-384 for ES256":         {josetest.Key{Alg: "ES256", Private: ec.Private}, bare(long, nil), false},
		"Ed25519's kty for an EC": {ed, map[string]any{"kty": "EC"}, false},
	} {
		t.Run("DP-01 "+name, func(t *testing.T) {
			if ok := bothWays(t, tc.key, bare(tc.key, tc.edit)); ok != tc.ok {
				t.Errorf("accepted: %v, want %v", ok, tc.ok)
			}
		})
	}
}

// FuzzBareKey: what is read the fast way is read the same by jwx.
func FuzzBareKey(f *testing.F) {
	keys := steadyKeys()
	for i, key := range keys {
		jwk := bare(key, nil)
		word := func(name string) string { s, _ := jwk[name].(string); return s }
		f.Add(uint8(i), word("kty"), word("crv"), word("x"), word("y"))
		f.Add(uint8(i), word("kty"), word("crv"), word("y"), word("x"))
		f.Add(uint8(i), word("kty"), word("crv"), word("x")+"=", word("y"))
		f.Add(uint8(i), "EC", "P-256", strings.Repeat("A", 43), strings.Repeat("A", 43))
	}
	f.Fuzz(func(t *testing.T, n uint8, kty, crv, x, y string) {
		jwk := map[string]any{}
		for name, value := range map[string]string{"kty": kty, "crv": crv, "x": x, "y": y} {
			if value != "" {
				jwk[name] = value
			}
		}
		bothWays(t, pick(keys, n), jwk)
	})
}
