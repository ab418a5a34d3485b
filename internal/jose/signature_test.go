package jose_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/jose"
	"github.com/caddy-uma/caddy-uma/internal/jose/josetest"
)

// fixed writes a signature of ECDSA as JOSE does.
func fixed(der []byte, size int) []byte {
	var numbers struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(der, &numbers)
	must(err)
	return join(numbers.R, numbers.S, size)
}

func join(r, s *big.Int, size int) []byte {
	all := make([]byte, 2*size)
	r.FillBytes(all[:size])
	s.FillBytes(all[size:])
	return all
}

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// signatures are edits of a good signature: what they make of it, and whether it
// is still one.
type signatures map[string]struct {
	edit func(input, good []byte) []byte
	ok   bool
}

// check signs with key, edits the signature and holds thin and old path together.
func (all signatures) check(t *testing.T, id string, key josetest.Key) {
	t.Helper()
	good := key.Raw(`{"alg":"`+key.Alg+`","kid":"k"}`, `{"sub":"bob"}`)
	for name, tc := range all {
		t.Run(id+" "+key.Alg+" "+name, func(t *testing.T) {
			input, made := cut(good)
			edited := tc.edit(input, slices.Clone(made))
			compact := string(input) + "." + base64.RawURLEncoding.EncodeToString(edited)
			if ok := sameVerdict(t, compact, key); ok != tc.ok {
				t.Errorf("accepted: %v, want %v", ok, tc.ok)
			}
		})
	}
}

// TestSEC_01_SignaturesOfECDSA: RFC 7518 §3.4, r and s of fixed length, each
// above zero and below the order of the curve.
func TestSEC_01_SignaturesOfECDSA(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384"} {
		key := steadyKey(alg)
		private := key.Private.(*ecdsa.PrivateKey)
		n := private.Curve.Params().N
		size := len(n.Bytes())
		zero, one, top := new(big.Int), big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), uint(8*size))
		below, above := new(big.Int).Sub(n, one), new(big.Int).Add(n, one)
		top.Sub(top, one)
		// with replaces r (0) or s (1) by what f makes of it.
		with := func(half int, f func(*big.Int) *big.Int) func(_, good []byte) []byte {
			return func(_, good []byte) []byte {
				parts := []*big.Int{number(good[:size]), number(good[size:])}
				parts[half] = f(parts[half])
				return join(parts[0], parts[1], size)
			}
		}
		is := func(v *big.Int) func(*big.Int) *big.Int { return func(*big.Int) *big.Int { return v } }
		signatures{
			"good":     {func(_, good []byte) []byte { return good }, true},
			"r = 0":    {with(0, is(zero)), false},
			"s = 0":    {with(1, is(zero)), false},
			"both = 0": {func(_, _ []byte) []byte { return make([]byte, 2*size) }, false},
			"r = 1":    {with(0, is(one)), false},
			"s = 1":    {with(1, is(one)), false},
			"r = n":    {with(0, is(n)), false},
			"s = n":    {with(1, is(n)), false},
			"r = n-1":  {with(0, is(below)), false},
			"s = n-1":  {with(1, is(below)), false},
			"r = n+1":  {with(0, is(above)), false},
			"s = n+1":  {with(1, is(above)), false},
			"all ones": {func(_, _ []byte) []byte { return join(top, top, size) }, false},
			// JOSE, unlike Bitcoin, has no rule about the half in which s lies.
			"n - s, the other s":    {with(1, func(s *big.Int) *big.Int { return new(big.Int).Sub(n, s) }), true},
			"n - r":                 {with(0, func(r *big.Int) *big.Int { return new(big.Int).Sub(n, r) }), false},
			"r and s changed round": {func(_, good []byte) []byte { return append(good[size:], good[:size]...) }, false},
			"a byte short":          {func(_, good []byte) []byte { return good[:2*size-1] }, false},
			"a byte more":           {func(_, good []byte) []byte { return append(good, 0) }, false},
			"a zero before":         {func(_, good []byte) []byte { return append([]byte{0}, good...) }, false},
			"both longer":           {func(_, good []byte) []byte { return join(number(good[:size]), number(good[size:]), size+1) }, false},
			"one byte":              {func(_, good []byte) []byte { return good[:1] }, false},
			"DER": {func(_, good []byte) []byte {
				der, err := asn1.Marshal(struct{ R, S *big.Int }{number(good[:size]), number(good[size:])})
				must(err)
				return der
			}, false},
			"over nothing": {func(_, _ []byte) []byte { return signedECDSA(private, nil) }, false},
		}.check(t, "SEC-01", key)
	}
	t.Run("SEC-01 s = n + s does not fit or is refused", func(t *testing.T) {
		key := steadyKey("ES256")
		n, limit := elliptic.P256().Params().N, new(big.Int).Lsh(big.NewInt(1), 256)
		for i := range 200 { // until s is so small that n+s has 256 bits
			input, made := cut(key.Raw(`{"alg":"ES256","kid":"k"}`, `{"i":`+strings.Repeat("1", i+1)+`}`))
			s := new(big.Int).Add(number(made[32:]), n)
			if s.Cmp(limit) < 0 && sameVerdict(t, string(input)+"."+base64.RawURLEncoding.EncodeToString(join(number(made[:32]), s, 32)), key) {
				t.Error("s above the order is accepted")
			}
		}
	})
}

