package outbound_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// accept runs a server that does what it likes with each connection.
func accept(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	go func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	return front.Addr().String()
}

// late stands for each of the ways in which Go says that time is over.
const late = "late"

func says(err error, what string) bool {
	if what == late {
		return strings.Contains(err.Error(), "deadline exceeded") || strings.Contains(err.Error(), "timeout")
	}
	return strings.Contains(err.Error(), what)
}

// untilClosed waits until the other side has enough.
func untilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// drip sends a text over and over, a byte at a time.
func drip(conn net.Conn, text string) {
	for i := 0; ; i++ {
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
		time.Sleep(2 * time.Millisecond) // a slow server is slow
	}
}

// withTLS serves what comes after a good handshake and one request.
func withTLS(serve func(net.Conn)) func(net.Conn) {
	return handshake(&tls.Config{Certificates: []tls.Certificate{fakeop.Certificate("bob.example")}}, serve)
}

func handshake(cfg *tls.Config, serve func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		secure := tls.Server(conn, cfg)
		if secure.HandshakeContext(context.Background()) != nil || serve == nil {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(secure)); err == nil {
			serve(secure)
		}
	}
}

func certificate(c tls.Certificate) func(net.Conn) {
	return handshake(&tls.Config{Certificates: []tls.Certificate{c}}, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	})
}

