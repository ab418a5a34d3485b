package caddyrs

import (
	"net/url"
	"strings"
	"testing"
)

func TestSEC_21_OtherTargetsAndMethods(t *testing.T) {
	s := newSite(t, protect("\t\tscope use *")+proxy)
	s.do("GET", "/", "")
	token := "Authorization: Bearer " + s.as.rpt(resource, []string{"use"}, nil)
	for _, lines := range [][]string{
		{"CONNECT api.example:443 HTTP/1.1", "Host: api.example:443", token},
		{"GET / HTTP/1.1", "Host: x", token, token},
		{"GET / HTTP/1.1", "Host: x", token, "X-HTTP-Method-Override: DELETE"},
		{"POST / HTTP/1.1", "Host: x", token, "X-Method-Override: PUT", "Content-Length: 0"},
		{"GET / HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"},
	} {
		if got := s.raw(lines...); got < 400 || got > 499 {
			t.Errorf("%q = %d, want a refusal", lines[0], got)
		}
	}
	if n := s.hitCount(); n != 0 {
		t.Errorf("the backend was reached %d times", n)
	}
	if got := s.raw("POST / HTTP/1.1", "Host: x", token, "X-HTTP-Method-Override: post", "Content-Length: 0"); got != 202 {
		t.Errorf("an override with the same method = %d, want 202", got)
	}
}

// TestSEC_21_OrdinaryPathsPass: paths that look odd and lead nowhere else.
func TestSEC_21_OrdinaryPathsPass(t *testing.T) {
	s := newSite(t, protect("\t\tresource admin /admin/*\n\t\tresource public")+proxy)
	s.do("GET", "/", "")
	public, admin := s.as.rpt("public", []string{"get"}, nil), s.as.rpt("admin", []string{"get"}, nil)
	for target, token := range map[string]string{
		"/": public, "/x/": public, "/a%2Fb": public, "/a;v=1/b": public, "/100%25": public, "/x.": public, "/%E4%BD%A0": public,
		"/x//y": public, "/x?y=/../admin/": public, "/admin": public, "/administrator/x": public, "/a.b/c d%20": public,
		"/admin/": admin, "/admin/x;v=1": admin, "/admin/a%2Fb": admin, "/admin/x//y": admin,
	} {
		if got := s.raw("GET "+strings.ReplaceAll(target, " ", "%20")+" HTTP/1.1", "Host: x", "Authorization: Bearer "+token); got != 202 {
			t.Errorf("%s = %d, want 202", target, got)
		}
	}
}

func TestReadingsAreBounded(t *testing.T) {
	for _, p := range []string{
		strings.Repeat("/%252e;.%255c/ /.", 200), strings.Repeat("/a;b. //", 500), "/" + strings.Repeat("%25", 3000) + "2e",
	} {
		u, err := url.Parse("http://x" + strings.ReplaceAll(p, " ", "%20"))
		if err != nil {
			t.Fatal(err)
		}
		if all, err := readings(u); err == nil && len(all) > 2*maxReadings {
			t.Errorf("readings = %d", len(all))
		}
	}
}

func FuzzReadings(f *testing.F) {
	for _, p := range corpus(f, "targets.txt") {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		all, err := readings(u)
		if err != nil {
			return
		}
		for _, p := range all {
			if !printable(p) {
				t.Errorf("readings(%q) has %q", target, p)
			}
		}
	})
}
