package oauth_test

import (
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func TestCA_08_TicketChallenge(t *testing.T) {
	for ticket, want := range map[string]string{
		"016f84e8-f9b9-11e0-bd6f-0021cc6004de":        "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c",
		"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", // RFC 7636 appendix B
		"": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
	} {
		if got := oauth.TicketChallenge(ticket); got != want || len(got) != 43 {
			t.Errorf("TicketChallenge(%q) = %s, want %s", ticket, got, want)
		}
		if oauth.TicketChallenge(ticket+" ") == want || oauth.TicketChallenge("\t"+ticket) == want {
			t.Errorf("%q was trimmed", ticket)
		}
	}
}

func TestCA_11_CheckTicketChallenge(t *testing.T) {
	const good = "Pn3swUIhNUiYFpJdpL67uuVdjcbI1CPRsm04Z-Q77_c"
	for name, tc := range map[string]struct {
		text string
		ok   bool
	}{
		"good":               {good, true},
		"42 characters":      {good[:42], false},
		"44 characters":      {good + "A", false},
		"padding":            {good + "=", false},
		"standard alphabet":  {strings.ReplaceAll(good, "-", "+"), false},
		"slash":              {strings.ReplaceAll(good, "_", "/"), false},
		"bits at the end":    {good[:42] + "d", false},
		"line break":         {good[:20] + "\n" + good[20:], false},
		"CR at the end":      {good + "\r", false},
		"blank":              {" " + good, false},
		"empty":              {"", false},
		"hex of the same":    {strings.Repeat("ab", 32), false},
		"other 32 bytes":     {strings.Repeat("A", 43), true},
		"line break inside":  {good[:42] + "\n", false},
		"not ASCII":          {good[:41] + "ü", false},
		"zero byte":          {good[:42] + "\x00", false},
		"two of them":        {good + good, false},
		"43 and a line feed": {good + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := oauth.CheckTicketChallenge(tc.text); (err == nil) != tc.ok {
				t.Errorf("%q: %v", tc.text, err)
			}
		})
	}
}

// FuzzDecodeBase64: one value has one spelling.
func FuzzDecodeBase64(f *testing.F) {
	for _, seed := range []string{"", "AA", "AB", "A\nA", "_-8", "AAA="} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err1 := oauth.DecodeBase64(a)
		y, err2 := oauth.DecodeBase64(b)
		if err1 == nil && err2 == nil && string(x) == string(y) && a != b {
			t.Errorf("%q and %q", a, b)
		}
	})
}
