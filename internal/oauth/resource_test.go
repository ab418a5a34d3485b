package oauth_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// A27: exactly one spelling of each URL is accepted.
func TestCA_14_ParseResource(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://api.corp.example":               true,
		"https://api.corp.example/":              true,
		"https://api.corp.example:8443/v1":       true,
		"https://api.corp.example/v1/":           true,
		"https://127.0.0.1:8443":                 true,
		"http://api.corp.example":                false,
		"HTTPS://api.corp.example":               false,
		"https://API.corp.example":               false,
		"https://api.corp.example:443":           false,
		"https://api.corp.example:":              false,
		"https://api.corp.example.":              false,
		"https://api.corp.example./v1":           false,
		"https://api.corp.example?x":             false,
		"https://api.corp.example?":              false,
		"https://api.corp.example#":              false,
		"https://api.corp.example#x":             false,
		"https://user@api.corp.example":          false,
		"https://api.corp@evil.example":          false,
		"https://@api.corp.example":              false,
		"https://api.corp.example/a/../b":        false,
		"https://api.corp.example/./b":           false,
		"https://api.corp.example//b":            false,
		"https://api.corp.example/b//":           false,
		"https://api.corp.example/%61pi":         false,
		"https://api.corp.example/a%2fb":         false,
		"https://%61pi.corp.example":             false,
		"https://api.corp.example\\@evil":        false,
		"https://api.corp.example/a\\b":          false,
		"https://api.corp.example/a b":           false,
		" https://api.corp.example":              false,
		"https://api.corp.example\n":             false,
		"https://bücher.example":                 false,
		"https://api_corp.example":               false,
		"https:///v1":                            false,
		"https:api.corp.example":                 false,
		"https:/api.corp.example":                false,
		"//api.corp.example":                     false,
		"/v1":                                    false,
		"RS API":                                 false,
		"":                                       false,
		"https://api.corp.example:80:80":         false,
		"https://api.corp.example:x":             false,
		"https://*.corp.example":                 false,
		"urn:ietf:params":                        false,
		"https://api.corp.example/\u00fc":        false,
		"https://api.corp.example/..":            false,
		"https://api.corp.example/v1/.":          false,
		"https://api.corp.example:65536":         false,
		"https://api.corp.example:65535":         true,
		"https://api.corp.example:0":             false,
		"https://api.corp.example:0443":          false,
		"https://api.corp.example/v1;x=1":        true,
		"https://xn--bcher-kva.example/a.b-c_d~": true,
	} {
		u, err := oauth.ParseResource(text)
		if (err == nil) != ok {
			t.Errorf("ParseResource(%q) = %v, %v", text, u, err)
		}
		if issuer, err := oauth.ParseIssuer(text); (err == nil) != ok {
			t.Errorf("ParseIssuer(%q) = %v, %v", text, issuer, err)
		}
	}
}

