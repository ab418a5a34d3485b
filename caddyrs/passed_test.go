package caddyrs

import (
	"fmt"
	"testing"
)

// TestSEC_19_FieldsOfAnotherProtection: who has an RPT for one part of a site must not
// say by its requests who he is in another: of two protections each has fields of its own.
func TestSEC_19_FieldsOfAnotherProtection(t *testing.T) {
	protection := func(path, lines string) string {
		return "\tuma_protect " + path + " " + issuer + " {\n\t\tclient_id api\n\t\trate_limit off\n" + lines + "\n\t}\n"
	}
	s := newSite(t, protection("/a/*", "\t\tresource a\n\t\theader_up X-A {http.auth.user.id}\n\t\theader_up X-Both {http.auth.user.id}")+
		protection("/b/*", "\t\tresource b\n\t\theader_up X-B {http.auth.user.id}\n\t\theader_up X-Both {http.auth.user.id}")+proxy)
	s.do("GET", "/a/x", "")
	s.do("GET", "/b/x", "")
	spoofed := []string{"X-A", "root", "X_A", "root", "X-B", "root", "X_B", "root", "X-Both", "root", "X-Other", "yes"}
	for path, want := range map[string]string{
		"/a/x": "[u-1] [] [u-1] [yes]",
		"/b/x": "[] [u-1] [u-1] [yes]",
		"/c/x": "[] [] [] [yes]",
	} {
		token := bearer(s.as.rpt(path[1:2], []string{"get"}, nil))
		if path == "/c/x" {
			token = nil
		}
		s.do("GET", path, "", append(token, spoofed...)...)
		r, _ := s.lastHit()
		if r.URL.Path != path {
			t.Fatalf("%s did not reach the backend", path)
		}
		if got := fmt.Sprint(r.Header["X-A"], r.Header["X-B"], r.Header["X-Both"], r.Header["X-Other"]); got != want {
			t.Errorf("%s: X-A, X-B, X-Both, X-Other = %s, want %s", path, got, want)
		}
		if r.Header["X_a"] != nil || r.Header["X_b"] != nil {
			t.Errorf("%s: look-alikes: %v", path, r.Header)
		}
	}
}

// TestSEC_23_PreflightIsNoUpgrade: what passes without credentials changes no protocol.
func TestSEC_23_PreflightIsNoUpgrade(t *testing.T) {
	s := newSite(t, protect("\t\tcors pass")+proxy)
	s.do("OPTIONS", "/", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Connection", "Upgrade", "Upgrade", "websocket")
	if r, _ := s.lastHit(); r.Header.Get("Upgrade") != "" || r.Header.Get("Connection") == "Upgrade" {
		t.Errorf("backend got %v", r.Header)
	}
}
