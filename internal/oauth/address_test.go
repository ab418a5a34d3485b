package oauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestCA_28_ParseAddress(t *testing.T) {
	label := strings.Repeat("a", 63)
	long := label + "." + label + "." + label // 191
	for text, want := range map[string]string{
		"bob@bob.example":                        "bob@bob.example",
		"Bob.O'Neil+tag@BOB.Example":             "Bob.O'Neil+tag@bob.example",
		"bob@xn--bcher-kva.example":              "bob@xn--bcher-kva.example",
		"b@a.b":                                  "b@a.b",
		strings.Repeat("a", 64) + "@bob.example": strings.Repeat("a", 64) + "@bob.example",
		strings.Repeat("a", 62) + "@" + long:     strings.Repeat("a", 62) + "@" + long, // 254
		"bob@1.example":                          "bob@1.example",
		"bob@bob.localhost":                      "bob@bob.localhost",
		strings.Repeat("a", 63) + "@" + long:     "",
		strings.Repeat("a", 65) + "@bob.example": "",
		"":                                       "",
		"@":                                      "",
		"bob":                                    "",
		"bob@":                                   "",
		"@bob.example":                           "",
		"bob@localhost":                          "",
		"bob@bob.example.":                       "",
		"bob@.bob.example":                       "",
		"bob@bob..example":                       "",
		"bob@bob.example:8443":                   "",
		"bob@[127.0.0.1]":                        "",
		"bob@127.0.0.1":                          "",
		"bob@127.1":                              "",
		"bob@0x7f.0x1":                           "",
		"bob@2130706433":                         "",
		"bob@[::1]":                              "",
		"bob@bob.example/path":                   "",
		"bob@bob.example?x":                      "",
		"bob@bob.example#x":                      "",
		"bob@evil.example@bob.example":           "",
		"bob%40evil.example@bob.example@x.y":     "",
		`"bob"@bob.example`:                      "",
		`"a@evil.example"@bob.example`:           "",
		"Bob <bob@bob.example>":                  "",
		"bob@bob.example,eve@evil.example":       "",
		"bob bob@bob.example":                    "",
		" bob@bob.example":                       "",
		"bob@bob.example ":                       "",
		"bob@bob.example\n":                      "",
		"bob\r\n@bob.example":                    "",
		"bob\x00@bob.example":                    "",
		"bob@bob.example\x00.evil.example":       "",
		"bob@bücher.example":                     "",
		"böb@bob.example":                        "",
		"bob@bob。example":                        "", // an ideographic full stop is a dot to IDNA
		"bob@\u200bbob.example":                  "",
		".bob@bob.example":                       "",
		"bob.@bob.example":                       "",
		"b..b@bob.example":                       "",
		"bob(x)@bob.example":                     "",
		"bob@-bob.example":                       "",
		"bob@bob-.example":                       "",
		"bob@bob_.example":                       "",
		"bob@" + strings.Repeat("a", 64) + ".example":  "",
		"bob@" + long + "." + strings.Repeat("a", 62):  "",
		"acct:bob@bob.example":                         "",
		"bob@evil.example\\@bob.example":               "",
		"bob\\@bob.example":                            "",
		"mailto:bob@bob.example":                       "",
		"bob@bob.example;":                             "",
		"bob@*.example":                                "",
		"bob@bob.1e1.2":                                "",
		"bob@" + strings.Repeat("a.", 127) + "example": "",
	} {
		a, err := oauth.ParseAddress(text)
		if err == nil && a.String() != want || err != nil && want != "" {
			t.Errorf("ParseAddress(%q) = %v, %v, want %q", text, a, err, want)
		}
	}
}

func TestCA_28_ParseDomain(t *testing.T) {
	for text, want := range map[string]string{
		"BOB.Example": "bob.example", "a.b-c.d": "a.b-c.d", "*.bob.example": "", "bob": "", "bob.example:1": "", "10.0.0.1": "", "": "", "a.0x1": "", "a.0X": "",
	} {
		if got, err := oauth.ParseDomain(text); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseDomain(%q) = %q, %v", text, got, err)
		}
	}
}

// FuzzParseAddress: an accepted address is one host and one mailbox, for
// everybody who reads it.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"bob@bob.example", "a@b@c.d", "a@127.0.0.1", "\"a\"@b.c", "a@b.c:1", "ü@b.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := oauth.ParseAddress(text)
		if err != nil {
			return
		}
		if strings.Count(a.String(), "@") != 1 || !strings.EqualFold(a.String(), text) || a.Domain != strings.ToLower(a.Domain) {
			t.Errorf("%q: %+v", text, a)
		}
		if strings.ContainsAny(a.String(), " \t\r\n\x00\"\\<>()[],;:") {
			t.Errorf("%q: %+v", text, a)
		}
		if _, err := oauth.ParseIssuer("https://" + a.Domain); err != nil {
			t.Errorf("%q is no host: %v", a.Domain, err)
		}
		if again, err := oauth.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%+v and %+v", a, again)
		}
	})
}
