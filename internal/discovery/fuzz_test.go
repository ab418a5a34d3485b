package discovery

import (
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// Whatever WebFinger answers, an issuer is an https URL that can be asked.
func FuzzIssuerLink(f *testing.F) {
	for _, s := range []string{
		`{"links":[{"rel":"` + issuerRel + `","href":"https://a.example"}]}`, `{"links":null}`, `[]`, `{"links":[{"rel":1}]}`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		issuer, linked, err := issuerLink(body)
		if issuer == "" {
			return
		}
		u, perr := url.Parse(issuer)
		if err != nil || !linked || perr != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(issuer, "?#") {
			t.Errorf("issuerLink(%q) = %q, %v, %v", body, issuer, linked, err)
		}
	})
}

// Whatever the configuration is, its issuer is compared as it stands.
func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://a.example","jwks_uri":"https://a.example/jwks"}`))
	f.Add([]byte(`{"issuer":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var tr transport
		if err := tr.read(&outbound.Response{Status: 200, ContentType: "application/json", Body: body}); err != nil {
			return
		}
		if isKeysURI(tr.doc.JWKSURI) && !strings.HasPrefix(strings.ToLower(tr.doc.JWKSURI), "https://") {
			t.Errorf("jwks_uri %q is accepted", tr.doc.JWKSURI)
		}
	})
}

// Every address gives a query that reads back as itself.
func FuzzWebFingerURL(f *testing.F) {
	for _, s := range []string{"bob@bob.example", "a+b&c=d%20#@bob.example", "x@y.z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := oauth.ParseAddress(s)
		if err != nil {
			t.Skip()
		}
		u, err := url.Parse(webFingerURL("https://"+a.Domain, a))
		if err != nil || u.Host != a.Domain || len(u.Query()) != 2 || u.Query().Get("resource") != "acct:"+a.String() || u.Query().Get("rel") != issuerRel {
			t.Errorf("webFingerURL(%q) = %v, %v", s, u, err)
		}
	})
}
