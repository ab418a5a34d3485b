package caddyrs

import (
	"context"
	"net/http"
	"net/http/httptest"
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
	rules := newHeaderRules([]HeaderField{{"X-Who", "me"}}, false)
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
	rules := newHeaderRules([]HeaderField{{"X-Who", "me"}}, false)
	r := requestWith(false, http.Header{"Connection": {"keep-alive, x-who", "X_Who, upgrade"}})
	rules.clean(r)
	if got := r.Header.Get("Connection"); got != "keep-alive, upgrade" {
		t.Errorf("Connection = %q", got)
	}
	r = requestWith(false, http.Header{"Connection": {"X-Who"}})
	rules.clean(r)
	if _, there := r.Header["Connection"]; there {
		t.Error("Connection is still there")
	}
}
