package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// one of the steady keys.
func pick(keys []josetest.Key, n uint8) josetest.Key { return keys[int(n)%len(keys)] }

// FuzzVerifyCompact: the thin path and jwx say the same of any text.
func FuzzVerifyCompact(f *testing.F) {
	keys := steadyKeys()
	for i, key := range keys {
		good := signSteadily(key, `{"alg":"`+key.Alg+`","kid":"k","typ":"at+jwt"}`, `{"sub":"bob"}`)
		parts := strings.Split(good, ".")
		for _, seed := range []string{
			good, good + "=", good + "\n", good + ".", "." + good, parts[0] + ".." + parts[2], parts[0] + "." + parts[1] + ".",
			parts[1] + "." + parts[1] + "." + parts[2], parts[2] + "." + parts[1] + "." + parts[0], "", "..",
			good[:len(good)-1], good + "A", strings.ToUpper(good), strings.ReplaceAll(good, "-", "+"),
		} {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, compact string) { sameVerdict(t, compact, pick(keys, n)) })
}

// headers are for FuzzVerifyMutated; ALG is the key's algorithm.
var headers = []string{
	`{"alg":"ALG","kid":"k"}`, `{"alg":"ALG","kid":"k","typ":"at+jwt"}`, ` {"alg":"ALG","kid":"k"}`, "{\"alg\":\"ALG\",\"kid\":\"k\"}\n",
	`{"kid":"\u006b","\u0061lg":"ALG"}`, `{"alg":"none","kid":"k"}`, `{"alg":"HS256","kid":"k"}`, `{"alg":"ES256K","kid":"k"}`,
	`{"alg":"ES256","kid":"k"}`, `{"alg":"ES384","kid":"k"}`, `{"alg":"RS256","kid":"k"}`, `{"alg":"PS256","kid":"k"}`, `{"alg":"EdDSA","kid":"k"}`,
	`{"alg":"ALG","kid":"k","crit":["b64"],"b64":false}`, `{"alg":"ALG","kid":"k","b64":true}`, `{"alg":"ALG","kid":"k","crit":[]}`,
	`{"alg":"ALG","kid":"k","jku":"https://evil.example/"}`, `{"alg":"ALG","kid":"k","jwk":{}}`, `{"alg":"ALG","kid":"k","jwk":null}`,
	`{"alg":"ALG","kid":"k","cty":1}`, `{"alg":"ALG","kid":"k","cty":null}`, `{"alg":"ALG","kid":"k","cty":"JWT"}`,
	`{"alg":"ALG","kid":"k","x5t":1}`, `{"alg":"ALG","kid":"k","x5t":null}`, `{"alg":"ALG","kid":"k","x5t":"a"}`,
	`{"alg":"ALG","kid":"k","x5t#S256":[]}`, `{"alg":"ALG","kid":"k","x5t#S256":""}`, `{"alg":"ALG","kid":"k","typ":null}`,
	`{"alg":"ALG","kid":"k","alg":"ALG"}`, `{"alg":"ALG","kid":"k","x":{"y":[1,{"z":null}]}}`, `{"alg":"ALG","kid":"k","x":{"y":1,"y":1}}`,
	`{"Alg":"none","alg":"ALG","kid":"k","Crit":1}`, `{"alg":"ALG"}`, `{"kid":"k"}`, `{}`, `[]`, `null`, ``, `{"alg":"ALG","kid":"k"}x`,
}

