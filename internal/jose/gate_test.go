package jose_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

const limit = 16 << 10

var (
	ecKey    = josetest.NewKey("ES256", "ec-1")
	ecPair   = josetest.NewKeypair("ec-1")
	goodBody = map[string]any{"sub": "bob"}
)

// refused checks that the gate refuses and that the error does not quote.
func refused(t *testing.T, compact string) {
	t.Helper()
	token, err := jose.Parse(compact, limit)
	if !errors.Is(err, jose.ErrToken) || token != nil {
		t.Errorf("Parse = %v, %v, want ErrToken", token, err)
	}
	if err != nil && len(compact) > 20 && strings.Contains(err.Error(), compact) {
		t.Error("the error quotes the token")
	}
}

func accepted(t *testing.T, key josetest.Key, compact string) *jose.Token {
	t.Helper()
	token, err := jose.Parse(compact, limit)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	var claims map[string]any
	if err := token.Verify(t.Context(), key, jose.DefaultAlgs(), &claims); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return token
}

func TestSEC_01_EachAlgorithm(t *testing.T) {
	for _, alg := range jose.DefaultAlgs() {
		t.Run("SEC-01 "+alg, func(t *testing.T) {
			key := josetest.NewKey(alg, "kid of "+alg)
			token := accepted(t, key, key.Sign(map[string]any{"typ": "at+jwt"}, goodBody))
			if want := (jose.Header{Alg: alg, KID: "kid of " + alg, Typ: "at+jwt"}); token.Header != want {
				t.Errorf("header %+v, want %+v", token.Header, want)
			}
			other := josetest.NewKey(alg, "kid of "+alg)
			var claims map[string]any
			if err := token.Verify(t.Context(), other, jose.DefaultAlgs(), &claims); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("another key: %v, want ErrSignature", err)
			}
		})
	}
}

func TestSEC_01_AlgorithmsRefused(t *testing.T) {
	for name, compact := range map[string]string{
		"none":                       ecPair.None(nil, goodBody, ""),
		"none with a signature":      ecPair.None(nil, goodBody, "AAAA"),
		"HS256 with the public key":  ecPair.HMAC(nil, goodBody),
		"None":                       ecKey.Sign(map[string]any{"alg": "None"}, goodBody),
		"lower case":                 ecKey.Sign(map[string]any{"alg": "es256"}, goodBody),
		"HS384":                      ecKey.Sign(map[string]any{"alg": "HS384"}, goodBody),
		"ES256K":                     ecKey.Sign(map[string]any{"alg": "ES256K"}, goodBody),
		"ES512":                      josetest.NewKey("ES512", "ec-1").Sign(nil, goodBody),
		"RS1":                        ecKey.Sign(map[string]any{"alg": "RS1"}, goodBody),
		"unknown":                    ecKey.Sign(map[string]any{"alg": "XX"}, goodBody),
		"empty":                      ecKey.Sign(map[string]any{"alg": ""}, goodBody),
		"missing":                    ecKey.Sign(map[string]any{"alg": nil}, goodBody),
		"a number":                   ecKey.Sign(map[string]any{"alg": 1}, goodBody),
		"a list":                     ecKey.Sign(map[string]any{"alg": []string{"ES256"}}, goodBody),
		"null":                       ecKey.Raw(`{"alg":null,"kid":"ec-1"}`, `{}`),
		"Alg":                        ecKey.Raw(`{"Alg":"ES256","kid":"ec-1"}`, `{}`),
		"two":                        ecKey.Raw(`{"alg":"ES256","alg":"ES256","kid":"ec-1"}`, `{}`),
		"two, one none":              ecKey.Raw(`{"alg":"none","kid":"ec-1","alg":"ES256"}`, `{}`),
		"two, one spelled otherwise": ecKey.Raw(`{"alg":"ES256","kid":"ec-1","\u0061lg":"none"}`, `{}`),
	} {
		t.Run("SEC-01 "+name, func(t *testing.T) { refused(t, compact) })
	}
}

