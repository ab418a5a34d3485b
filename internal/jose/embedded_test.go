package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// bare is the public key as a proof carries it; edits as in josetest.
func bare(key josetest.Key, edits map[string]any) map[string]any {
	all := key.JWK(map[string]any{"kid": nil, "alg": nil, "use": nil})
	for name, value := range edits {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// embed signs with the key in the header and no kid.
func embed(key josetest.Key, jwk any) string {
	return key.Sign(map[string]any{"kid": nil, "typ": "dpop+jwt", "jwk": jwk}, goodBody)
}

func TestDP_01_EmbeddedKey(t *testing.T) {
	for _, alg := range jose.DefaultAlgs() {
		t.Run("DP-01 "+alg, func(t *testing.T) {
			key, other := josetest.NewKey(alg, ""), josetest.NewKey(alg, "")
			var claims map[string]any
			token, err := jose.ParseEmbedded(embed(key, bare(key, nil)), limit)
			if err != nil {
				t.Fatal(err)
			}
			if err := token.Verify(jose.DefaultAlgs(), &claims); err != nil || claims["sub"] != "bob" {
				t.Errorf("Verify: %v, %v", err, claims)
			}
			if want, err := jose.Thumbprint(key.Private.Public()); err != nil || token.Thumbprint != want {
				t.Errorf("thumbprint %s, want %s, %v", token.Thumbprint, want, err)
			}
			if err := token.Verify([]string{"XX"}, &claims); !errors.Is(err, jose.ErrToken) {
				t.Errorf("another algorithm is demanded: %v", err)
			}
			token, err = jose.ParseEmbedded(embed(key, bare(other, nil)), limit)
			if err != nil {
				t.Fatal(err)
			}
			if err := token.Verify(jose.DefaultAlgs(), &claims); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("another key: %v, want ErrSignature", err)
			}
		})
	}
}

// refusedEmbedded checks that no token comes out.
func refusedEmbedded(t *testing.T, compact string) {
	t.Helper()
	if token, err := jose.ParseEmbedded(compact, limit); !errors.Is(err, jose.ErrToken) || token != nil {
		t.Errorf("ParseEmbedded = %v, %v, want ErrToken", token, err)
	}
}

func TestDP_01_EmbeddedKeyRefused(t *testing.T) {
	ec, rsa, ed := josetest.NewKey("ES256", ""), josetest.NewRSA("RS256", "", 2048), josetest.NewKey("EdDSA", "")
	weak, p521 := josetest.NewRSA("RS256", "", 1024), josetest.NewKey("ES512", "")
	x, _ := bare(ec, nil)["x"].(string)
	for name, compact := range map[string]string{
		"no jwk":              embed(ec, nil),
		"null":                ec.Raw(`{"alg":"ES256","typ":"dpop+jwt","jwk":null}`, `{}`),
		"a text":              embed(ec, "x"),
		"a list":              embed(ec, []any{bare(ec, nil)}),
		"empty":               embed(ec, map[string]any{}),
		"private d":           embed(ec, bare(ec, map[string]any{"d": "AAAA"})),
		"private d, null":     ec.Raw(`{"alg":"ES256","jwk":{"kty":"EC","d":null}}`, `{}`),
		"RSA with primes":     embed(rsa, bare(rsa, map[string]any{"p": "AAAA"})),
		"RSA with qi":         embed(rsa, bare(rsa, map[string]any{"qi": "AAAA"})),
		"oct":                 embed(ec, map[string]any{"kty": "oct", "k": "AAAA"}),
		"oct without k":       embed(ec, map[string]any{"kty": "oct"}),
		"RSA 1024":            embed(weak, bare(weak, nil)),
		"RSA 8192":            embed(rsa, bare(rsa, map[string]any{"n": strings.Repeat("_", 1365) + "w"})),
		"RSA, e = 3":          embed(rsa, bare(rsa, map[string]any{"e": "Aw"})),
		"RSA, long e":         embed(rsa, bare(rsa, map[string]any{"e": "AAEAAQ"})),
		"P-521":               embed(p521, bare(p521, nil)),
		"off the curve":       embed(ec, bare(ec, map[string]any{"y": x})),
		"another curve":       embed(ec, bare(ec, map[string]any{"crv": "P-384"})),
		"a short point":       embed(ec, bare(ec, map[string]any{"x": "AAAA"})),
		"padded":              embed(ec, bare(ec, map[string]any{"x": x + "="})),
		"X25519":              embed(ed, bare(ed, map[string]any{"crv": "X25519"})),
		"short Ed25519":       embed(ed, bare(ed, map[string]any{"x": "AAAA"})),
		"alg of another kind": embed(ec, bare(rsa, nil)),
		"alg differs":         embed(ec, bare(ec, map[string]any{"alg": "ES384"})),
		"for encryption":      embed(ec, bare(ec, map[string]any{"use": "enc"})),
		"for signing only":    embed(ec, bare(ec, map[string]any{"key_ops": []string{"sign"}})),
		"two jwk":             ec.Raw(`{"alg":"ES256","jwk":{},"jwk":{}}`, `{}`),
		"alg none":            ec.Sign(map[string]any{"alg": "none", "jwk": bare(ec, nil)}, goodBody),
		"alg HS256":           ec.Sign(map[string]any{"alg": "HS256", "jwk": bare(ec, nil)}, goodBody),
		"jku beside it":       ec.Sign(map[string]any{"jku": "https://evil.example/", "jwk": bare(ec, nil)}, goodBody),
		"x5c beside it":       ec.Sign(map[string]any{"x5c": []string{"AAAA"}, "jwk": bare(ec, nil)}, goodBody),
		"crit":                ec.Sign(map[string]any{"crit": []string{"b64"}, "jwk": bare(ec, nil)}, goodBody),
		"four segments":       embed(ec, bare(ec, nil)) + ".AAAA",
		"no object":           ec.Raw(headerOf(t, ec), `[]`),
	} {
		t.Run("DP-01 "+name, func(t *testing.T) { refusedEmbedded(t, compact) })
	}
	t.Run("DP-01 accepted beside them", func(t *testing.T) {
		for _, edits := range []map[string]any{nil, {"use": "sig"}, {"alg": "ES256"}, {"key_ops": []string{"verify"}}, {"kid": "any"}, {"x": x}, {"other": 1}} {
			if _, err := jose.ParseEmbedded(embed(ec, bare(ec, edits)), limit); err != nil {
				t.Errorf("%v: %v", edits, err)
			}
		}
		if _, err := jose.ParseEmbedded(embed(rsa, bare(rsa, map[string]any{"n": strings.Repeat("_", 682) + "8"})), limit); err != nil {
			t.Errorf("RSA 4096: %v", err)
		}
	})
	t.Run("DP-01 limit", func(t *testing.T) {
		good := embed(ec, bare(ec, nil))
		if _, err := jose.ParseEmbedded(good, len(good)); err != nil {
			t.Error(err)
		}
		if _, err := jose.ParseEmbedded(good, len(good)-1); !errors.Is(err, jose.ErrToken) {
			t.Errorf("one byte more: %v", err)
		}
	})
	t.Run("SEC-02 Parse takes no embedded key", func(t *testing.T) {
		refused(t, ec.Sign(map[string]any{"kid": "ec-1", "jwk": bare(ec, nil)}, goodBody))
	})
}

func headerOf(t *testing.T, key josetest.Key) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"alg": key.Alg, "jwk": bare(key, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A coordinate that begins with a zero byte is written with it, and only so.
func TestDP_01_LeadingZero(t *testing.T) {
	for {
		key := josetest.NewKey("ES256", "")
		public, _ := key.Private.Public().(*ecdsa.PublicKey)
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if point[1] != 0 {
			continue
		}
		if _, err := jose.ParseEmbedded(embed(key, bare(key, nil)), limit); err != nil {
			t.Error(err)
		}
		short := base64.RawURLEncoding.EncodeToString(new(big.Int).SetBytes(point[1:33]).Bytes())
		refusedEmbedded(t, embed(key, bare(key, map[string]any{"x": short})))
		return
	}
}

func TestDP_02_Thumbprint(t *testing.T) {
	for name, tc := range map[string]struct{ alg, jwk, want string }{
		"RFC 7638 §3.1": {"RS256", `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
		"RFC 9449 §6.1": {"ES256", `{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}`, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
		"RFC 8037 §A.3": {"EdDSA", `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
	} {
		t.Run("DP-02 "+name, func(t *testing.T) {
			compact := fixedKey.Raw(`{"typ":"dpop+jwt","alg":"`+tc.alg+`","jwk":`+tc.jwk+`}`, `{}`)
			token, err := jose.ParseEmbedded(compact, limit)
			if err != nil {
				t.Fatal(err)
			}
			if token.Thumbprint != tc.want {
				t.Errorf("%s, want %s", token.Thumbprint, tc.want)
			}
			if err := token.Verify(jose.DefaultAlgs(), &struct{}{}); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("signed by another key: %v", err)
			}
		})
	}
}

func TestSignEmbedded(t *testing.T) {
	for _, alg := range []string{"ES256", "EdDSA", "PS256", "RS256"} {
		key, err := jose.NewSigner(alg)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jose.SignEmbedded(key, "dpop+jwt", goodBody)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jose.ParseEmbedded(compact, limit)
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := token.Verify([]string{alg}, &claims); err != nil || token.Thumbprint != key.KID || token.Header.Typ != "dpop+jwt" {
			t.Errorf("%s: %v, %+v", alg, err, token)
		}
	}
	for _, alg := range []string{"secret", "HS256", "none", ""} {
		if _, err := jose.NewSigner(alg); err == nil {
			t.Errorf("a key for %q", alg)
		}
	}
	weak := josetest.NewRSA("RS256", "", 1024)
	if _, err := jose.Thumbprint(weak.Private.Public()); err == nil {
		t.Error("the thumbprint of a weak key")
	}
}

// FuzzParseEmbedded: what is accepted is read the same by the library, and the
// key in it verifies there, too.
func FuzzParseEmbedded(f *testing.F) {
	jwk, err := json.Marshal(bare(fixedKey, nil))
	if err != nil {
		f.Fatal(err)
	}
	header := `{"alg":"EdDSA","typ":"dpop+jwt","jwk":` + string(jwk) + `}`
	f.Add(fixedKey.Raw(header, `{"jti":"a"}`), header, `{"jti":"a"}`)
	f.Add("a.b.c", `{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}}`, `{}`)
	f.Add("..", `{"alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"AA"}}`, `{"a":1,"a":2}`)
	f.Add("", `{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},"jwk":{}}`, `[]`)
	f.Fuzz(func(t *testing.T, compact, header, payload string) {
		for _, token := range []string{compact, fixedKey.Raw(header, payload)} {
			e, err := jose.ParseEmbedded(token, limit)
			if err != nil {
				if !errors.Is(err, jose.ErrToken) || e != nil {
					t.Errorf("ParseEmbedded(%q) = %v, %v", token, e, err)
				}
				continue
			}
			differEmbedded(t, token, e)
		}
	})
}

func differEmbedded(t *testing.T, compact string, e *jose.Embedded) {
	t.Helper()
	message, err := jws.Parse([]byte(compact))
	if err != nil {
		t.Fatalf("%q: the library refuses: %v", compact, err)
	}
	protected := message.Signatures()[0].ProtectedHeaders()
	if protected.Algorithm() != jwa.SignatureAlgorithm(e.Header.Alg) || protected.Type() != e.Header.Typ || protected.JWK() == nil {
		t.Errorf("%q: header %+v, the library reads %v", compact, e.Header, protected)
	}
	var claims map[string]json.RawMessage
	if err := e.Verify(jose.DefaultAlgs(), &claims); err != nil {
		return
	}
	payload, err := jws.Verify([]byte(compact), jws.WithKey(protected.Algorithm(), protected.JWK()))
	if err != nil {
		t.Fatalf("%q: the library refuses: %v", compact, err)
	}
	var raw json.RawMessage
	if err := e.Unverified(&raw); err != nil || !bytes.Equal(raw, bytes.TrimSpace(payload)) {
		t.Errorf("%q: payload %s or %s, %v", compact, raw, payload, err)
	}
}
