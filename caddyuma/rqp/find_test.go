package rqp_test

import (
	"net/http"
	"testing"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// TestFindSTS_Redirects: RFC 7033 §4.2 lets a domain send WebFinger elsewhere,
// to https only; where it leads is a stranger's host (SEC-29).
func TestFindSTS_Redirects(t *testing.T) {
	const bob, place = "https://bob.example", "/.well-known/webfinger"
	to := func(target string) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, target, http.StatusFound) }
	}
	for _, tt := range []struct {
		name   string
		target string
		ok     bool
	}{
		{"to the STS", sts + place, true},
		{"three times", as + "/1", true},
		{"four times", evil + "/0", false},
		{"for ever", bob + place, false},
		{"to http", "http://sts.example" + place, false},
		{"to another port", "https://sts.example:8443" + place, false},
		{"to a private address", "https://127.0.0.1" + place, false},
		{"with credentials", "https://u:p@sts.example" + place, false},
		{"to no URL", "https://%zz/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.on(bob+place, to(tt.target))
			w.on(evil+"/0", to(as+"/1"))
			w.on(as+"/1", to(as+"/2"))
			w.on(as+"/2", to(sts+place))
			w.doc(sts, "webfinger", map[string]any{"links": []any{map[string]string{"rel": oauth.RelIssuer, "href": sts}}})
			w.doc(bob, "openid-configuration", map[string]any{"issuer": bob}) // never the way out of a bad redirect
			got, err := rqp.FindSTS(t.Context(), "bob@bob.example", w.network)
			if (err == nil) != tt.ok || tt.ok && got != sts {
				t.Errorf("FindSTS = %q, %v", got, err)
			}
		})
	}
}
