package discovery_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/event"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/oauth"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// world is a fake provider, a finder that can reach it, a clock and what the
// finder told.
type world struct {
	t      *testing.T
	op     *fakeop.OP
	finder *discovery.Finder

	mu     sync.Mutex
	now    time.Time
	events []event.Discovery
}

// newWorld connects port 443 of bob.example and of the other domains to op.
func newWorld(t *testing.T, op *fakeop.OP, cfg discovery.Config, domains ...string) *world {
	t.Helper()
	return newWorldWith(t, op, cfg, outbound.Config{ConnectTo: op.ConnectTo(domains...), Roots: op.Roots, Timeout: 500 * time.Millisecond})
}

func newWorldWith(t *testing.T, op *fakeop.OP, cfg discovery.Config, out outbound.Config) *world {
	t.Helper()
	w := &world{t: t, op: op, now: time.Unix(1_800_000_000, 0)}
	if out.Resolve == nil { // no test asks real DNS
		out.Resolve = func(_ context.Context, host string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	}
	cfg.Client, cfg.Now, cfg.Observe = outbound.NewStrict(out), w.clock, w.observe
	finder, err := discovery.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.finder = finder
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) observe(_ context.Context, e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d, ok := e.(event.Discovery); ok {
		w.events = append(w.events, d)
	}
}

func (w *world) find(address string) (discovery.Found, error) {
	w.t.Helper()
	a, err := oauth.ParseAddress(address)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.finder.Find(w.t.Context(), a)
}

// wantFound checks a success.
func (w *world) wantFound(address, issuer, evidence string) {
	w.t.Helper()
	found, err := w.find(address)
	if err != nil || found.Issuer != issuer || found.Evidence != evidence || found.Keys == nil || found.JWKSURI == "" {
		w.t.Errorf("Find(%s) = %+v, %v, want %s by %s", address, found, err, issuer, evidence)
	}
}

func (w *world) wantErr(address string, want error) {
	w.t.Helper()
	found, err := w.find(address)
	if !errors.Is(err, want) || found.Issuer != "" || found.Keys != nil {
		w.t.Errorf("Find(%s) = %+v, %v, want %v", address, found, err, want)
	}
}

func (w *world) wantHits(path string, want int) {
	w.t.Helper()
	if got := w.op.Hits(path); got != want {
		w.t.Errorf("%s was asked %d times, want %d", path, got, want)
	}
}

const (
	bob         = "bob@bob.example"
	bobsIssuer  = "https://bob.example"
	otherDomain = "idp.example"
	otherIssuer = "https://idp.example"
)

// byWebFinger makes a provider at another host than the domain, so that
// WebFinger and the fallback can be told apart.
func byWebFinger(t *testing.T) *fakeop.OP {
	t.Helper()
	return fakeop.New(t, fakeop.Config{Issuer: otherIssuer})
}

// both answers a configuration for whichever host is asked.
func both(op *fakeop.OP) {
	op.Misbehave("bob.example"+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
		"issuer": bobsIssuer, "jwks_uri": bobsIssuer + fakeop.JWKS,
	}))
}

