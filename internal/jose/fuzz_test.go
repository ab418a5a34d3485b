package jose_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// fixedKey is the same in every process of a fuzz run.
var fixedKey = josetest.Key{KID: "k", Alg: "EdDSA", Private: ed25519.NewKeyFromSeed(make([]byte, 32))}

// FuzzParse takes a token as it is, and a header and a payload that are signed.
// What the gate and Verify accept, the library accepts, too, and reads the same
// in it.
func FuzzParse(f *testing.F) {
	const header = `{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`
	good := fixedKey.Raw(header, `{"sub":"bob"}`)
	for _, seed := range [][3]string{
		{good, header, `{"sub":"bob","aud":["a"],"exp":1800000000}`},
		{good + ".", `{"alg":"none","kid":"k"}`, `{}`},
		{strings.Replace(good, ".", "..", 1), `{"alg":"EdDSA","kid":"k","alg":"none"}`, `{"aud":"a","aud":"b"}`},
		{good + "\n", `{"alg":"EdDSA","kid":"k","crit":["b64"],"b64":false}`, `[]`},
		{good + "=", `{"alg":"EdDSA","kid":"k","jku":"https://evil.example/"}`, `null`},
		{`{"payload":"e30","signatures":[]}`, `{"alg":"EdDSA","kid":"\u006b"}`, "{\"a\":\"\xff\"}"},
		{"..", `{"Alg":"EdDSA","kid":"k"}`, `{"a":1e400}`},
		{"a.b.c.d.e", " {\"kid\":\"k\",\"alg\":\"EdDSA\"}\n", ` {"a":[[[[]]]]} `},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, compact, header, payload string) {
		differ(t, compact)
		differ(t, fixedKey.Raw(header, payload))
	})
}

func differ(t *testing.T, compact string) {
	t.Helper()
	token, err := jose.Parse(compact, limit)
	if err != nil {
		if !errors.Is(err, jose.ErrToken) || token != nil {
			t.Errorf("Parse(%q) = %v, %v", compact, token, err)
		}
		return
	}
	var claims map[string]json.RawMessage
	if err := token.Verify(t.Context(), fixedKey, jose.DefaultAlgs(), &claims); err != nil {
		return
	}
	if strings.Count(compact, ".") != 2 || strings.ContainsAny(compact, "\r\n= {") {
		t.Errorf("%q is accepted", compact)
	}
	payload, err := jws.Verify([]byte(compact), jws.WithKey(jwa.EdDSA, fixedKey.Private.Public()))
	if err != nil {
		t.Fatalf("%q: the library refuses: %v", compact, err)
	}
	message, err := jws.Parse([]byte(compact))
	if err != nil {
		t.Fatal(err)
	}
	protected := message.Signatures()[0].ProtectedHeaders()
	if protected.Algorithm() != jwa.EdDSA || protected.KeyID() != token.Header.KID || protected.Type() != token.Header.Typ {
		t.Errorf("%q: header %+v, the library reads %v", compact, token.Header, protected)
	}
	var theirs map[string]json.RawMessage
	if err := json.Unmarshal(payload, &theirs); err != nil || len(theirs) != len(claims) {
		t.Fatalf("%q: payload %v, encoding/json reads %v, %v", compact, claims, theirs, err)
	}
	for name, value := range theirs {
		if !bytes.Equal(value, claims[name]) {
			t.Errorf("%q: %s is %s or %s", compact, name, claims[name], value)
		}
	}
}