func signedECDSA(private *ecdsa.PrivateKey, input []byte) []byte {
	sum := sha256.Sum256(input)
	der, err := private.Sign(nil, sum[:], crypto.SHA256)
	must(err)
	return fixed(der, (private.Curve.Params().BitSize+7)/8)
}

// TestSEC_01_ShortNumbers: r or s with leading zeroes, which DER leaves out, both
// ways. One signature in 128 has one.
func TestSEC_01_ShortNumbers(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384"} {
		t.Run("SEC-01 "+alg, func(t *testing.T) {
			key := steadyKey(alg)
			signer := jose.Signer{KID: "k", Alg: alg, Key: key.Private}
			short := 0
			for i := 0; short < 3; i++ {
				compact, err := jose.Sign(signer, "x", map[string]any{"i": i})
				if err != nil {
					t.Fatal(err)
				}
				_, made := cut(compact)
				if made[0] != 0 && made[len(made)/2] != 0 {
					continue
				}
				short++
				if !sameVerdict(t, compact, key) {
					t.Errorf("%x is refused", made)
				}
			}
		})
	}
}

// TestSEC_01_SignaturesOfEdDSA: RFC 8032 §5.1.7, S must be below the order.
func TestSEC_01_SignaturesOfEdDSA(t *testing.T) {
	order, ok := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	if !ok {
		t.Fatal("no number")
	}
	little := func(b []byte) *big.Int { b = slices.Clone(b); slices.Reverse(b); return number(b) }
	withS := func(f func(s *big.Int) *big.Int) func(_, good []byte) []byte {
		return func(_, good []byte) []byte {
			s := f(little(good[32:])).FillBytes(make([]byte, 32))
			slices.Reverse(s)
			return append(good[:32:32], s...)
		}
	}
	signatures{
		"good":        {func(_, good []byte) []byte { return good }, true},
		"S + order":   {withS(func(s *big.Int) *big.Int { return s.Add(s, order) }), false},
		"S + 2 order": {withS(func(s *big.Int) *big.Int { return s.Add(s, new(big.Int).Lsh(order, 1)) }), false},
		"S = order":   {withS(func(*big.Int) *big.Int { return order }), false},
		"S = 0":       {withS(func(*big.Int) *big.Int { return new(big.Int) }), false},
		"R = 0":       {func(_, good []byte) []byte { return append(make([]byte, 32), good[32:]...) }, false},
		// y = 1 with the sign bit: a spelling of the neutral element that is none.
		"R not canonical": {func(_, good []byte) []byte {
			return append(append([]byte{1}, append(make([]byte, 30), 0x80)...), good[32:]...)
		}, false},
		"63 bytes": {func(_, good []byte) []byte { return good[:63] }, false},
		"65 bytes": {func(_, good []byte) []byte { return append(good, 0) }, false},
		"prehashed": {func(input, _ []byte) []byte {
			sum := sha256.Sum256(input)
			return ed25519.Sign(steadyKey("EdDSA").Private.(ed25519.PrivateKey), sum[:])
		}, false},
	}.check(t, "SEC-01", steadyKey("EdDSA"))
}