func TestSEC_02_HeaderMembers(t *testing.T) {
	for name, value := range map[string]any{
		"crit": []string{"exp"}, "jwk": ecKey.JWK(nil), "jku": "https://evil.example/", "x5u": "https://evil.example/",
		"x5c": []string{"AAAA"}, "b64": false, "zip": "DEF", "enc": "A256GCM",
	} {
		t.Run("SEC-02 "+name, func(t *testing.T) {
			refused(t, ecKey.Sign(map[string]any{name: value}, goodBody))
			refused(t, ecKey.Raw(`{"alg":"ES256","kid":"ec-1","`+name+`":null}`, `{}`))
		})
	}
	t.Run("SEC-02 others are ignored", func(t *testing.T) {
		accepted(t, ecKey, ecKey.Sign(map[string]any{"cty": "x", "x5t": "AAAA", "Crit": []string{"a"}, "url": "https://evil.example/"}, goodBody))
	})
}

func TestSEC_02_KeyID(t *testing.T) {
	for name, kid := range map[string]any{
		"missing": nil, "empty": "", "a number": 1, "an object": map[string]any{}, "NUL": "ec\x00-1", "line break": "ec-1\n",
		"DEL": "ec\x7f", "not ASCII": "\u00e9", "256 characters": strings.Repeat("a", 256),
	} {
		t.Run("SEC-02 "+name, func(t *testing.T) { refused(t, ecKey.Sign(map[string]any{"kid": kid}, goodBody)) })
	}
	for name, kid := range map[string]string{
		"path": "../../etc/passwd", "SQL": "' OR 1=1 --", "URL": "https://evil.example/", "255 characters": strings.Repeat("a", 255),
	} {
		t.Run("SEC-02 is a map key: "+name, func(t *testing.T) {
			compact := ecKey.Sign(map[string]any{"kid": kid}, goodBody)
			token, err := jose.Parse(compact, limit)
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := token.Verify(t.Context(), ecKey, jose.DefaultAlgs(), &claims); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("Verify: %v, want ErrNoKey", err)
			}
			key := ecKey
			key.KID = kid
			accepted(t, key, compact)
		})
	}
}