func TestCA_30_WebFingerThenDocument(t *testing.T) {
	noLink := fakeop.JSON("application/jrd+json", map[string]any{"subject": "acct:bob@bob.example"})
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc // of WebFinger; nil is the good one
		issuer string
		err    error
	}{
		{"issuer link", nil, otherIssuer, nil},
		{"A13 404", fakeop.Status(404), bobsIssuer, nil},
		{"A13 400", fakeop.Status(400), bobsIssuer, nil},
		{"A13 403", fakeop.Status(403), bobsIssuer, nil},
		{"A13 410", fakeop.Status(410), bobsIssuer, nil},
		{"A13 HTML catch-all", fakeop.HTML(), bobsIssuer, nil},
		{"A13 204", fakeop.Status(204), bobsIssuer, nil},
		{"A13 no links", noLink, bobsIssuer, nil},
		{"A13 links is an object", fakeop.Raw(200, "application/json", `{"links":{"self":"x"}}`), bobsIssuer, nil},
		{"A13 array", fakeop.Raw(200, "application/json", `[]`), bobsIssuer, nil},
		{"A13 empty", fakeop.Raw(200, "application/json", ``), bobsIssuer, nil},
		{"A13 large error page", fakeop.Raw(404, "text/html", strings.Repeat("x", 200<<10)), bobsIssuer, nil},
		{"A13 408", fakeop.Status(408), "", discovery.ErrTemporary},
		{"A13 425", fakeop.Status(425), "", discovery.ErrTemporary},
		{"A13 429", fakeop.Status(429), "", discovery.ErrTemporary},
		{"A13 500", fakeop.Status(500), "", discovery.ErrTemporary},
		{"A13 503", fakeop.Status(503), "", discovery.ErrTemporary},
		{"A13 reset", fakeop.Reset(), "", discovery.ErrTemporary},
		{"A13 timeout", fakeop.Hang(), "", discovery.ErrTemporary},
		{"A13 slow", fakeop.SlowDrip(), "", discovery.ErrTemporary},
		{"A13 truncated", fakeop.Truncated(), "", discovery.ErrTemporary},
		{"A13 cut JSON", fakeop.Raw(200, "application/jrd+json", `{"links":[{"rel":"http`), "", discovery.ErrTemporary},
		{"A13 oversized", fakeop.Endless(), "", discovery.ErrTemporary},
		{"A13 gzip bomb", fakeop.GzipBomb(32 << 20), "", discovery.ErrTemporary},
		{"A13 blocked", fakeop.RedirectTo("https://169.254.169.254/"), "", discovery.ErrNoIssuer},
		{"A13 304", fakeop.Status(304), "", discovery.ErrNoIssuer},
	} {
		t.Run("CA-30 "+tc.name, func(t *testing.T) {
			t.Parallel()
			op := byWebFinger(t)
			both(op)
			if tc.answer != nil {
				op.Misbehave(fakeop.WebFinger, tc.answer)
			}
			w := newWorld(t, op, discovery.Config{}, otherDomain)
			switch {
			case tc.err != nil:
				w.wantErr(bob, tc.err)
				w.wantHits(fakeop.Configuration, 0)
			case tc.issuer == otherIssuer:
				w.wantFound(bob, otherIssuer, discovery.ByWebFinger)
			default:
				w.wantFound(bob, bobsIssuer, discovery.ByDocument)
			}
			w.wantHits(fakeop.WebFinger, 1)
		})
	}
}

func TestCA_30_NoConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	_ = ln.Close()
	op := fakeop.New(t, fakeop.Config{OwnCA: true})
	for name, to := range map[string]string{"refused": closed, "certificate": op.Addr} {
		w := newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: map[string]string{"bob.example:443": to}})
		w.wantErr(bob, discovery.ErrTemporary)
		if n := op.Hits(""); n != 0 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

func TestCA_31_NothingAfterAnIssuerLink(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc // of the issuer's configuration
		want   error
	}{
		{"dead", fakeop.Reset(), discovery.ErrTemporary},
		{"503", fakeop.Status(503), discovery.ErrTemporary},
		{"404", fakeop.Status(404), discovery.ErrNoIssuer},
		{"HTML", fakeop.HTML(), discovery.ErrNoIssuer},
		{"other issuer", fakeop.JSON("application/json", map[string]any{"issuer": bobsIssuer, "jwks_uri": "https://idp.example/jwks"}), discovery.ErrNoIssuer},
	} {
		t.Run("CA-31 "+tc.name, func(t *testing.T) {
			op := byWebFinger(t)
			both(op)
			op.Misbehave(otherDomain+fakeop.Configuration, tc.answer)
			w := newWorld(t, op, discovery.Config{}, otherDomain)
			w.wantErr(bob, tc.want)
			w.wantHits("bob.example"+fakeop.Configuration, 0)
			w.wantHits(otherDomain+fakeop.Configuration, 1)
		})
	}
	t.Run("CA-31 unknown host", func(t *testing.T) {
		op := byWebFinger(t)
		both(op)
		w := newWorld(t, op, discovery.Config{})
		w.wantErr(bob, discovery.ErrTemporary)
		w.wantHits(fakeop.Configuration, 0)
	})
}

