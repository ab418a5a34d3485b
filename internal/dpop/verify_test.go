package dpop_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

func random() string { return rand.Text() }

func TestDP_01_Proof(t *testing.T) {
	for _, alg := range dpop.Algs() {
		t.Run("DP-01 "+alg, func(t *testing.T) {
			b := newBench(t)
			key := josetest.NewKey(alg, "")
			proof, err := b.verify(request, b.proof(key, nil, nil))
			if err != nil || proof.JKT != jkt(t, key) {
				t.Errorf("Verify = %+v, %v", proof, err)
			}
			other := josetest.NewKey(alg, "")
			if _, err := b.verify(request, b.proof(key, map[string]any{"jwk": public(other, nil)}, nil)); !errors.Is(err, dpop.ErrProof) {
				t.Errorf("signed by another key: %v", err)
			}
		})
	}
	t.Run("DP-01 other members are ignored", func(t *testing.T) {
		b := newBench(t)
		if _, err := b.verify(request, b.proof(key, map[string]any{"kid": "x"}, map[string]any{"exp": 1, "iss": "x", "ath": "x", "nonce": "x"})); err != nil {
			t.Error(err)
		}
	})
}

func TestDP_01_Mutations(t *testing.T) {
	weak := josetest.NewRSA("RS256", "", 1024)
	pair := josetest.NewKeypair("")
	for name, tc := range map[string]struct {
		header, claims map[string]any
		key            *josetest.Key
	}{
		"typ missing":         {header: map[string]any{"typ": nil}},
		"typ JWT":             {header: map[string]any{"typ": "JWT"}},
		"typ of an RPT":       {header: map[string]any{"typ": "at+jwt"}},
		"typ in upper case":   {header: map[string]any{"typ": "DPOP+JWT"}},
		"typ a number":        {header: map[string]any{"typ": 1}},
		"alg none":            {header: map[string]any{"alg": "none"}},
		"alg HS256":           {header: map[string]any{"alg": "HS256"}},
		"alg of another kind": {header: map[string]any{"alg": "RS256"}},
		"jwk missing":         {header: map[string]any{"jwk": nil}},
		"jwk private":         {header: map[string]any{"jwk": public(key, map[string]any{"d": "AAAA"})}},
		"jwk oct":             {header: map[string]any{"jwk": map[string]any{"kty": "oct", "k": "AAAA"}}},
		"jwk of another":      {header: map[string]any{"jwk": public(josetest.NewKey("ES256", ""), nil)}},
		"jwk weak":            {key: &weak},
		"jku":                 {header: map[string]any{"jku": "https://evil.example/"}},
		"crit":                {header: map[string]any{"crit": []string{"x"}}},
		"jti missing":         {claims: map[string]any{"jti": nil}},
		"jti empty":           {claims: map[string]any{"jti": ""}},
		"jti a number":        {claims: map[string]any{"jti": 1}},
		"jti too long":        {claims: map[string]any{"jti": strings.Repeat("a", 257)}},
		"htm missing":         {claims: map[string]any{"htm": nil}},
		"htm another":         {claims: map[string]any{"htm": "GET"}},
		"htm in lower case":   {claims: map[string]any{"htm": "post"}},
		"htu missing":         {claims: map[string]any{"htu": nil}},
		"htu another":         {claims: map[string]any{"htu": "https://as.alice.example/uma/revoke"}},
		"htu a list":          {claims: map[string]any{"htu": []string{tokenURI}}},
		"iat missing":         {claims: map[string]any{"iat": nil}},
		"iat a text":          {claims: map[string]any{"iat": "1800000000"}},
		"iat negative":        {claims: map[string]any{"iat": -1}},
		"iat in ms":           {claims: map[string]any{"iat": 1800000000000}},
		"too long":            {claims: map[string]any{"x": strings.Repeat("a", 8<<10)}},
	} {
		t.Run("DP-01 "+name, func(t *testing.T) {
			b := newBench(t)
			with := key
			if tc.key != nil {
				with = *tc.key
			}
			if proof, err := b.verify(request, b.proof(with, tc.header, tc.claims)); !errors.Is(err, dpop.ErrProof) || proof.JKT != "" {
				t.Errorf("Verify = %+v, %v", proof, err)
			}
		})
	}
	b := newBench(t)
	good := b.proof(key, nil, nil)
	cut := good[:strings.LastIndexByte(good, '.')]
	for name, compact := range map[string]string{
		"empty":          "",
		"no signature":   cut + ".",
		"two segments":   cut,
		"four segments":  good + ".AAAA",
		"a space before": " " + good,
		"JSON":           `{"payload":"e30","signatures":[]}`,
		"public as HMAC": pair.HMAC(map[string]any{"typ": "dpop+jwt", "jwk": public(josetest.Key{Alg: "ES256", Private: pair.Private}, nil)}, nil),
		"changed claim": josetest.Resegment(good, 1, func(p []byte) []byte {
			return []byte(strings.Replace(string(p), `"htm":"POST"`, `"htm":"POST","x":1`, 1))
		}),
		"changed signature": josetest.Resegment(good, 2, func(p []byte) []byte { p[0] ^= 1; return p }),
		"two jti":           key.Raw(headerText(t), `{"jti":"a","jti":"b","htm":"POST","htu":"`+tokenURI+`","iat":1800000000}`),
		"JTI":               key.Raw(headerText(t), `{"JTI":"a","htm":"POST","htu":"`+tokenURI+`","iat":1800000000}`),
	} {
		t.Run("DP-01 "+name, func(t *testing.T) {
			if _, err := b.verify(request, compact); !errors.Is(err, dpop.ErrProof) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("DP-01 none of them used up the good one", func(t *testing.T) {
		if _, err := b.verify(request, good); err != nil {
			t.Error(err)
		}
		longest := b.proof(key, nil, map[string]any{"jti": strings.Repeat("a", 256)})
		if _, err := b.verify(request, longest); err != nil {
			t.Errorf("a jti of 256: %v", err)
		}
	})
}

func headerText(t *testing.T) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": public(key, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDP_01_OneHeader(t *testing.T) {
	b := newBench(t)
	one, two := b.proof(key, nil, nil), b.proof(key, nil, nil)
	for name, fields := range map[string][]string{
		"none": {}, "two": {one, two}, "the same twice": {one, one}, "one of them empty": {one, ""}, "joined": {one + ", " + two}, "joined without a space": {one + "," + two},
	} {
		t.Run("DP-01 "+name, func(t *testing.T) {
			if _, err := b.verify(request, fields...); !errors.Is(err, dpop.ErrProof) {
				t.Errorf("%v", err)
			}
		})
	}
	if dpop.Present(http.Header{}) || !dpop.Present(http.Header{"Dpop": {""}}) {
		t.Error("Present")
	}
	if _, err := b.verify(request, one); err != nil {
		t.Errorf("one: %v", err)
	}
}

func TestDP_01_IssuedAt(t *testing.T) {
	for _, tc := range []struct {
		name string
		off  time.Duration
		good bool
	}{
		{"now", 0, true},
		{"a window ago", -60 * time.Second, true},
		{"a second more", -61 * time.Second, false},
		{"a window ahead", 60 * time.Second, true},
		{"a second more ahead", 61 * time.Second, false},
	} {
		t.Run("DP-01 "+tc.name, func(t *testing.T) {
			b := newBench(t)
			_, err := b.verify(request, b.proof(key, nil, map[string]any{"iat": b.now.Add(tc.off).Unix()}))
			if (err == nil) != tc.good || err != nil && !errors.Is(err, dpop.ErrProof) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("DP-01 another window", func(t *testing.T) {
		b := newBench(t, func(c *dpop.Config) { c.Window = 5 * time.Second })
		for off, good := range map[int64]bool{-5: true, -6: false, 5: true, 6: false} {
			if _, err := b.verify(request, b.proof(key, nil, map[string]any{"iat": b.now.Unix() + off})); (err == nil) != good {
				t.Errorf("%d s: %v", off, err)
			}
		}
	})
}

func TestDP_01_Algorithms(t *testing.T) {
	b := newBench(t, func(c *dpop.Config) { c.Algs = []string{"EdDSA"} })
	if _, err := b.verify(request, b.proof(fixed, nil, nil)); err != nil {
		t.Error(err)
	}
	if _, err := b.verify(request, b.proof(key, nil, nil)); !errors.Is(err, dpop.ErrProof) {
		t.Errorf("ES256: %v", err)
	}
}

// What a resource server asks in addition (RFC 9449 §4.3 point 12, §7.1).
func TestDP_03_TokenAndKey(t *testing.T) {
	b := newBench(t)
	hash := func(token string) string {
		sum := sha256.Sum256([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	bound := dpop.Expect{Method: "POST", URI: tokenURI, AccessToken: "token-1", JKT: jkt(t, key)}
	for name, tc := range map[string]struct {
		key  josetest.Key
		ath  any
		want error
	}{
		"good":                  {key, hash("token-1"), nil},
		"ath missing":           {key, nil, dpop.ErrProof},
		"ath empty":             {key, "", dpop.ErrProof},
		"ath of another token":  {key, hash("token-2"), dpop.ErrProof},
		"ath is the token":      {key, "token-1", dpop.ErrProof},
		"ath padded":            {key, hash("token-1") + "=", dpop.ErrProof},
		"another key":           {fixed, hash("token-1"), dpop.ErrKey},
		"another key and token": {fixed, hash("token-2"), dpop.ErrProof},
	} {
		t.Run("DP-03 "+name, func(t *testing.T) {
			if _, err := b.verify(bound, b.proof(tc.key, nil, map[string]any{"ath": tc.ath})); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	if !errors.Is(dpop.ErrKey, dpop.ErrProof) || !errors.Is(dpop.ErrReplay, dpop.ErrProof) || errors.Is(dpop.ErrNonce, dpop.ErrProof) {
		t.Error("kinds of errors")
	}
}

func TestDP_05_Nonce(t *testing.T) {
	b := newBench(t, func(c *dpop.Config) { c.Nonces = oneNonce{nonce: "n1"} })
	for name, tc := range map[string]struct {
		nonce any
		want  error
	}{
		"good": {"n1", nil}, "missing": {nil, dpop.ErrNonce}, "empty": {"", dpop.ErrNonce}, "another": {"n2", dpop.ErrNonce}, "a number": {1, dpop.ErrProof},
	} {
		t.Run("DP-05 "+name, func(t *testing.T) {
			if _, err := b.verify(request, b.proof(key, nil, map[string]any{"nonce": tc.nonce})); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	t.Run("DP-05 a nonce error does not use the proof up", func(t *testing.T) {
		b := newBench(t, func(c *dpop.Config) { c.Nonces = oneNonce{nonce: "n1"} })
		jti := map[string]any{"jti": "one"}
		if _, err := b.verify(request, b.proof(key, nil, jti)); !errors.Is(err, dpop.ErrNonce) {
			t.Error(err)
		}
		jti["nonce"] = "n1"
		if _, err := b.verify(request, b.proof(key, nil, jti)); err != nil {
			t.Error(err)
		}
	})
	t.Run("DP-05 no nonce is never one", func(t *testing.T) {
		b := newBench(t, func(c *dpop.Config) { c.Nonces = oneNonce{} })
		if _, err := b.verify(request, b.proof(key, nil, nil)); !errors.Is(err, dpop.ErrNonce) {
			t.Error(err)
		}
	})
	t.Run("DP-05 unknown is no refusal", func(t *testing.T) {
		cause := errors.New("no storage")
		b := newBench(t, func(c *dpop.Config) { c.Nonces = oneNonce{err: cause} })
		_, err := b.verify(request, b.proof(key, nil, map[string]any{"nonce": "n1"}))
		if !errors.Is(err, cause) || errors.Is(err, dpop.ErrProof) || errors.Is(err, dpop.ErrNonce) {
			t.Error(err)
		}
	})
}

// The proofs of RFC 9449, Figures 2 and 12.
func TestDP_01_Examples(t *testing.T) {
	const (
		header   = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
		token    = header + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
		resource = header + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
		rpt      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
		jkt      = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	)
	for name, tc := range map[string]struct {
		proof  string
		expect dpop.Expect
		good   bool
	}{
		"at the token endpoint": {token, dpop.Expect{Method: "POST", URI: "https://server.example.com/token"}, true},
		"at another one":        {token, dpop.Expect{Method: "POST", URI: "https://server.example.org/token"}, false},
		"at the resource":       {resource, dpop.Expect{Method: "GET", URI: "https://resource.example.org/protectedresource", AccessToken: rpt, JKT: jkt}, true},
		"with another token":    {resource, dpop.Expect{Method: "GET", URI: "https://resource.example.org/protectedresource", AccessToken: rpt + "x", JKT: jkt}, false},
	} {
		t.Run("DP-01 "+name, func(t *testing.T) {
			b := newBench(t)
			b.now = time.Unix(1562262617, 0)
			if proof, err := b.verify(tc.expect, tc.proof); (err == nil) != tc.good || tc.good && proof.JKT != jkt {
				t.Errorf("%+v, %v", proof, err)
			}
		})
	}
}

func TestProve(t *testing.T) {
	b := newBench(t, func(c *dpop.Config) { c.Nonces = oneNonce{nonce: "n1"} })
	private, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := dpop.NewSigner(private, b.clock)
	if err != nil {
		t.Fatal(err)
	}
	expect := dpop.Expect{Method: "GET", URI: "https://api.example/a%20b", AccessToken: "t", JKT: signer.JKT()}
	for range 2 { // each proof is a new one
		proof, err := signer.Prove("GET", "https://u:p@API.example:443/a%20b?x=y#z", "t", "n1")
		if err != nil {
			t.Fatal(err)
		}
		token, err := jose.ParseEmbedded(proof, dpop.MaxProof)
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := token.Unverified(&claims); err != nil || claims["htu"] != "https://API.example:443/a%20b" {
			t.Errorf("htu %v, %v", claims["htu"], err)
		}
		if got, err := b.verify(expect, proof); err != nil || got.JKT != signer.JKT() || got.JKT != private.KID {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := signer.Prove("GET", "/a", "", ""); err == nil {
		t.Error("a proof for a path")
	}
	if _, err := dpop.NewSigner(jose.Signer{}, b.clock); err == nil {
		t.Error("a signer without a key")
	}
	weak := josetest.NewRSA("RS256", "", 1024)
	if _, err := dpop.NewSigner(jose.Signer{Alg: "RS256", Key: weak.Private}, b.clock); err == nil {
		t.Error("a signer with a weak key")
	}
}

func TestNew(t *testing.T) {
	for _, cfg := range []dpop.Config{{}, {Now: time.Now}, {Replays: dpop.NewReplays(1, time.Now)}} {
		if _, err := dpop.New(cfg); err == nil {
			t.Errorf("%+v", cfg)
		}
	}
}