func TestCA_26_CompactAlone(t *testing.T) {
	good := ecKey.Sign(nil, goodBody)
	accepted(t, ecKey, good)
	parts := strings.Split(good, ".")
	h, p, s := parts[0], parts[1], parts[2]
	for name, compact := range map[string]string{
		"empty":                 "",
		"dots":                  "..",
		"one segment":           h,
		"two segments":          h + "." + p,
		"four segments":         good + ".AAAA",
		"trailing dot":          good + ".",
		"JWE, five segments":    h + "." + p + "." + s + ".AAAA.AAAA",
		"JWE header":            ecKey.Sign(map[string]any{"alg": "RSA-OAEP", "enc": "A256GCM"}, goodBody),
		"no header":             "." + p + "." + s,
		"detached payload":      h + ".." + s,
		"no signature":          h + "." + p + ".",
		"JSON, flattened":       `{"protected":"` + h + `","payload":"` + p + `","signature":"` + s + `"}`,
		"JSON, general":         `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`,
		"padded":                good + "=",
		"padded header":         h + "==." + p + "." + s,
		"standard alphabet":     h + "." + p + ".+/" + s[2:],
		"leading space":         " " + good,
		"trailing space":        good + " ",
		"trailing newline":      good + "\n",
		"CR LF inside":          h + "." + p[:4] + "\r\n" + p[4:] + "." + s,
		"LF in header":          h[:4] + "\n" + h[4:] + "." + p + "." + s,
		"CR in signature":       h + "." + p + "." + s[:4] + "\r" + s[4:],
		"trailing bits":         h + "." + p + "." + s[:len(s)-1] + string(otherSpelling(s[len(s)-1])),
		"NUL":                   good + "\x00",
		"Bearer":                "Bearer " + good,
		"nested":                ecKey.Raw(`{"alg":"ES256","kid":"ec-1","cty":"JWT"}`, good),
		"million dots":          strings.Repeat(".", limit),
		"payload is a list":     ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `[{}]`),
		"payload is a string":   ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `"a"`),
		"payload is null":       ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `null`),
		"payload is no JSON":    ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `{`),
		"payload and more":      ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `{}{}`),
		"payload is not UTF-8":  ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, "{\"sub\":\"\xff\"}"),
		"header is a list":      ecKey.Raw(`[]`, `{}`),
		"header is null":        ecKey.Raw(`null`, `{}`),
		"header is not UTF-8":   ecKey.Raw("{\"alg\":\"ES256\",\"kid\":\"ec-1\",\"typ\":\"\xff\"}", `{}`),
		"header and more":       ecKey.Raw(`{"alg":"ES256","kid":"ec-1"} x`, `{}`),
		"typ is no string":      ecKey.Raw(`{"alg":"ES256","kid":"ec-1","typ":1}`, `{}`),
		"header nested deeply":  ecKey.Raw(`{"alg":"ES256","kid":"ec-1","a":`+nested(40)+`}`, `{}`),
		"payload nested deeply": ecKey.Raw(`{"alg":"ES256","kid":"ec-1"}`, `{"a":`+nested(40)+`}`),
	} {
		t.Run("CA-26 "+name, func(t *testing.T) { refused(t, compact) })
	}
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// otherSpelling is a last character that a lax decoder takes for c: 64 bytes end
// with four bits that mean nothing.
func otherSpelling(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}

func TestSEC_04_SizesAndDuplicates(t *testing.T) {
	t.Run("SEC-04 limit", func(t *testing.T) {
		compact := ecKey.Sign(nil, goodBody)
		if _, err := jose.Parse(compact, len(compact)); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		if _, err := jose.Parse(compact, len(compact)-1); !errors.Is(err, jose.ErrToken) {
			t.Errorf("above the limit: %v, want ErrToken", err)
		}
	})
	t.Run("SEC-04 1 MiB", func(t *testing.T) {
		refused(t, ecKey.Sign(nil, map[string]any{"a": strings.Repeat("a", 1<<20)}))
	})
	t.Run("SEC-04 header", func(t *testing.T) {
		accepted(t, ecKey, ecKey.Sign(map[string]any{"a": strings.Repeat("a", 2000)}, goodBody))
		refused(t, ecKey.Sign(map[string]any{"a": strings.Repeat("a", 2048)}, goodBody))
	})
	const header = `{"alg":"ES256","kid":"ec-1"}`
	for name, compact := range map[string]string{
		"header kid":    ecKey.Raw(`{"alg":"ES256","kid":"ec-1","kid":"ec-2"}`, `{}`),
		"header typ":    ecKey.Raw(`{"alg":"ES256","kid":"ec-1","typ":"a","typ":"a"}`, `{}`),
		"header other":  ecKey.Raw(`{"alg":"ES256","kid":"ec-1","x":1,"x":1}`, `{}`),
		"aud":           ecKey.Raw(header, `{"aud":"a","aud":"b"}`),
		"aud, escaped":  ecKey.Raw(header, `{"aud":"a","a\u0075d":"b"}`),
		"inside":        ecKey.Raw(header, `{"cnf":{"jkt":"a","jkt":"b"}}`),
		"inside a list": ecKey.Raw(header, `{"permissions":[{"a":1,"a":2}]}`),
	} {
		t.Run("SEC-04 repeated "+name, func(t *testing.T) { refused(t, compact) })
	}
	t.Run("SEC-04 once", func(t *testing.T) {
		accepted(t, ecKey, ecKey.Raw(header, `{"aud":"a","Aud":"b","cnf":{"aud":"c"}}`))
	})
}