func TestCA_14_Covers(t *testing.T) {
	for _, tc := range []struct {
		prefix, target string
		want           bool
	}{
		{"https://api.corp.com", "https://api.corp.com", true},
		{"https://api.corp.com", "https://api.corp.com/", true},
		{"https://api.corp.com", "https://api.corp.com/v1/x", true},
		{"https://api.corp.com/", "https://api.corp.com", true},
		{"https://api.corp.com:443", "https://api.corp.com/", true},
		{"https://api.corp.com/v1", "https://api.corp.com/v1", true},
		{"https://api.corp.com/v1", "https://api.corp.com/v1/", true},
		{"https://api.corp.com/v1/", "https://api.corp.com/v1", true},
		{"https://api.corp.com/v1", "https://api.corp.com/v1/x", true},
		{"https://api.corp.com/v1", "https://api.corp.com/v1x", false},
		{"https://api.corp.com/v1", "https://api.corp.com/V1", false},
		{"https://api.corp.com/v1", "https://api.corp.com/", false},
		{"https://api.corp.com/v1", "https://api.corp.com/v1/../v2", false},
		{"https://api.corp.com/v1", "https://api.corp.com/v1/%2e%2e/v2", false},
		{"https://api.corp.com/v1", "https://api.corp.com/v1%2f..%2fv2", false},
		{"https://api.corp.com/v1", "https://api.corp.com/v1/..%5cv2", false},
		{"https://api.corp.com/v1", "https://api.corp.com//v1/x", false},
		{"https://api.corp.com/v1", "https://api.corp.com/x/../v1", false},
		{"https://api.corp.com", "https://api.corp.evil.com/", false},
		{"https://api.corp.com", "https://api.corp.com.evil.com/", false},
		{"https://api.corp.com", "https://api.corp.com@evil.com/", false},
		{"https://api.corp.com", "https://evil.com/https://api.corp.com", false},
		{"https://api.corp.com", "https://api.corp.com:8443/", false},
		{"https://api.corp.com", "http://api.corp.com/", false},
		{"https://api.corp.com", "https://api.corp.com./", false},
		{"https://api.corp.com", "https://xapi.corp.com/", false},
		{"https://api.corp.com:8443", "https://api.corp.com/", false},
	} {
		prefix, err1 := url.Parse(tc.prefix)
		target, err2 := url.Parse(tc.target)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if got := oauth.Covers(prefix, target); got != tc.want {
			t.Errorf("Covers(%s, %s) = %v", tc.prefix, tc.target, got)
		}
	}
}

func TestUG_04_WellKnownPaths(t *testing.T) {
	for issuer, want := range map[string][2]string{
		"https://as.example":     {"/.well-known/x", "/.well-known/x"},
		"https://as.example/":    {"/.well-known/x", "/.well-known/x"},
		"https://as.example/a/b": {"/a/b/.well-known/x", "/.well-known/x/a/b"},
	} {
		u, err := oauth.ParseIssuer(issuer)
		if err != nil {
			t.Fatal(err)
		}
		if appended, inserted := oauth.WellKnownPaths(u, "x"); appended != want[0] || inserted != want[1] {
			t.Errorf("%s: %s %s", issuer, appended, inserted)
		}
		if got := oauth.WellKnownURL(issuer, "x"); got != "https://as.example"+want[0] {
			t.Errorf("%s", got)
		}
	}
}

// FuzzCovers: what is covered still is after the path is cleaned.
func FuzzCovers(f *testing.F) {
	for _, seed := range []string{"/v1/x", "/v1/../v2", "/v1/%2e%2e/x", "//v1", "/v1%2f..", "/v1/\\..", "/v1/./x", "/v1/x/"} {
		f.Add(seed)
	}
	prefix := &url.URL{Scheme: "https", Host: "api.corp.com", Path: "/v1"}
	f.Fuzz(func(t *testing.T, rest string) {
		target, err := url.Parse("https://api.corp.com" + rest)
		if err != nil || !oauth.Covers(prefix, target) {
			return
		}
		if target.Host != "api.corp.com" {
			t.Fatalf("%q: host %s", rest, target.Host)
		}
		for _, p := range []string{target.Path, target.EscapedPath(), strings.ReplaceAll(target.Path, "\\", "/")} {
			if clean := path.Clean("/" + p); clean != "/v1" && !strings.HasPrefix(clean, "/v1/") {
				t.Errorf("%q is %q", rest, clean)
			}
		}
	})
}

// FuzzParseResource: accepted is what its own printing gives.
func FuzzParseResource(f *testing.F) {
	for _, seed := range []string{"https://a.b/c", "https://a.b:443", "https://A.b", "https://a.b/%41", "https://a.b?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := oauth.ParseResource(text)
		if err == nil && (u.String() != text || u.Scheme != "https" || u.Host == "" || u.User != nil) {
			t.Errorf("%q: %v", text, u)
		}
	})
}
