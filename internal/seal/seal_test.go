package seal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/seal"
)

// keys are sealing keys in memory; the first one is current.
type keys struct {
	ids  []byte
	fail error
}

func secret(id byte) (key [32]byte) { return [32]byte(bytes.Repeat([]byte{id}, 32)) }

func (k keys) Current(context.Context) (id [4]byte, key [32]byte, err error) {
	if k.fail != nil || len(k.ids) == 0 {
		return id, key, errors.Join(k.fail, errors.New("no key"))
	}
	return [4]byte{k.ids[0]}, secret(k.ids[0]), nil
}

func (k keys) Find(_ context.Context, id [4]byte) (key [32]byte, found bool, err error) {
	for _, have := range k.ids {
		if id == [4]byte{have} {
			return secret(have), true, k.fail
		}
	}
	return key, false, k.fail
}

var _ seal.Keys = keys{}

func box(ids ...byte) *seal.Box { return seal.NewBox(keys{ids: ids}) }

func sealed(t testing.TB, b *seal.Box, plain string, data ...string) string {
	t.Helper()
	text, err := b.Seal(t.Context(), []byte(plain), data...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUG_58_Open(t *testing.T) {
	b := box(1)
	for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
		text := sealed(t, b, plain, "ticket", "https://as.example")
		got, err := b.Open(t.Context(), text, "ticket", "https://as.example")
		if err != nil || string(got) != plain {
			t.Errorf("%q, %v", got, err)
		}
		if raw, err := base64.RawURLEncoding.DecodeString(text); err != nil || len(plain) > 3 && bytes.Contains(raw, []byte(plain)) {
			t.Errorf("the plaintext shows: %v", err)
		}
	}
	if one, two := sealed(t, b, "x"), sealed(t, b, "x"); one == two {
		t.Error("two boxes are alike")
	}
}

// What Open would refuse for its length is not made.
func TestSeal_Length(t *testing.T) {
	b := box(1)
	const most = 49152 - 45 // 64 KiB of base64url, less the frame
	if _, err := b.Open(t.Context(), sealed(t, b, strings.Repeat("x", most))); err != nil {
		t.Error(err)
	}
	if text, err := b.Seal(t.Context(), make([]byte, most+1)); err == nil || text != "" {
		t.Error("sealed")
	}
	if !seal.Fits(most) || seal.Fits(most+1) {
		t.Error("Fits and Seal differ")
	}
}

// SEC-28: a box opens only for what it was made for.
func TestSEC_28_AssociatedData(t *testing.T) {
	b := box(1)
	text := sealed(t, b, "x", "ticket", "https://as.example", "store")
	for name, data := range map[string][]string{
		"another purpose":    {"nonce", "https://as.example", "store"},
		"another issuer":     {"ticket", "https://as.example/", "store"},
		"another store":      {"ticket", "https://as.example", "stora"},
		"one less":           {"ticket", "https://as.example"},
		"one more":           {"ticket", "https://as.example", "store", ""},
		"none":               nil,
		"another order":      {"https://as.example", "ticket", "store"},
		"joined differently": {"tickethttps://as.example", "", "store"},
		"moved border":       {"ticketh", "ttps://as.example", "store"},
	} {
		if plain, err := b.Open(t.Context(), text, data...); !errors.Is(err, seal.ErrOpen) || plain != nil {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
}

// One box has one spelling, and no bit of it can be changed.
func TestUG_58_OneSpelling(t *testing.T) {
	b := box(1)
	text := sealed(t, b, "plaintex", "ticket") // its base64 would have padding
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name, changed string) {
		t.Helper()
		if plain, err := b.Open(t.Context(), changed, "ticket"); !errors.Is(err, seal.ErrOpen) || plain != nil {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	for i := range raw {
		for bit := range 8 {
			flipped := bytes.Clone(raw)
			flipped[i] ^= 1 << bit
			refuse("flipped bit", base64.RawURLEncoding.EncodeToString(flipped))
		}
	}
	for n := range raw {
		refuse("cut", base64.RawURLEncoding.EncodeToString(raw[:n]))
	}
	for i := range len(text) + 1 {
		for _, c := range []string{"\n", "\r", " ", "=", "A"} {
			refuse("inserted", text[:i]+c+text[i:])
		}
	}
	refuse("padded", base64.URLEncoding.EncodeToString(raw))
	refuse("longer", base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw), 0)))
	refuse("no base64", strings.Repeat("!", len(text)))
	refuse("nothing", "")
	refuse("far too long", strings.Repeat("A", 1<<20))
	if _, err := b.Open(t.Context(), text, "ticket"); err != nil {
		t.Errorf("untouched: %v", err)
	}
}

// The unused bits of the last character are not another spelling.
func TestUG_58_TrailingBits(t *testing.T) {
	b := box(1)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for n := range 3 {
		text := sealed(t, b, strings.Repeat("x", n))
		last := text[len(text)-1:]
		for _, c := range alphabet {
			_, err := b.Open(t.Context(), text[:len(text)-1]+string(c))
			if (err == nil) != (string(c) == last) {
				t.Errorf("%q in the place of %q: %v", c, last, err)
			}
		}
	}
}

func TestSEC_11_Keys(t *testing.T) {
	old := sealed(t, box(1), "x")
	t.Run("after a rotation both open", func(t *testing.T) {
		b := box(2, 1)
		if _, err := b.Open(t.Context(), old); err != nil {
			t.Error(err)
		}
		if _, err := b.Open(t.Context(), sealed(t, b, "x")); err != nil {
			t.Error(err)
		}
	})
	t.Run("an unknown key", func(t *testing.T) {
		if _, err := box(2).Open(t.Context(), old); !errors.Is(err, seal.ErrOpen) {
			t.Error(err)
		}
	})
	t.Run("another key under the same id", func(t *testing.T) {
		raw, _ := base64.RawURLEncoding.DecodeString(old)
		raw[1] = 2
		if _, err := box(2, 1).Open(t.Context(), base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, seal.ErrOpen) {
			t.Error(err)
		}
	})
	t.Run("SEC-13 keys that cannot be read are no bad box", func(t *testing.T) {
		fail := errors.New("disk")
		b := seal.NewBox(keys{ids: []byte{1}, fail: fail})
		if _, err := b.Open(t.Context(), old); !errors.Is(err, fail) || errors.Is(err, seal.ErrOpen) {
			t.Error(err)
		}
		if text, err := b.Seal(t.Context(), []byte("x")); !errors.Is(err, fail) || text != "" {
			t.Error(err)
		}
	})
}

// FuzzOpen: nothing that was not sealed opens, and nothing panics.
func FuzzOpen(f *testing.F) {
	b := box(1)
	f.Add(sealed(f, b, "x", "other"), "ticket")
	f.Add("AQEAAAA", "ticket")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, text, purpose string) {
		if purpose == "other" {
			return
		}
		if plain, err := b.Open(t.Context(), text, purpose); !errors.Is(err, seal.ErrOpen) || plain != nil {
			t.Errorf("%q: %q, %v", text, plain, err)
		}
	})
}