func TestCA_32_IssuerOfExactlyThisAddress(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Link(func(resource string) (string, bool) {
		switch resource {
		case "acct:mallory@bob.example":
			return "https://a.example", true
		case "acct:ceo@bob.example", "acct:CEO@bob.example":
			return "https://b.example", true
		}
		return "", false
	})
	for _, host := range []string{"a.example", "b.example"} {
		op.Misbehave(host+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
			"issuer": "https://" + host, "jwks_uri": "https://" + host + "/jwks",
		}))
	}
	both(op)
	w := newWorld(t, op, discovery.Config{}, "a.example", "b.example")
	w.wantFound("nobody@bob.example", bobsIssuer, discovery.ByDocument)
	w.wantFound("mallory@bob.example", "https://a.example", discovery.ByWebFinger)
	w.wantFound("ceo@bob.example", "https://b.example", discovery.ByWebFinger)
	w.wantFound("mallory@bob.example", "https://a.example", discovery.ByWebFinger)
	w.wantHits(fakeop.WebFinger, 3)
	w.wantFound("CEO@bob.example", "https://b.example", discovery.ByWebFinger) // A14: the local part as it is
	w.wantHits(fakeop.WebFinger, 4)

	t.Run("A13 who delegated once never falls back", func(t *testing.T) {
		w.wantErr("nobody@bob.example", discovery.ErrNoIssuer)
		w.wantErr("stranger@bob.example", discovery.ErrNoIssuer)
		op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
		w.pass(time.Hour)
		w.wantErr("ceo@bob.example", discovery.ErrNoIssuer)
	})
}

func TestCA_33_IssuerOnAnotherHost(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rule   discovery.Domain
		issuer string
		err    error
	}{
		{"by WebFinger", discovery.Domain{Pattern: "*"}, otherIssuer, nil},
		{"CA-EXT-11 same_domain", discovery.Domain{Pattern: "bob.example", SameDomain: true}, "", discovery.ErrNoIssuer},
		{"pinned", discovery.Domain{Pattern: "bob.example", BaseURL: otherIssuer, NoWebFinger: true}, otherIssuer, nil},
		{"pinned elsewhere", discovery.Domain{Pattern: "bob.example", BaseURL: "https://third.example", NoWebFinger: true}, "", discovery.ErrTemporary},
		{"pinned and same_domain", discovery.Domain{Pattern: "bob.example", BaseURL: otherIssuer, NoWebFinger: true, SameDomain: true}, "", discovery.ErrNoIssuer},
	} {
		t.Run("CA-33 "+tc.name, func(t *testing.T) {
			op := byWebFinger(t)
			w := newWorld(t, op, discovery.Config{Domains: []discovery.Domain{tc.rule}}, otherDomain)
			if tc.err != nil {
				w.wantErr(bob, tc.err)
				w.wantHits(otherDomain+fakeop.Configuration, 0)
				return
			}
			evidence := discovery.ByWebFinger
			if tc.rule.NoWebFinger {
				evidence = discovery.ByPin
				defer w.wantHits(fakeop.WebFinger, 0)
			}
			w.wantFound(bob, tc.issuer, evidence)
		})
	}
	t.Run("CA-EXT-11 same_domain with the domain's own issuer", func(t *testing.T) {
		op := fakeop.New(t, fakeop.Config{Issuer: "https://bob.example/op"})
		w := newWorld(t, op, discovery.Config{Domains: []discovery.Domain{{Pattern: "*", SameDomain: true}}})
		w.wantFound(bob, "https://bob.example/op", discovery.ByWebFinger)
	})
	t.Run("CA-33 a document of another host is no delegation", func(t *testing.T) {
		op := byWebFinger(t)
		op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
		op.Misbehave("bob.example"+fakeop.Configuration, fakeop.JSON("application/json", map[string]any{
			"issuer": otherIssuer, "jwks_uri": "https://idp.example/jwks",
		}))
		w := newWorld(t, op, discovery.Config{}, otherDomain)
		w.wantErr(bob, discovery.ErrNoIssuer)
	})
}

func TestA14_DenyAndNoDocument(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	w := newWorld(t, op, discovery.Config{Domains: []discovery.Domain{{Pattern: "*", Deny: true}, {Pattern: "ok.example"}}}, "ok.example")
	w.wantErr(bob, discovery.ErrDenied)
	if len(w.events) != 0 || op.Conns() != 0 {
		t.Errorf("a denied domain costs %d events and %d connections, want none", len(w.events), op.Conns())
	}
	w.wantFound("a@ok.example", bobsIssuer, discovery.ByWebFinger)

	op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
	w = newWorld(t, op, discovery.Config{NoDocument: true})
	w.wantErr(bob, discovery.ErrNoIssuer)
	w = newWorld(t, op, discovery.Config{})
	w.wantFound(bob, bobsIssuer, discovery.ByDocument)
}

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

// startTLS is used where a listener must not be one of fakeop's.
func startTLS(t *testing.T, name string, hits func()) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{fakeop.Certificate(name)}})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits() })}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String()
}
