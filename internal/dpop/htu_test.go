package dpop_test

import (
	"errors"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/dpop"
)

func TestDP_01_URI(t *testing.T) {
	const photos = "https://api.example/a/b%20c"
	for _, tc := range []struct {
		name, uri, htu string
		good           bool
	}{
		{"the same", photos, photos, true},
		{"scheme and host in upper case", photos, "HTTPS://API.EXAMPLE/a/b%20c", true},
		{"default port", photos, "https://api.example:443/a/b%20c", true},
		{"empty port", photos, "https://api.example:/a/b%20c", true},
		{"default port configured", "https://api.example:443/x", "https://api.example/x", true},
		{"query", photos, photos + "?x=y", true},
		{"empty query", photos, photos + "?", true},
		{"fragment", photos, photos + "#x", true},
		{"query configured", photos + "?x", photos, true},
		{"dot segments", photos, "https://api.example/a/./x/../b%20c", true},
		{"escaped dot segments", photos, "https://api.example/a/x/%2e%2E/b%20c", true},
		{"escaped letters", photos, "https://api.example/%61/%62%20c", true},
		{"escapes in lower case", "https://api.example/%C3%A9", "https://api.example/%c3%a9", true},
		{"no path is /", "https://api.example", "https://api.example/", true},
		{"above the root", "https://api.example/a", "https://api.example/../../a", true},
		{"a dot at the end", "https://api.example/a/", "https://api.example/a/b/..", true},
		{"one dot at the end", "https://api.example/a/", "https://api.example/a/.", true},
		{"IPv6", "https://[2001:db8::1]/a", "https://[2001:DB8::1]:443/a", true},
		{"another port, named", "https://api.example:8443/a", "https://api.example:8443/a", true},
		{"http with its port", "http://localhost:80/a", "http://localhost/a", true},

		{"http", photos, "http://api.example/a/b%20c", false},
		{"http at 443", photos, "http://api.example:443/a/b%20c", false},
		{"another port", photos, "https://api.example:8443/a/b%20c", false},
		{"the other default port", photos, "https://api.example:80/a/b%20c", false},
		{"another host", photos, "https://evil.example/a/b%20c", false},
		{"a longer host", photos, "https://api.example.evil.example/a/b%20c", false},
		{"user information", photos, "https://api.example@evil.example/a/b%20c", false},
		{"user information before the host", photos, "https://x@api.example/a/b%20c", false},
		{"a dot behind the host", photos, "https://api.example./a/b%20c", false},
		{"an escaped host", photos, "https://api%2Eexample/a/b%20c", false},
		{"an escaped letter that is not ASCII", "https://%C3%A9.example/", "https://%C3%A9.example/", false},
		{"a zone", "https://[fe80::1%25eth0]/", "https://[fe80::1%25eth0]/", false},
		{"another path", photos, "https://api.example/a/b", false},
		{"path in upper case", photos, "https://api.example/A/b%20c", false},
		{"a slash at the end", photos, photos + "/", false},
		{"no slash at the end", "https://api.example/a/", "https://api.example/a", false},
		{"two slashes", photos, "https://api.example//a/b%20c", false},
		{"an escaped slash", photos, "https://api.example/a%2Fb%20c", false},
		{"escaped twice", photos, "https://api.example/a/b%2520c", false},
		{"a raw space", photos, "https://api.example/a/b c", false},
		{"a plus", photos, "https://api.example/a/b+c", false},
		{"a backslash", photos, `https://api.example\a/b%20c`, false},
		{"a line break", photos, photos + "\n", false},
		{"a bad escape", photos, "https://api.example/a/b%2", false},
		{"not ASCII", "https://api.example/%C3%A9", "https://api.example/é", false},
		{"dots that lead elsewhere", photos, photos + "/..", false},
		{"relative", photos, "/a/b%20c", false},
		{"without a scheme", photos, "//api.example/a/b%20c", false},
		{"opaque", photos, "https:api.example/a/b%20c", false},
		{"no host", photos, "https:///a/b%20c", false},
		{"a port alone", "https://:443/a", "https://:443/a", false},
		{"another scheme", "ftp://api.example/a", "ftp://api.example/a", false},
		{"an empty URI", "", "", false},
	} {
		t.Run("DP-01 "+tc.name, func(t *testing.T) {
			b := newBench(t)
			_, err := b.verify(dpop.Expect{Method: "POST", URI: tc.uri}, b.proof(key, nil, map[string]any{"htu": tc.htu}))
			if (err == nil) != tc.good || err != nil && !errors.Is(err, dpop.ErrProof) {
				t.Errorf("%s against %s: %v", tc.htu, tc.uri, err)
			}
		})
	}
}
