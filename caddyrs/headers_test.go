package caddyrs

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"
)

func requestWith(trusted bool, header http.Header) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	ctx := context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: trusted})
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	r = r.WithContext(ctx)
	r.Header = header
	return r
}

// TestSEC_19_LookAlikes: Caddy drops names with _ and . by default; where an
// administrator lets them in, they are removed here.
func TestSEC_19_LookAlikes(t *testing.T) {
	rules := newHeaderRules([]HeaderField{{"X-Who", "me"}}, nil, false)
	in := http.Header{
		"X-Who": {"x"}, "X_who": {"x"}, "x.who": {"x"}, "X~Who": {"x"}, "Remote_user": {"x"}, "REMOTE-USER": {"x"},
		"X_forwarded_proto": {"https"}, "X-Forwarded-Proto": {"https"}, "Authorization": {"Bearer x"}, "Dpop": {"x"},
		"X-Client-Cert": {"x"}, "X-Whole": {"kept"}, "Accept": {"kept"},
	}
	r := requestWith(false, in.Clone())
	r.Trailer = http.Header{"Remote-User": {"x"}, "X-Sum": {"kept"}}
	rules.clean(r)
	rules.set(r)
	want := http.Header{"X-Who": {"me"}, "X-Forwarded-Proto": {"https"}, "X-Whole": {"kept"}, "Accept": {"kept"}}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(http.Header{"X-Sum": {"kept"}}, r.Trailer); diff != "" {
		t.Errorf("trailer (-want +got):\n%s", diff)
	}
	t.Run("SEC-19 certificates of a trusted proxy stay", func(t *testing.T) {
		r := requestWith(true, in.Clone())
		rules.clean(r)
		if r.Header.Get("X-Client-Cert") != "x" || r.Header.Get("Remote-User") != "" {
			t.Errorf("header = %v", r.Header)
		}
	})
}

func TestSEC_21_OverriddenMethods(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Http-Method-Override": true, "X_http_method_override": true, "x.http.method": true, "X-Method-Override": true, "X-Other": false,
	} {
		r := requestWith(false, http.Header{name: {"DELETE"}})
		if got := unclear(r) != nil; got != want {
			t.Errorf("%s refused = %v, want %v", name, got, want)
		}
		r = requestWith(false, http.Header{name: {"get", " GET"}})
		if unclear(r) != nil {
			t.Errorf("%s with the same method is refused", name)
		}
	}
}

func TestSEC_19_ConnectionCannotRemoveOurFields(t *testing.T) {
	rules := newHeaderRules(nil, nil, false)
	for _, c := range []struct {
		name  string
		in    []string
		want  string
		hopBy bool // X-Hop stays
	}{
		{"ours", []string{"keep-alive, x-who", "X_Who, upgrade"}, "keep-alive, upgrade", true},
		{"nothing left", []string{"X-Who"}, "", true},
		{"empty options", []string{" , ,Close,"}, "Close", true},
		{"a field of the client", []string{"x-hop, TE"}, "TE", false},
	} {
		r := requestWith(false, http.Header{"Connection": c.in, "X-Hop": {"1"}})
		rules.clean(r)
		if got := strings.Join(r.Header["Connection"], "|"); got != c.want || (r.Header.Get("X-Hop") != "") != c.hopBy {
			t.Errorf("%s: Connection = %q, header %v", c.name, got, r.Header)
		}
	}
	// Also what other directives set after us stays.
	s := newSite(t, "\troute {\n"+protect("\t\theader_up X-Who {http.auth.user.id}\n\t\tmetadata off")+
		"\t\trequest_header X-Later {http.auth.user.id}\n"+proxy+"\t}\n")
	s.do("GET", "/", "")
	s.do("GET", "/", "", append(bearer(s.as.rpt(resource, []string{"get"}, nil)), "Connection", "X-Who, X-Later, Remote-User")...)
	if r, _ := s.lastHit(); r.Header.Get("X-Who") != "u-1" || r.Header.Get("X-Later") != "u-1" {
		t.Errorf("backend got %v", r.Header)
	}
}

// TestSEC_21_NoTunnels: a protocol that carries further HTTP requests would
// carry them past the protection.
func TestSEC_21_NoTunnels(t *testing.T) {
	rules := newHeaderRules(nil, nil, true)
	for value, stays := range map[string]bool{
		"h2c": false, "H2C": false, "websocket, h2c": false, "HTTP/2.0": false, "TLS/1.2, HTTP/1.1": false,
		"websocket": true, "echo": true,
	} {
		r := requestWith(false, http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {value}, "Http2-Settings": {"AAM"}})
		rules.clean(r)
		if got := r.Header.Get("Upgrade") != ""; got != stays {
			t.Errorf("Upgrade: %s stays = %t", value, got)
		}
	}
}

// TestSEC_19_PublicRequests: what the matcher leaves public says nothing of a
// user either, and what another protection has set stays.
func TestSEC_19_PublicRequests(t *testing.T) {
	one := func(path, client string) string {
		return "\tuma_protect " + path + " " + issuer + " {\n\t\tclient_id " + client + "\n\t\tresource " + client +
			"\n\t\trate_limit off\n\t\theader_up X-Who {http.auth.user.id}\n\t}\n"
	}
	s := newSite(t, one("/a/*", "a")+one("/b/*", "b")+proxy)
	s.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("WWW-Authenticate", `UMA ticket="t"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="b"`)
	}
	resp, _ := s.do("GET", "/public", "", "Remote-User", "root", "X-Who", "root", "Authorization", "Basic x")
	r, _ := s.lastHit()
	if r.Header.Get("Remote-User") != "" || r.Header.Get("X-Who") != "" || r.Header.Get("Authorization") != "Basic x" {
		t.Errorf("public: backend got %v", r.Header)
	}
	t.Run("CA-48 public", func(t *testing.T) {
		if diff := cmp.Diff([]string{`Basic realm="b"`}, resp.Header.Values("WWW-Authenticate")); diff != "" {
			t.Errorf("WWW-Authenticate (-want +got):\n%s", diff)
		}
	})
	for _, name := range []string{"a", "b"} {
		s.do("GET", "/"+name+"/x", "")
		resp, _ := s.do("GET", "/"+name+"/x", "", append(bearer(s.as.rpt(name, []string{"get"}, nil)), "X-Who", "root")...)
		r, _ := s.lastHit()
		if resp.StatusCode != 200 || r.Header.Get("X-Who") != "u-1" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s = %d, backend got %v", name, resp.StatusCode, r.Header)
		}
	}
}