// Whatever a server does below HTTP costs bounded time and is a temporary failure
// that says what it is.
func TestSEC_08_ServersBelowHTTP(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name    string
		serve   func(net.Conn)
		connect bool   // it fails before the connection stands
		says    string // in the log
	}{
		{"expired certificate", certificate(fakeop.CertificateBetween("bob.example", now.Add(-48*time.Hour), now.Add(-time.Hour))), true, "expired"},
		{"certificate of tomorrow", certificate(fakeop.CertificateBetween("bob.example", now.Add(time.Hour), now.Add(48*time.Hour))), true, "not yet valid"},
		{"certificate of another name", certificate(fakeop.Certificate("other.example")), true, "valid for other.example, not bob.example"},
		{"TLS 1.1 at most", handshake(&tls.Config{Certificates: []tls.Certificate{fakeop.Certificate("bob.example")}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, nil), true, "protocol version"}, //nolint:gosec // that it is old is the point
		{"no TLS", func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, true, "does not look like a TLS handshake"},
		{"handshake that stalls", untilClosed, true, late},
		{"handshake that drips", func(conn net.Conn) { drip(conn, "\x16\x03\x03\x40\x00") }, true, late},
		{"closed at once", func(net.Conn) {}, true, ""},
		{"silence after the request", withTLS(untilClosed), false, late},
		{"header that drips", withTLS(func(conn net.Conn) {
			drip(conn, "HTTP/1.1 200 OK\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
		}), false, late},
		{"endless early hints", withTLS(func(conn net.Conn) {
			for {
				if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"); err != nil {
					return
				}
			}
		}), false, ""},
		{"closed in the header", withTLS(func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n") }), false, "EOF"},
		{"closed in a chunk", withTLS(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}")
		}), false, "EOF"},
		{"chunk that drips", withTLS(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			drip(conn, "1\r\n \r\n")
		}), false, late},
		{"endless chunk extension", withTLS(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"+strings.Repeat("a", 1<<20))
			untilClosed(conn)
		}), false, "too long"},
		{"two lengths", withTLS(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}")
		}), false, "Content-Length"},
		{"no HTTP", withTLS(func(conn net.Conn) { _, _ = io.WriteString(conn, strings.Repeat("\x00", 100)) }), false, "malformed"},
	} {
		t.Run("SEC-08 "+tc.name, func(t *testing.T) {
			cfg := connected(fakeop.New(t, fakeop.Config{}))
			cfg.ConnectTo = map[string]string{"bob.example:443": accept(t, tc.serve)}
			cfg.Timeout = 500 * time.Millisecond
			start := time.Now()
			_, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"})
			took := time.Since(start)
			wantErr(t, tc.name, err, outbound.ErrTemporary)
			if errors.Is(err, outbound.ErrConnect) != tc.connect {
				t.Errorf("%v: ErrConnect = %v, want %v", err, !tc.connect, tc.connect)
			}
			if err != nil && !says(err, tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			if took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("SEC-08 the neighbour without a fault", func(t *testing.T) {
		cfg := connected(fakeop.New(t, fakeop.Config{}))
		cfg.ConnectTo = map[string]string{"bob.example:443": accept(t, certificate(fakeop.CertificateBetween("bob.example", now.Add(-time.Hour), now.Add(time.Hour))))}
		if resp, err := get(t, cfg, outbound.Request{URL: "https://bob.example/jwks"}); err != nil || string(resp.Body) != "{}" {
			t.Errorf("%+v, %v", resp, err)
		}
	})
}

// private are n addresses that must not be called.
func private(n int) []net.IP {
	all := make([]net.IP, n)
	for i := range all {
		all[i] = net.IPv4(10, 9, byte(i>>8), byte(i))
	}
	return all
}

// What name servers do, by the way of the look-up that is used when it is not
// replaced: bounded, and no connection to an address that is not public.
func TestSEC_05_NameServers(t *testing.T) {
	loopback := net.IPv4(127, 0, 0, 1)
	var flips atomic.Int64
	for _, tc := range []struct {
		name  string
		want  error
		says  string
		reply func(fakeop.DNSQuestion) []byte
	}{
		{"NXDOMAIN", outbound.ErrConnect, "no such host", func(q fakeop.DNSQuestion) []byte { return q.Code(fakeop.NXDomain) }},
		{"SERVFAIL", outbound.ErrConnect, "server misbehaving", func(q fakeop.DNSQuestion) []byte { return q.Code(fakeop.ServFail) }},
		{"silence", outbound.ErrConnect, late, func(fakeop.DNSQuestion) []byte { return nil }},
		{"no address", outbound.ErrConnect, "no such host", func(q fakeop.DNSQuestion) []byte { return q.Addresses() }},
		{"garbage", outbound.ErrConnect, "", func(q fakeop.DNSQuestion) []byte { return q.Code(0)[:13] }},
		{"loopback", outbound.ErrBlocked, "prohibited", func(q fakeop.DNSQuestion) []byte { return q.Addresses(loopback) }},
		{"1000 addresses", outbound.ErrBlocked, "prohibited", func(q fakeop.DNSQuestion) []byte { return q.Addresses(private(1000)...) }},
		{"too long, then silence", outbound.ErrConnect, late, func(q fakeop.DNSQuestion) []byte {
			if q.TCP {
				return nil
			}
			return q.Addresses(private(1000)...)
		}},
		{"alias of itself", outbound.ErrConnect, "", func(q fakeop.DNSQuestion) []byte { return q.Alias(q.Name) }},
		{"alias of a machine inside", outbound.ErrBlocked, "prohibited", func(q fakeop.DNSQuestion) []byte { return q.Alias("db.internal", loopback) }},
		{"alias without an end", outbound.ErrConnect, "", func(q fakeop.DNSQuestion) []byte { return q.Alias("x" + q.Name) }},
		{"other addresses each time", outbound.ErrBlocked, "prohibited", func(q fakeop.DNSQuestion) []byte {
			return q.Addresses(net.IPv4(10, 0, byte(flips.Add(1)>>8), byte(flips.Load())), loopback)
		}},
	} {
		t.Run("SEC-05 "+tc.name, func(t *testing.T) {
			op := fakeop.New(t, fakeop.Config{})
			dns := fakeop.NewDNS(t, tc.reply)
			cfg := outbound.Config{Roots: op.Roots, DNS: dns.Resolver(), Timeout: time.Second}
			start := time.Now()
			_, err := get(t, cfg, outbound.Request{URL: "https://stranger.example/.well-known/webfinger"})
			took := time.Since(start)
			wantErr(t, tc.name, err, tc.want)
			if err != nil && !says(err, tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			// A name, perhaps with a search suffix, for IPv4 and IPv6, twice.
			if took > 5*time.Second || dns.Asked() == 0 || dns.Asked() > 50 || op.Conns() != 0 {
				t.Errorf("took %v, %d questions, %d connections", took, dns.Asked(), op.Conns())
			}
			t.Logf("%v, %d questions: %v", took.Round(time.Millisecond), dns.Asked(), err)
		})
	}
	t.Run("SEC-05 the neighbour that may be called", func(t *testing.T) {
		op := fakeop.New(t, fakeop.Config{Domain: "inside.example"})
		dns := fakeop.NewDNS(t, func(q fakeop.DNSQuestion) []byte { return q.Alias("op.inside.example", loopback) })
		host := "inside.example:" + port(op)
		cfg := outbound.Config{DNS: dns.Resolver(), Exceptions: map[string]outbound.Exception{host: {Roots: op.Roots}}}
		resp, err := get(t, cfg, outbound.Request{URL: "https://" + host + fakeop.JWKS})
		if err != nil || resp.Status != http.StatusOK || dns.Asked() == 0 {
			t.Errorf("%+v, %v", resp, err)
		}
	})
}

// The client for hosts that the administrator named keeps connections. A server
// that ends one in good form (GOAWAY) costs nobody an answer.
func TestNamedConnectionsThatEnd(t *testing.T) {
	var served atomic.Int64
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%3 == 0 {
			w.Header().Set("Connection", "close") // GOAWAY
		}
		_, _ = fmt.Fprint(w, r.Proto)
	})}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{fakeop.Certificate("as.localhost")}, NextProtos: []string{"h2"}}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server.TLSConfig)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	client := outbound.NewNamed(outbound.Config{
		Roots: fakeop.New(t, fakeop.Config{}).Roots, ConnectTo: map[string]string{"as.localhost:443": listener.Addr().String()},
	})
	t.Cleanup(client.CloseIdleConnections)
	for range 20 {
		resp, err := client.Get("https://as.localhost/")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(text) != "HTTP/2.0" {
			t.Fatalf("%s", text)
		}
	}
}