// FuzzVerifyMutated signs a header and a payload with a key of each algorithm,
// then replaces a piece of a segment (or, for 3, of the whole): the thin path and
// jwx say the same.
func FuzzVerifyMutated(f *testing.F) {
	keys := steadyKeys()
	for i := range keys {
		for j, header := range headers {
			f.Add(uint8(i), header, `{"sub":"bob","exp":1800000000}`, uint8(j), uint16(0), uint16(0), []byte(nil))
		}
		for _, payload := range []string{
			`{}`, ` {"a":[1,2.5e3,"x",null,true]} `, `{"a":1,"a":2}`, `{"a":{"b":1,"\u0062":2}}`, `{"a":1e400}`, `[]`, `null`, "{\"a\":\"\xff\"}", `{"a":1}{}`, ``,
		} {
			f.Add(uint8(i), headers[0], payload, uint8(0), uint16(0), uint16(0), []byte(nil))
		}
		for segment := range uint8(4) {
			for _, at := range []uint16{0, 31, 32, 48, 63, 95} {
				f.Add(uint8(i), headers[1], `{"sub":"bob"}`, segment, at, uint16(1), []byte{0})
				f.Add(uint8(i), headers[1], `{"sub":"bob"}`, segment, at, uint16(0), []byte{0})
				f.Add(uint8(i), headers[1], `{"sub":"bob"}`, segment, at, uint16(32), make([]byte, 32))
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, header, payload string, segment uint8, at, length uint16, insert []byte) {
		key := pick(keys, n)
		good := signSteadily(key, strings.ReplaceAll(header, "ALG", key.Alg), payload)
		whole := sameVerdict(t, good, key)
		if length == 0 && len(insert) == 0 {
			return
		}
		bad := mutate(good, int(segment)%4, int(at), int(length), insert)
		if sameVerdict(t, bad, key) && whole && bad != good && !strings.HasPrefix(key.Alg, "E") {
			t.Errorf("%s: %q is accepted like %q", key.Alg, bad, good)
		}
	})
}

func mutate(compact string, segment, at, length int, insert []byte) string {
	edit := func(b []byte) []byte {
		at = min(at, len(b))
		return slices.Concat(b[:at], insert, b[min(at+length, len(b)):])
	}
	if segment == 3 {
		return string(edit([]byte(compact)))
	}
	return josetest.Resegment(compact, segment, edit)
}

// FuzzSign: what the thin path signs, jwx verifies and reads the same, and the
// other way round.
func FuzzSign(f *testing.F) {
	for i := range steadyKeys() {
		for _, seed := range [][3]string{
			{"at+jwt", "k", "bob"},
			{"", "k", ""},
			{"JWT", "https://as.example/#1", "<script>&\u2028"},
			{"x\"y", "\\", "\x00\u00e9"},
			{"at+jwt", strings.Repeat("k", 256), "b"},
			{"at+jwt", "", "b"},
			{"\u00e9", "k\n", strings.Repeat("long", 500)},
		} {
			f.Add(uint8(i), seed[0], seed[1], seed[2])
		}
	}
	keys := steadyKeys()
	f.Fuzz(func(t *testing.T, n uint8, typ, kid, claim string) {
		key := pick(keys, n)
		key.KID = kid
		claims := map[string]any{"claim": claim, "n": len(claim)}
		payload, err := json.Marshal(claims)
		must(err)
		ours, err := jose.Sign(jose.Signer{KID: kid, Alg: key.Alg, Key: key.Private}, typ, claims)
		if err != nil {
			t.Fatal(err)
		}
		theirs := signedByJWX(t, key, typ, payload)
		for _, compact := range []string{ours, theirs} {
			got, err := jws.Verify([]byte(compact), jws.WithKey(jwa.SignatureAlgorithm(key.Alg), key.Private.Public()))
			if err != nil || string(got) != string(payload) {
				t.Errorf("%s: jwx reads %s, %v", compact, got, err)
			}
		}
		sameHeader(t, ours, theirs)
		_, err1 := thin(t, ours, key)
		_, err2 := thin(t, theirs, key)
		if isKID := kid != "" && len(kid) < 256 && strings.Trim(kid, printable) == ""; len(ours) < limit && len(typ)+len(kid) < 300 && (isKID != (err1 == nil) || isKID != (err2 == nil)) {
			t.Errorf("kid %q: %v, %v", kid, err1, err2)
		}
	})
}

// printable is ASCII, in order.
const printable = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"

func signedByJWX(t *testing.T, key josetest.Key, typ string, payload []byte) string {
	t.Helper()
	headers := jws.NewHeaders()
	must(headers.Set(jws.TypeKey, typ))
	must(headers.Set(jws.KeyIDKey, key.KID))
	compact, err := jws.Sign(payload, jws.WithKey(jwa.SignatureAlgorithm(key.Alg), key.Private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(compact)
}

// sameHeader compares alg, kid and typ as jwx reads them.
func sameHeader(t *testing.T, ours, theirs string) {
	t.Helper()
	var all [2][3]string
	for i, compact := range []string{ours, theirs} {
		first, _, _ := strings.Cut(compact, ".")
		raw, err := base64.RawURLEncoding.DecodeString(first)
		must(err)
		var h struct{ Alg, KID, Typ string }
		must(json.Unmarshal(raw, &h))
		all[i] = [3]string{h.Alg, h.KID, h.Typ}
	}
	if all[0] != all[1] {
		t.Errorf("header %q, jwx writes %q", all[0], all[1])
	}
}