// TestSEC_01_SignaturesOfRSA: RFC 7518 §3.3 and §3.5, RFC 8017 §8.
func TestSEC_01_SignaturesOfRSA(t *testing.T) {
	rs, ps := steadyKey("RS256"), steadyKey("PS256")
	private := rs.Private.(*rsa.PrivateKey)
	encoded := func(prefix, more []byte) func(input, _ []byte) []byte {
		return func(input, _ []byte) []byte {
			sum := sha256.Sum256(input)
			body := slices.Concat([]byte{0}, prefix, sum[:], more)
			padding := make([]byte, private.Size()-2-len(body))
			for i := range padding {
				padding[i] = 0xff
			}
			return rawRSA(private, slices.Concat([]byte{0, 1}, padding, body))
		}
	}
	info := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	other := slices.Clone(info)
	other[14] = 2 // SHA-384
	noNull := slices.Concat([]byte{0x30, 0x2f, 0x30, 0x0b}, info[4:15], info[17:])
	short := func(input, _ []byte) []byte { // eight bytes of padding, garbage behind the hash
		sum := sha256.Sum256(input)
		block := slices.Concat([]byte{0, 1}, []byte(strings.Repeat("\xff", 8)), []byte{0}, info, sum[:])
		return rawRSA(private, append(block, make([]byte, private.Size()-len(block))...))
	}
	salt := func(n int) func(input, _ []byte) []byte {
		return func(input, _ []byte) []byte { return signPSS(ps, input, n) }
	}
	common := signatures{
		"good":       {func(_, good []byte) []byte { return good }, true},
		"zero":       {func(_, good []byte) []byte { return make([]byte, len(good)) }, false},
		"one":        {func(_, good []byte) []byte { return append(make([]byte, len(good)-1), 1) }, false},
		"a byte cut": {func(_, good []byte) []byte { return good[1:] }, false},
		"a zero before": {func(_, good []byte) []byte {
			return append([]byte{0}, good...)
		}, false},
		"plus n": {func(_, good []byte) []byte {
			return new(big.Int).Add(number(good), private.N).FillBytes(make([]byte, len(good)+1))
		}, false},
		"n": {func(_, _ []byte) []byte { return private.N.Bytes() }, false},
	}
	common.check(t, "SEC-01", rs)
	common.check(t, "SEC-01", ps)
	signatures{
		"padded by hand":          {encoded(info, nil), true},
		"no DigestInfo":           {encoded(nil, nil), false},
		"DigestInfo of SHA-384":   {encoded(other, nil), false},
		"DigestInfo without NULL": {encoded(noNull, nil), false},
		"garbage at the end":      {encoded(info, []byte{0}), false},
		"short padding, garbage":  {short, false},
		"PSS":                     {salt(32), false},
	}.check(t, "SEC-01", rs)
	signatures{
		"salt of 32 bytes": {salt(32), true},
		"salt of 31 bytes": {salt(31), false},
		"salt of 33 bytes": {salt(33), false},
		"salt of 20 bytes": {salt(20), false},
		"the longest salt": {salt(rsa.PSSSaltLengthAuto), false},
		"PKCS #1 v1.5":     {encoded(info, nil), false},
	}.check(t, "SEC-01", ps)
}

// rawRSA is the bare operation with the private key.
func rawRSA(private *rsa.PrivateKey, block []byte) []byte {
	return new(big.Int).Exp(number(block), private.D, private.N).FillBytes(make([]byte, private.Size()))
}

func badPoint(x, y *big.Int) *ecdsa.PublicKey {
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y} //nolint:staticcheck // what replaces it makes good keys alone
}

