package finding_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-uma/caddy-uma/internal/finding"
)

// Much of what is said was written by a stranger.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"as it is, ü":                "as it is, ü",
		"two\nlines\tand a tab":      "two lines and a tab",
		"\x1b[31mred\u009b31m\u202e": "[31mred31m",
		"a\xffb":                     "ab",
	} {
		var l finding.List
		l.Fail("x", text, text, text)
		if f := l.All[0]; f.What != want || f.Cause != want || f.Cure != want {
			t.Errorf("%q: %+v", text, f)
		}
	}
	for text, want := range map[string]string{
		"dial redis://admin:pass@word@db:6379/0: refused": "dial redis://…@db:6379/0: refused",
		"'https://u@a.example', https://b.example/@x":     "'https://…@a.example', https://b.example/@x",
		"https://a.example?to=bob@b.example":              "https://a.example?to=bob@b.example",
		"https://a.example says bob@b.example":            "https://a.example says bob@b.example",
		"bob@b.example and ://":                           "bob@b.example and ://",
	} {
		var l finding.List
		l.OK("x", "%s", text)
		if got := l.All[0].What; got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	l := finding.List{Subject: strings.Repeat("ü", 5000) + "\x1b"}
	l.OK("x", "%s", strings.Repeat("ü", 5000))
	for _, text := range []string{l.All[0].Subject, l.All[0].What} {
		if len(text) > 1100 || !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
			t.Errorf("%d bytes", len(text))
		}
	}
}
