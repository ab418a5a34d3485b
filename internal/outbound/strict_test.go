package outbound_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// resolver answers for made-up names and counts.
type resolver struct {
	addrs map[string][]string
	calls atomic.Int64
}

func (r *resolver) resolve(_ context.Context, host string) ([]string, error) {
	r.calls.Add(1)
	if a, ok := r.addrs[host]; ok {
		return a, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func port(op *fakeop.OP) string {
	_, p, _ := net.SplitHostPort(op.Addr)
	return p
}

// connected is a client for which bob.example:443 is the fake provider.
func connected(op *fakeop.OP) outbound.Config {
	return outbound.Config{ConnectTo: op.ConnectTo(), Roots: op.Roots, Resolve: (&resolver{}).resolve}
}

func get(t *testing.T, cfg outbound.Config, r outbound.Request) (*outbound.Response, error) {
	t.Helper()
	return outbound.NewStrict(cfg).Get(t.Context(), r)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error = %v, want %v", what, err, want)
	}
}

func TestSEC_05_ForbiddenAddresses(t *testing.T) {
	forbidden := []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "192.0.0.1", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
		"255.255.255.255", "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001::1",
	}
	for _, addr := range forbidden {
		r := &resolver{addrs: map[string][]string{"evil.example": {addr}}}
		_, err := get(t, outbound.Config{Resolve: r.resolve}, outbound.Request{URL: "https://evil.example/"})
		wantErr(t, addr, err, outbound.ErrBlocked)
		literal := "https://" + net.JoinHostPort(addr, "443") + "/"
		_, err = get(t, outbound.Config{}, outbound.Request{URL: literal})
		wantErr(t, literal, err, outbound.ErrBlocked)
	}
	for _, host := range []string{"localhost", "bob.localhost", "LOCALHOST", "localhost."} {
		_, err := get(t, outbound.Config{}, outbound.Request{URL: "https://" + host + "/"})
		wantErr(t, host, err, outbound.ErrBlocked)
	}
}

func TestSEC_05_ExceptionOpensOneHostPort(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	r := &resolver{addrs: map[string][]string{"bob.example": {"127.0.0.1"}, "other.example": {"127.0.0.1"}}}
	cfg := outbound.Config{
		Exceptions: map[string]outbound.Exception{"bob.example:" + port(op): {}},
		Roots:      op.Roots, Resolve: r.resolve,
	}
	resp, err := get(t, cfg, outbound.Request{URL: "https://bob.example:" + port(op) + fakeop.JWKS})
	if err != nil || resp.Status != 200 || len(resp.Body) == 0 || resp.ContentType != "application/json" {
		t.Fatalf("Get = %+v, %v, want 200 with a body", resp, err)
	}
	before := op.Conns()
	for _, u := range []string{
		"https://other.example:" + port(op) + fakeop.JWKS, // the same address by another name
		"https://bob.example" + fakeop.JWKS,               // another port of the same name
		"https://127.0.0.1:" + port(op) + fakeop.JWKS,     // the address itself
		"https://localhost:" + port(op) + fakeop.JWKS,
	} {
		_, err := get(t, cfg, outbound.Request{URL: u})
		wantErr(t, "SEC-29 "+u, err, outbound.ErrBlocked)
	}
	_, err = get(t, cfg, outbound.Request{URL: "https://bob.example:" + port(op) + fakeop.JWKS, NoExceptions: true})
	wantErr(t, "NoExceptions", err, outbound.ErrBlocked)
	if got := op.Conns(); got != before {
		t.Errorf("%d more connections, want none", got-before)
	}
}

// The resolver changes its mind: what is checked is what is dialled.
func TestSEC_06_RebindingResolver(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	var calls atomic.Int64
	cfg := outbound.Config{Resolve: func(context.Context, string) ([]string, error) {
		if calls.Add(1)%2 == 1 {
			return []string{"203.0.113.7"}, nil
		}
		return []string{"127.0.0.1"}, nil
	}}
	for range 4 {
		_, err := get(t, cfg, outbound.Request{URL: "https://rebind.example/"})
		wantErr(t, "rebinding", err, outbound.ErrBlocked)
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("%d look-ups for 4 requests, want one each: nothing may be looked up again after the check", n)
	}
	if op.Conns() != 0 {
		t.Error("the local server was connected to")
	}
	r := &resolver{addrs: map[string][]string{"name.example": {"localhost"}}}
	_, err := get(t, outbound.Config{Resolve: r.resolve}, outbound.Request{URL: "https://name.example/"})
	wantErr(t, "resolver gives a name", err, outbound.ErrBlocked)
}

