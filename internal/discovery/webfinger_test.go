package discovery_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
)

func TestOD_01_Query(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorld(t, op, discovery.Config{})
	w.wantFound("bob+uma&x=y%z@bob.example", bobsIssuer, discovery.ByWebFinger)
	want := "/.well-known/webfinger?resource=acct%3Abob%2Buma%26x%3Dy%25z%40bob.example" +
		"&rel=http%3A%2F%2Fopenid.net%2Fspecs%2Fconnect%2F1.0%2Fissuer"
	r := op.Requests()[0]
	if r.URI != want || r.Host != "bob.example" || r.Method != http.MethodGet {
		t.Errorf("%s %s %s, want GET %s at bob.example", r.Method, r.Host, r.URI, want)
	}
}

func TestOD_03_WebFingerRedirect(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	both(op)
	for name, to := range map[string]string{
		"http": "http://bob.example/x", "loopback": "https://127.0.0.1/x", "loop": "https://bob.example" + fakeop.WebFinger,
	} {
		op.Misbehave(fakeop.WebFinger, fakeop.RedirectTo(to))
		op.Forget()
		w := newWorld(t, op, discovery.Config{})
		if _, err := w.find(bob); err == nil {
			t.Errorf("%s: found", name)
		}
		w.wantHits(fakeop.Configuration, 0)
	}
}

func TestOD_04_JRD(t *testing.T) {
	link := func(rel, href any) map[string]any {
		return map[string]any{"rel": rel, "href": href, "titles": map[string]any{"und": "x"}, "properties": nil}
	}
	for _, tc := range []struct {
		name, contentType string
		doc               map[string]any
		issuer, evidence  string
	}{
		{"extra members", "application/jrd+json", map[string]any{
			"subject": "acct:eve@evil.example", "aliases": []any{"x"}, "properties": map[string]any{"a": nil}, "more": 1,
			"links": []any{link("other", "https://evil.example"), link(7, 7), link(fakeop.IssuerRel, otherIssuer), link(fakeop.IssuerRel, "https://evil.example")},
		}, otherIssuer, discovery.ByWebFinger},
		{"application/json", "application/json; charset=utf-8", map[string]any{"links": []any{link(fakeop.IssuerRel, otherIssuer)}}, otherIssuer, discovery.ByWebFinger},
		{"other type", "text/plain", map[string]any{"links": []any{link(fakeop.IssuerRel, otherIssuer)}}, bobsIssuer, discovery.ByDocument},
		{"rel by case", "application/json", map[string]any{"links": []any{link(strings.ToUpper(fakeop.IssuerRel), otherIssuer)}}, bobsIssuer, discovery.ByDocument},
		{"member by case", "application/json", map[string]any{"Links": []any{link(fakeop.IssuerRel, otherIssuer)}}, bobsIssuer, discovery.ByDocument},
		{"null", "application/json", map[string]any{"links": nil}, bobsIssuer, discovery.ByDocument},
	} {
		t.Run("OD-04 "+tc.name, func(t *testing.T) {
			op := byWebFinger(t)
			both(op)
			op.Misbehave(fakeop.WebFinger, fakeop.JSON(tc.contentType, tc.doc))
			w := newWorld(t, op, discovery.Config{}, otherDomain)
			w.wantFound(bob, tc.issuer, tc.evidence)
		})
	}
}

func TestOD_05_IssuerLink(t *testing.T) {
	op := byWebFinger(t)
	both(op)
	for _, href := range []any{
		"http://idp.example", "https://idp.example?x", "https://idp.example/?", "https://idp.example#f", "https://idp.example#",
		"https://user@idp.example", "https://", "idp.example", "", nil, 7, "https://IDP.example", "https://idp.example/a/../b",
		"https://idp.example:443", "https://idp.example.", "javascript:alert(1)",
	} {
		op.Misbehave(fakeop.WebFinger, fakeop.JSON("application/jrd+json", map[string]any{
			"links": []any{map[string]any{"rel": fakeop.IssuerRel, "href": href}},
		}))
		op.Forget()
		w := newWorld(t, op, discovery.Config{}, otherDomain)
		w.wantErr(bob, discovery.ErrNoIssuer)
		w.wantHits(fakeop.Configuration, 0)
	}
	op.Misbehave(fakeop.WebFinger, nil)
	w := newWorld(t, op, discovery.Config{}, otherDomain)
	w.wantFound(bob, otherIssuer, discovery.ByWebFinger)
}
