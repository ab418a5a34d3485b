package discovery_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-uma/caddy-uma/internal/discovery"
	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

func newFinder(domains ...discovery.Domain) (*discovery.Finder, error) {
	return discovery.New(discovery.Config{
		Client: outbound.NewStrict(outbound.Config{}), Domains: domains,
		Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
	})
}

func TestRule(t *testing.T) {
	f, err := newFinder(
		discovery.Domain{Pattern: "*", Deny: true},
		discovery.Domain{Pattern: "*.bob.example", SameDomain: true},
		discovery.Domain{Pattern: "*.deep.bob.example"},
		discovery.Domain{Pattern: "Bob.example", AssumeEmailVerified: true},
		discovery.Domain{Pattern: "*.localhost"},
		discovery.Domain{Pattern: "sso.example", BaseURL: "https://sso.example", AcceptTyp: []string{"JWT"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{
		"bob.example": "Bob.example", "BOB.EXAMPLE": "Bob.example", "a.bob.example": "*.bob.example", "a.b.bob.example": "*.bob.example",
		"deep.bob.example": "*.bob.example", "x.deep.bob.example": "*.deep.bob.example",
		"evilbob.example": "*", "bob.example.evil.example": "*", "example": "*", "x.localhost": "*.localhost", "sso.example": "sso.example",
	} {
		if got := f.Rule(domain).Pattern; got != want {
			t.Errorf("Rule(%s) = %s, want %s", domain, got, want)
		}
	}
	if got := f.Rule("bob.example").AcceptTyp; !cmp.Equal(got, []string{"ca-claims+jwt"}) {
		t.Errorf("AcceptTyp = %v, want the default", got)
	}
	if got := f.Rule("sso.example").AcceptTyp; !cmp.Equal(got, []string{"JWT"}) {
		t.Errorf("AcceptTyp = %v, want JWT", got)
	}
	none, err := newFinder()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(discovery.Domain{AcceptTyp: []string{"ca-claims+jwt"}}, none.Rule("bob.example")); diff != "" {
		t.Errorf("no entry: %s", diff)
	}
}

func TestRuleErrors(t *testing.T) {
	base := "https://sts.example"
	for name, d := range map[string]discovery.Domain{
		"empty":                 {},
		"only star dot":         {Pattern: "*."},
		"star inside":           {Pattern: "a.*.example"},
		"two stars":             {Pattern: "*.*.example"},
		"address":               {Pattern: "127.0.0.1"},
		"port":                  {Pattern: "bob.example:443"},
		"one label":             {Pattern: "localhost"},
		"deny with URL":         {Pattern: "*", Deny: true, BaseURL: base},
		"no WebFinger, no URL":  {Pattern: "*", NoWebFinger: true},
		"http":                  {Pattern: "*", BaseURL: "http://sts.example"},
		"query":                 {Pattern: "*", BaseURL: base + "?a"},
		"typ without URL":       {Pattern: "*", AcceptTyp: []string{"JWT"}},
		"A37 access token":      {Pattern: "*", BaseURL: base, AcceptTyp: []string{"at+jwt"}},
		"A37 access token long": {Pattern: "*", BaseURL: base, AcceptTyp: []string{"application/AT+JWT"}},
	} {
		if _, err := newFinder(d); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := newFinder(discovery.Domain{Pattern: "bob.example"}, discovery.Domain{Pattern: "BOB.example"}); err == nil {
		t.Error("twice: accepted")
	}
	if _, err := newFinder(discovery.Domain{Pattern: "bob.example"}, discovery.Domain{Pattern: "*.bob.example"}); err != nil {
		t.Errorf("name and star: %v", err)
	}
	if _, err := discovery.New(discovery.Config{}); err == nil {
		t.Error("no client: accepted")
	}
}

func localPort(op *fakeop.OP) string {
	_, port, _ := net.SplitHostPort(op.Addr)
	return port
}

// atBaseURL is a provider that only the entry's base URL makes reachable.
func atBaseURL(t *testing.T, issuer func(base string) string, rule discovery.Domain) (*world, string) {
	t.Helper()
	op := fakeop.New(t, fakeop.Config{})
	base := "https://sso.localhost:" + localPort(op)
	op.Issuer = issuer(base)
	rule.BaseURL = base
	w := newWorldWith(t, op, discovery.Config{Domains: []discovery.Domain{rule}}, outbound.Config{
		Exceptions: map[string]outbound.Exception{"sso.localhost:" + localPort(op): {Roots: op.Roots}},
	})
	return w, base
}

func same(base string) string { return base }

func TestA42_BaseURL(t *testing.T) {
	t.Run("A42 WebFinger there, issuer there", func(t *testing.T) {
		w, base := atBaseURL(t, func(b string) string { return b + "/op" }, discovery.Domain{Pattern: "bob.example"})
		w.wantFound(bob, base+"/op", discovery.ByWebFinger)
		if r := w.op.Requests()[0]; r.Path != fakeop.WebFinger {
			t.Errorf("first request is %s, want WebFinger", r.Path)
		}
	})
	t.Run("A42 document there", func(t *testing.T) {
		w, base := atBaseURL(t, same, discovery.Domain{Pattern: "bob.example"})
		w.op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
		w.wantFound(bob, base, discovery.ByDocument)
	})
	t.Run("A42 document there of another issuer", func(t *testing.T) {
		w, _ := atBaseURL(t, same, discovery.Domain{Pattern: "bob.example"})
		w.op.Misbehave(fakeop.WebFinger, fakeop.Status(404))
		w.op.Edit(func(doc map[string]any) { doc["issuer"] = bobsIssuer })
		w.wantErr(bob, discovery.ErrNoIssuer)
	})
	t.Run("A42 pinned", func(t *testing.T) {
		w, base := atBaseURL(t, same, discovery.Domain{Pattern: "bob.example", NoWebFinger: true})
		w.wantFound(bob, base, discovery.ByPin)
		w.wantHits(fakeop.WebFinger, 0)
	})
	t.Run("A42 jwks_uri on another local port is blocked", func(t *testing.T) {
		var hits atomic.Int64
		addr := startTLS(t, "sso.localhost", func() { hits.Add(1) })
		_, port, _ := net.SplitHostPort(addr)
		w, _ := atBaseURL(t, same, discovery.Domain{Pattern: "bob.example", NoWebFinger: true})
		w.op.Edit(func(doc map[string]any) { doc["jwks_uri"] = "https://sso.localhost:" + port + "/jwks" })
		found, err := w.find(bob)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := found.Keys.Key(t.Context(), "key-1", "ES256"); err == nil || hits.Load() != 0 {
			t.Errorf("Key: %v with %d requests, want an error and none", err, hits.Load())
		}
	})
	t.Run("A42 keys on the base URL", func(t *testing.T) {
		w, _ := atBaseURL(t, same, discovery.Domain{Pattern: "bob.example", NoWebFinger: true})
		found, err := w.find(bob)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := found.Keys.Key(t.Context(), "key-1", "ES256"); err != nil {
			t.Errorf("Key: %v", err)
		}
	})
}

// A stranger's domain points to what only bob.example's entry may reach.
func TestSEC_29_ExceptionIsForItsOwnPeople(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "evil.example"})
	base := "https://sso.localhost:" + localPort(op)
	op.Issuer = base
	for name, domains := range map[string][]discovery.Domain{
		"without an entry":          nil,
		"with an entry of another":  {{Pattern: "bob.example", BaseURL: base}},
		"with an entry of a parent": {{Pattern: "example.org", BaseURL: base}},
	} {
		op.Forget()
		out := outbound.Config{Roots: op.Roots, ConnectTo: op.ConnectTo()}
		if domains != nil {
			out.Exceptions = map[string]outbound.Exception{"sso.localhost:" + localPort(op): {}}
		}
		w := newWorldWith(t, op, discovery.Config{Domains: domains}, out)
		w.wantErr("eve@evil.example", discovery.ErrNoIssuer)
		w.wantHits("", 1)
		w.wantHits(fakeop.WebFinger, 1)
		if name == "with an entry of another" { // and what the stranger saw does not count for Bob
			w.wantFound(bob, base, discovery.ByWebFinger)
			w.wantErr("eve@evil.example", discovery.ErrNoIssuer)
		}
	}
}

// Two entries: Bob's domain delegates to the host of the other one.
func TestA42_DelegationBetweenEntries(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "bob.example"})
	port := localPort(op)
	op.Issuer = "https://sso.localhost:" + port
	domains := []discovery.Domain{
		{Pattern: "bob.example", BaseURL: "https://finger.localhost:" + port},
		{Pattern: "carol.example", BaseURL: op.Issuer},
	}
	for _, n := range []int{1, 2} { // the second entry is what makes it possible
		out := outbound.Config{Roots: op.Roots, Exceptions: map[string]outbound.Exception{
			"finger.localhost:" + port: {}, "sso.localhost:" + port: {},
		}}
		w := newWorldWith(t, op, discovery.Config{Domains: domains[:n]}, out)
		if n == 1 {
			w.wantErr(bob, discovery.ErrNoIssuer)
			continue
		}
		w.wantFound(bob, op.Issuer, discovery.ByWebFinger)
	}
}

// The example of DESIGN §5: the domain's port 443 and the issuer's port lead to
// one listener by connect_to alone.
func TestA42_ConnectTo(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{Domain: "bob.localhost"})
	op.Issuer = "https://bob.localhost:" + localPort(op)
	w := newWorldWith(t, op, discovery.Config{}, outbound.Config{Roots: op.Roots, ConnectTo: map[string]string{
		"bob.localhost:443": op.Addr, "bob.localhost:" + localPort(op): op.Addr,
	}})
	w.wantFound("bob@bob.localhost", op.Issuer, discovery.ByWebFinger)
	w.wantErr("bob@alice.localhost", discovery.ErrNoIssuer)
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