func TestSEC_07_OnlyHTTPSAtPort443(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	cfg := connected(op)
	if _, err := get(t, cfg, outbound.Request{URL: "https://bob.example:443" + fakeop.JWKS}); err != nil {
		t.Fatalf("port 443 written out: %v", err)
	}
	if _, err := get(t, cfg, outbound.Request{URL: "https://BOB.example" + fakeop.JWKS}); err != nil {
		t.Fatalf("upper case: %v", err)
	}
	before := op.Conns()
	for _, u := range []string{
		"http://bob.example/", "http://bob.example:443/", "ftp://bob.example/", "https://bob.example:22/",
		"https://bob.example:8443/", "https://bob.example:/", "https://user@bob.example/", "https://user:pw@bob.example/",
		"https:bob.example", "https:///x", "//bob.example/", "bob.example", "", "https://b%c3%b6b.example/", "https://böb.example/",
		"https://bob.example%00/", "https://[fe80::1%25eth0]/", "://", "https://bob.example:99999/",
	} {
		_, err := get(t, cfg, outbound.Request{URL: u})
		wantErr(t, u, err, outbound.ErrBlocked)
	}
	if got := op.Conns(); got != before {
		t.Errorf("%d connections, want none", got-before)
	}
}

func TestSEC_07_NothingIsSentAlong(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	op := fakeop.New(t, fakeop.Config{})
	op.Misbehave(fakeop.JWKS, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		fakeop.JSON("application/json", map[string]any{})(w, r)
	})
	s := outbound.NewStrict(connected(op))
	for range 2 {
		if _, err := s.Get(t.Context(), outbound.Request{URL: "https://bob.example/jwks", Accept: "application/json"}); err != nil {
			t.Fatalf("Get with a proxy in the environment: %v", err)
		}
	}
	for _, r := range op.Requests() {
		for _, name := range []string{"Cookie", "Authorization", "Referer", "Accept-Encoding", "Proxy-Authorization"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s: %q is sent", name, r.Header.Get(name))
			}
		}
		if r.ClientCerts != 0 || r.Header.Get("Accept") != "application/json" || r.Method != http.MethodGet {
			t.Errorf("request %+v, want a GET with Accept and no certificate", r)
		}
	}
	if n := op.Conns(); n != 2 {
		t.Errorf("%d connections for 2 requests, want no sharing", n)
	}
}

func TestSEC_08_Bounds(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	cfg := connected(op)
	cfg.Timeout = 250 * time.Millisecond
	for name, h := range map[string]http.HandlerFunc{
		"slow drip": fakeop.SlowDrip(), "hang": fakeop.Hang(), "endless": fakeop.Endless(), "truncated": fakeop.Truncated(),
		"gzip bomb": fakeop.GzipBomb(64 << 20), "header": fakeop.EndlessHeader(1 << 20), "reset": fakeop.Reset(),
		"no length": fakeop.Unframed(`{}`),
		"too large": fakeop.Raw(200, "application/json", strings.Repeat(" ", 1001)),
	} {
		op.Misbehave(fakeop.JWKS, h)
		start := time.Now()
		_, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks", MaxBody: 1000})
		wantErr(t, name, err, outbound.ErrTemporary)
		if errors.Is(err, outbound.ErrConnect) {
			t.Errorf("%s: a failure after the connection is reported as one of the connection: %v", name, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	op.Misbehave(fakeop.JWKS, fakeop.Raw(200, "application/json; charset=UTF-8", strings.Repeat(" ", 1000)))
	resp, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks", MaxBody: 1000})
	if err != nil || len(resp.Body) != 1000 || resp.ContentType != "application/json" {
		t.Errorf("just small enough: %+v, %v", resp, err)
	}
	op.Misbehave(fakeop.JWKS, fakeop.Raw(404, "text/html", strings.Repeat(" ", 1<<20)))
	if resp, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"}); err != nil || resp.Status != 404 || resp.Body != nil {
		t.Errorf("large 404: %+v, %v, want the status alone", resp, err)
	}
}

func TestSEC_08_ContextIsHonoured(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Misbehave(fakeop.JWKS, fakeop.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := outbound.NewStrict(connected(op)).Get(ctx, outbound.Request{URL: "https://bob.example/jwks"})
	wantErr(t, "cancelled", err, outbound.ErrTemporary)
	wantErr(t, "cancelled", err, context.Canceled)
}

func TestOD_02_CertificateAndName(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	cfg := connected(op)
	if _, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"}); err != nil {
		t.Fatalf("good certificate: %v", err)
	}
	op.Forget()
	foreign := fakeop.New(t, fakeop.Config{OwnCA: true})
	cfg.Roots = foreign.Roots
	_, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"})
	wantErr(t, "foreign CA", err, outbound.ErrConnect)
	wantErr(t, "foreign CA", err, outbound.ErrTemporary)
	cfg.Roots = nil // the system's: they do not know the fake CA
	_, err = get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"})
	wantErr(t, "self-signed", err, outbound.ErrConnect)
	if n := op.Hits(""); n != 0 {
		t.Errorf("%d requests reached a server that was not verified", n)
	}
	cfg = connected(op)
	cfg.ConnectTo = map[string]string{"bob.example:443": wrongName(t)}
	_, err = get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"})
	wantErr(t, "certificate of another name", err, outbound.ErrConnect)
}

// wrongName is a server whose certificate, by the shared CA, has another name.
func wrongName(t *testing.T) string {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	certs := fakeop.Certificate("other.example")
	go func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certs}}).HandshakeContext(context.Background())
			_ = conn.Close()
		}
	}()
	return front.Addr().String()
}