// TestSEC_01_KeysThatDoNotFit: whatever a KeySet gives, nothing is verified with it
// and nothing panics.
func TestSEC_01_KeysThatDoNotFit(t *testing.T) {
	p224, err := ecdsa.ParseRawPrivateKey(elliptic.P224(), append(make([]byte, 27), 7))
	must(err)
	p256, p384 := steadyKey("ES256").Private.(*ecdsa.PrivateKey), steadyKey("ES384").Private.(*ecdsa.PrivateKey)
	ed := steadyKey("EdDSA").Private.Public().(ed25519.PublicKey)
	point, err := p256.PublicKey.Bytes() // 04 and both coordinates
	must(err)
	x, y := number(point[1:33]), number(point[33:])
	for name, tc := range map[string]struct {
		alg string
		key crypto.PublicKey
	}{
		"P-384 for ES256":          {"ES256", p384.Public()},
		"P-256 for ES384":          {"ES384", p256.Public()},
		"P-224 for ES256":          {"ES256", p224.Public()},
		"off the curve":            {"ES256", badPoint(x, x)},
		"a negative coordinate":    {"ES256", badPoint(new(big.Int).Neg(x), y)},
		"a long coordinate":        {"ES256", badPoint(new(big.Int).Lsh(x, 8), y)},
		"a key and no pointer":     {"ES256", p256.PublicKey},
		"a private key":            {"ES256", p256},
		"Ed25519, a byte short":    {"EdDSA", ed[:31]},
		"Ed25519, a byte more":     {"EdDSA", append(slices.Clone(ed), 0)},
		"Ed25519, empty":           {"EdDSA", ed25519.PublicKey{}},
		"Ed25519, no point":        {"EdDSA", ed25519.PublicKey(append([]byte{2}, make([]byte, 31)...))},
		"Ed25519, a private key":   {"EdDSA", ed25519.PrivateKey(make([]byte, 64))},
		"RSA without modulus":      {"RS256", &rsa.PublicKey{E: 65537}},
		"RSA without modulus, PSS": {"PS256", &rsa.PublicKey{E: 65537}},
		"RSA, an even modulus":     {"RS256", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537}},
		"RSA of 512 bits":          {"RS256", &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 511, 1), E: 65537}},
		"Ed25519 for ES256":        {"ES256", ed},
		"RSA for ES256":            {"ES256", steadyKey("RS256").Private.Public()},
		"P-256 for RS256":          {"RS256", p256.Public()},
		"text":                     {"ES256", "key"},
		"nil":                      {"ES256", nil},
	} {
		t.Run("SEC-01 "+name, func(t *testing.T) {
			compact := steadyKey(tc.alg).Raw(`{"alg":"`+tc.alg+`","kid":"k"}`, `{"sub":"bob"}`)
			careless := keyFunc(func(context.Context, string, string) (jose.PublicKey, error) {
				return jose.PublicKey{KID: "k", Alg: tc.alg, Key: tc.key}, nil
			})
			if err := verify(t, compact, careless); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("Verify: %v, want ErrSignature", err)
			}
		})
	}
}

// TestSEC_01_ExactOctets: the signature is over the header as it came (RFC 7515
// §5.2), so nothing can be added to a token, not even what says nothing.
func TestSEC_01_ExactOctets(t *testing.T) {
	for _, key := range steadyKeys() {
		good := key.Raw(`{"alg":"`+key.Alg+`","kid":"k"}`, `{"sub":"bob"}`)
		if _, err := thin(t, good, key); err != nil {
			t.Fatal(err)
		}
		for _, segment := range []int{0, 1} {
			for name, edit := range map[string]func([]byte) []byte{
				"space behind": func(b []byte) []byte { return append(b, ' ') },
				"space before": func(b []byte) []byte { return append([]byte{'\n'}, b...) },
				"space inside": func(b []byte) []byte { return append([]byte{'{', ' '}, b[1:]...) },
			} {
				if claims, err := thin(t, josetest.Resegment(good, segment, edit), key); err == nil {
					t.Errorf("SEC-01 %s, segment %d, %s: %v", key.Alg, segment, name, claims)
				}
			}
		}
	}
}
