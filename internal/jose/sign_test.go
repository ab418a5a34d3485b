package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// TestSignWithAKeyThatDoesNotFit: nothing is signed rather than something that
// nobody can verify.
func TestSignWithAKeyThatDoesNotFit(t *testing.T) {
	for _, of := range steadyKeys() {
		for _, alg := range append(jose.DefaultAlgs(), "none", "HS256", "ES256K", "") {
			isRSA := strings.HasSuffix(of.Alg, "S256") && strings.HasSuffix(alg, "S256") && len(alg) == 5 && alg[0] != 'E' && alg[0] != 'H' && of.Alg[0] != 'E'
			compact, err := jose.Sign(jose.Signer{KID: "k", Alg: alg, Key: of.Private}, "x", map[string]any{})
			if fit := alg == of.Alg || isRSA; fit != (err == nil) || fit != (compact != "") {
				t.Errorf("key of %s signs %s: %v", of.Alg, alg, err)
			}
		}
	}
}

// TestHeaderOfOurs: the members have a fixed order, and no others are there.
func TestHeaderOfOurs(t *testing.T) {
	key := steadyKey("ES256")
	signer := jose.Signer{KID: "k", Alg: "ES256", Key: key.Private}
	compact, err := jose.Sign(signer, "at+jwt", map[string]any{"a": "<&>"})
	must(err)
	first, _, _ := strings.Cut(compact, ".")
	header, err := base64.RawURLEncoding.DecodeString(first)
	if want := `{"alg":"ES256","kid":"k","typ":"at+jwt"}`; err != nil || string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	embedded, err := jose.SignEmbedded(signer, "dpop+jwt", map[string]any{})
	must(err)
	message, err := jws.Parse([]byte(embedded))
	must(err)
	all, err := message.Signatures()[0].ProtectedHeaders().AsMap(t.Context())
	must(err)
	if len(all) != 3 || all["typ"] != "dpop+jwt" || all["alg"] != jwa.ES256 || all["jwk"] == nil {
		t.Errorf("header %v", all)
	}
}

// TestWholePayload: a json.RawMessage is the object as it was signed.
func TestWholePayload(t *testing.T) {
	key := steadyKey("EdDSA")
	token, err := jose.Parse(key.Raw(`{"alg":"EdDSA","kid":"k"}`, " \n{\"a\": 1 }\t"), limit)
	must(err)
	for range 2 {
		var whole json.RawMessage
		if err := token.Verify(t.Context(), key, jose.DefaultAlgs(), &whole); err != nil || string(whole) != `{"a": 1 }` {
			t.Errorf("%q, %v", whole, err)
		}
		clear(whole) // the token keeps its own
	}
}

// TestAllocations: a bound on the garbage of a verification and a signature, well
// below what the library makes.
func TestAllocations(t *testing.T) {
	key := josetest.NewKey("EdDSA", "k")
	do := wholeVerify(t.Context(), key, key.Sign(map[string]any{"typ": "at+jwt"}, benchRPT))
	if n := testing.AllocsPerRun(50, func() { do() }); n > 65 {
		t.Errorf("verification of an RPT: %v allocations", n)
	}
	signer := jose.Signer{KID: "k", Alg: "EdDSA", Key: key.Private}
	if n := testing.AllocsPerRun(50, func() { _, _ = jose.Sign(signer, "at+jwt", benchRPT) }); n > 48 {
		t.Errorf("signature of an RPT: %v allocations", n)
	}
}
