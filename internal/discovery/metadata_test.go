package discovery_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
)

func TestOD_06_ConfigurationURL(t *testing.T) {
	for issuer, path := range map[string]string{
		"https://bob.example":         "/.well-known/openid-configuration",
		"https://bob.example/":        "/.well-known/openid-configuration",
		"https://bob.example/tenant":  "/tenant/.well-known/openid-configuration",
		"https://bob.example/tenant/": "/tenant/.well-known/openid-configuration",
	} {
		op := fakeop.New(t, fakeop.Config{Issuer: issuer})
		w := newWorld(t, op, discovery.Config{})
		w.wantFound(bob, issuer, discovery.ByWebFinger)
		w.wantHits(path, 1)
	}
}

func TestOD_07_ConfigurationMustBeJSON(t *testing.T) {
	good := `{"issuer":"https://bob.example","jwks_uri":"https://bob.example/jwks"}`
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		err    error
	}{
		{"good", fakeop.Raw(200, "application/json", good), nil},
		{"201", fakeop.Raw(201, "application/json", good), discovery.ErrNoIssuer},
		{"204", fakeop.Status(204), discovery.ErrNoIssuer},
		{"404", fakeop.Status(404), discovery.ErrNoIssuer},
		{"302", fakeop.RedirectTo("https://public.example/"), discovery.ErrNoIssuer},
		{"HTML", fakeop.HTML(), discovery.ErrNoIssuer},
		{"text", fakeop.Raw(200, "text/plain", good), discovery.ErrNoIssuer},
		{"array", fakeop.Raw(200, "application/json", "["+good+"]"), discovery.ErrNoIssuer},
		{"cut", fakeop.Raw(200, "application/json", good[:40]), discovery.ErrNoIssuer},
		{"two documents", fakeop.Raw(200, "application/json", good+good), discovery.ErrNoIssuer},
		{"issuer twice", fakeop.Raw(200, "application/json", `{"issuer":"https://evil.example",`+good[1:]), discovery.ErrNoIssuer},
		{"issuer by case", fakeop.Raw(200, "application/json", `{"Issuer":"https://bob.example","jwks_uri":"https://bob.example/jwks"}`), discovery.ErrNoIssuer},
		{"deep", fakeop.Raw(200, "application/json", `{"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+","+good[1:]), discovery.ErrNoIssuer},
		{"truncated", fakeop.Truncated(), discovery.ErrTemporary},
		{"503", fakeop.Status(503), discovery.ErrTemporary},
		{"429", fakeop.Status(429), discovery.ErrTemporary},
		{"too large", fakeop.Raw(200, "application/json", `{"x":"`+strings.Repeat("x", 65<<10)+`",`+good[1:]), discovery.ErrTemporary},
	} {
		t.Run("OD-07 "+tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			op.Misbehave(fakeop.Configuration, tc.answer)
			w := newWorld(t, op, discovery.Config{})
			if tc.err != nil {
				w.wantErr(bob, tc.err)
				return
			}
			w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
		})
	}
}

func TestOD_08_IssuerOfTheDocument(t *testing.T) {
	for issuer, ok := range map[any]bool{
		bobsIssuer: true, bobsIssuer + "/": false, "https://evil.example": false, "https://BOB.example": false,
		"http://bob.example": false, "": false, nil: false, 7: false,
	} {
		op := fakeop.New(t, fakeop.Config{})
		op.Edit(func(doc map[string]any) { doc["issuer"] = issuer })
		w := newWorld(t, op, discovery.Config{})
		if ok {
			w.wantFound(bob, bobsIssuer, discovery.ByWebFinger)
		} else {
			w.wantErr(bob, discovery.ErrNoIssuer)
		}
	}
	// go-oidc would take the second: both readings must agree.
	op := fakeop.New(t, fakeop.Config{})
	op.Misbehave(fakeop.Configuration, fakeop.Raw(200, "application/json",
		`{"issuer":"https://bob.example","ISSUER":"https://evil.example","jwks_uri":"https://bob.example/jwks"}`))
	newWorld(t, op, discovery.Config{}).wantErr(bob, discovery.ErrNoIssuer)
}

func TestOD_09_KeysURI(t *testing.T) {
	for uri, ok := range map[any]bool{
		"https://bob.example/jwks": true, "https://bob.example/jwks?p=policy": true, "https://keys.example/": true,
		"http://bob.example/jwks": false, "": false, nil: false, 7: false, "/jwks": false, "https:///jwks": false,
		"https://u@bob.example/jwks": false, "https://bob.example/jwks#f": false, "file:///etc/passwd": false,
	} {
		op := fakeop.New(t, fakeop.Config{})
		op.Edit(func(doc map[string]any) { doc["jwks_uri"] = uri })
		w := newWorld(t, op, discovery.Config{})
		if !ok {
			w.wantErr(bob, discovery.ErrNoIssuer)
			continue
		}
		found, err := w.find(bob)
		if err != nil || found.JWKSURI != uri {
			t.Errorf("jwks_uri %v: %+v, %v", uri, found, err)
		}
		w.wantHits(fakeop.JWKS, 0) // nothing is fetched before a key is needed
	}
}