func TestOD_03_Redirects(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	cfg := connected(op)
	cfg.ConnectTo["next.example:443"] = op.Addr
	for name, to := range map[string]string{
		"http":                    "http://bob.example/jwks",
		"loopback":                "https://127.0.0.1/jwks",
		"localhost":               "https://localhost/jwks",
		"port of the server":      "https://127.0.0.1:" + port(op) + "/jwks",
		"SEC-29 the same host":    "/jwks",
		"SEC-29 connected host":   "https://next.example/jwks",
		"credentials":             "https://a:b@bob.example/jwks",
		"other port":              "https://bob.example:8443/jwks",
		"no URL":                  "https://[::1/",
		"other scheme":            "file:///etc/passwd",
		"metadata of the machine": "https://169.254.169.254/latest",
	} {
		op.Misbehave("/from", fakeop.RedirectTo(to))
		op.Forget()
		_, err := get(t, cfg, outbound.Request{URL: "https://bob.example/from", Redirects: 3})
		if name != "SEC-29 the same host" && name != "SEC-29 connected host" {
			wantErr(t, name, err, outbound.ErrBlocked)
		} else if err == nil {
			t.Errorf("%s: an exception survived the redirect", name)
		}
		if n := op.Hits(""); n != 1 {
			t.Errorf("%s: %d requests, want the first only", name, n)
		}
	}
	op.Misbehave("/from", fakeop.RedirectTo("https://public.example/"))
	_, err := get(t, cfg, outbound.Request{URL: "https://bob.example/from"})
	wantErr(t, "no redirect wanted", err, outbound.ErrBlocked)
	op.Misbehave("/from", fakeop.RedirectTo(""))
	if resp, err := get(t, cfg, outbound.Request{URL: "https://bob.example/from"}); err != nil || resp.Status != 302 {
		t.Errorf("302 without Location: %+v, %v, want a response", resp, err)
	}
}

func TestA42_ConnectTo(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	cfg := outbound.Config{Roots: op.Roots, ConnectTo: map[string]string{
		"bob.localhost:443": op.Addr, "Bob.localhost:8443": "localhost:" + port(op),
	}}
	for _, u := range []string{"https://bob.localhost/jwks", "https://bob.localhost:8443/jwks"} {
		if resp, err := get(t, cfg, outbound.Request{URL: u, NoExceptions: true}); err != nil || resp.Status != 200 {
			t.Errorf("%s: %+v, %v, want 200", u, resp, err)
		}
	}
	if n := op.Hits("bob.localhost:8443/jwks"); n != 1 {
		t.Error("the Host is not that of the URL")
	}
	for _, u := range []string{"https://alice.localhost/jwks", "https://bob.localhost:8444/jwks", "https://127.0.0.1:" + port(op) + "/jwks"} {
		_, err := get(t, cfg, outbound.Request{URL: u})
		wantErr(t, u, err, outbound.ErrBlocked)
	}
}

func TestSEC_29_RootsOfOneHostPort(t *testing.T) {
	a := fakeop.New(t, fakeop.Config{Domain: "a.localhost", OwnCA: true})
	b := fakeop.New(t, fakeop.Config{Domain: "b.localhost", OwnCA: true})
	cfg := outbound.Config{Exceptions: map[string]outbound.Exception{
		"a.localhost:" + port(a): {Roots: a.Roots},
		"b.localhost:" + port(b): {Roots: a.Roots},
	}}
	if _, err := get(t, cfg, outbound.Request{URL: "https://a.localhost:" + port(a) + "/jwks"}); err != nil {
		t.Errorf("own CA: %v", err)
	}
	_, err := get(t, cfg, outbound.Request{URL: "https://b.localhost:" + port(b) + "/jwks"})
	wantErr(t, "CA of another entry", err, outbound.ErrConnect)
}

func FuzzStrictURL(f *testing.F) {
	for _, s := range []string{"https://a.example/", "https://127.0.0.1", "https://[::1]:443", "https://a.example:22", "http://a"} {
		f.Add(s)
	}
	s := outbound.NewStrict(outbound.Config{Resolve: func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }})
	f.Fuzz(func(t *testing.T, u string) {
		for _, c := range "123456789" { // a literal address might be a public one
			if strings.ContainsRune(u, c) {
				t.Skip()
			}
		}
		if _, err := s.Get(t.Context(), outbound.Request{URL: u}); !errors.Is(err, outbound.ErrBlocked) {
			t.Errorf("Get(%q): %v, want blocked", u, err)
		}
	})
}
