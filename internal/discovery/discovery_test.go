package discovery_test

import (
	"context"
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
	t      testing.TB
	op     *fakeop.OP
	finder *discovery.Finder

	mu     sync.Mutex
	now    time.Time
	events []event.Discovery
}

// newWorld connects port 443 of bob.example and of the other domains to op.
func newWorld(t testing.TB, op *fakeop.OP, cfg discovery.Config, domains ...string) *world {
	t.Helper()
	return newWorldWith(t, op, cfg, outbound.Config{ConnectTo: op.ConnectTo(domains...), Roots: op.Roots, Timeout: 2 * time.Second})
}

// newPatient is newWorld for tests in which nothing is slow on purpose.
func newPatient(t testing.TB, op *fakeop.OP, cfg discovery.Config, domains ...string) *world {
	t.Helper()
	return newWorldWith(t, op, cfg, outbound.Config{ConnectTo: op.ConnectTo(domains...), Roots: op.Roots})
}

func newWorldAt(t testing.TB, op *fakeop.OP, connectTo map[string]string) *world {
	t.Helper()
	return newWorldWith(t, op, discovery.Config{}, outbound.Config{ConnectTo: connectTo, Roots: op.Roots})
}

func newWorldWith(t testing.TB, op *fakeop.OP, cfg discovery.Config, out outbound.Config) *world {
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
	return w.finder.Find(w.t.Context(), a, discovery.Query{Source: address})
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
	t.Parallel()
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
			w.wantHits(fakeop.WebFinger, asked(tc.name))
		})
	}
}

// asked is how often a server is asked: a connection that is lost is made anew once.
func asked(name string) int {
	if strings.Contains(name, "reset") {
		return 2
	}
	return 1
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
		{"reset", fakeop.Reset(), discovery.ErrTemporary},
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
			w.wantHits(otherDomain+fakeop.Configuration, asked(tc.name))
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
