package dpop_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
)

// FuzzVerify takes a header field as it is, and a header and claims that are
// signed. What is accepted says what it must, to encoding/json too, and is
// accepted once.
func FuzzVerify(f *testing.F) {
	jwk, err := json.Marshal(public(fixed, nil))
	if err != nil {
		f.Fatal(err)
	}
	header := `{"alg":"EdDSA","typ":"dpop+jwt","jwk":` + string(jwk) + `}`
	claims := `{"jti":"a","htm":"POST","htu":"` + tokenURI + `","iat":1800000000}`
	f.Add(fixed.Raw(header, claims), header, claims)
	f.Add("a.b.c", `{"alg":"none","typ":"dpop+jwt"}`, `{"jti":"a","jti":"b"}`)
	f.Add("", header, `{"jti":"a","htm":"POST","htu":"HTTPS://AS.alice.example:443/x/../uma/%74oken?a#b","iat":1800000059.5}`)
	f.Add(",", header, `{"jti":null,"htm":"POST","htu":"`+tokenURI+`","iat":1e9}`)
	f.Fuzz(func(t *testing.T, field, header, claims string) {
		b := newBench(t)
		accepted(t, b, field)
		if accepted(t, b, fixed.Raw(header, claims)) {
			said(t, claims)
		}
	})
}

// accepted tells whether a proof is; if so, it is not a second time.
func accepted(t *testing.T, b *bench, proof string) bool {
	t.Helper()
	got, err := b.verify(request, proof)
	if err != nil {
		if !errors.Is(err, dpop.ErrProof) || got.JKT != "" {
			t.Errorf("%q: %+v, %v", proof, got, err)
		}
		return false
	}
	if _, err := b.verify(request, proof); !errors.Is(err, dpop.ErrReplay) {
		t.Errorf("%q twice: %v", proof, err)
	}
	return true
}

func said(t *testing.T, payload string) {
	t.Helper()
	var c map[string]any
	if err := json.Unmarshal([]byte(payload), &c); err != nil {
		t.Fatalf("%q: %v", payload, err)
	}
	jti, _ := c["jti"].(string)
	htu, _ := c["htu"].(string)
	iat, _ := c["iat"].(float64)
	if jti == "" || c["htm"] != "POST" || math.Abs(math.Floor(iat)-1800000000) > 60 || !strings.Contains(strings.ToLower(htu), "as.alice.example") {
		t.Errorf("%q is accepted", payload)
	}
}

// FuzzURI: two spellings that are taken for one are one for a third time, too,
// and never of two hosts or schemes.
func FuzzURI(f *testing.F) {
	f.Add(tokenURI, "https://as.alice.example:443/uma/./token")
	f.Add("https://a/%2e%2e/b", "https://a/b?c#d")
	f.Add("http://a:80", "http://a/")
	f.Add("https://%C3%A9/", "https://[::1%25a]/")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := dpop.Normalize(a)
		if err != nil {
			return
		}
		if again, err := dpop.Normalize(x); err != nil || again != x {
			t.Errorf("%q: %q, then %q, %v", a, x, again, err)
		}
		_, path, _ := strings.Cut(strings.SplitN(x, "//", 2)[1], "/")
		if strings.ContainsAny(x, "?# \\\x00") || strings.Contains("/"+path+"/", "/../") || strings.Contains("/"+path+"/", "/./") {
			t.Errorf("%q: %q", a, x)
		}
		if y, err := dpop.Normalize(b); err == nil && x == y && !strings.EqualFold(a[:5], b[:5]) { // http: or https
			t.Errorf("%q and %q are one", a, b)
		}
	})
}
