package fakeop

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

func record(r *http.Request) Request {
	req := Request{Method: r.Method, Host: r.Host, URI: r.RequestURI, Path: r.URL.Path, Header: r.Header.Clone()}
	if r.TLS != nil {
		req.ClientCerts = len(r.TLS.PeerCertificates)
	}
	return req
}

func (op *OP) countConn(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		op.mu.Lock()
		defer op.mu.Unlock()
		op.conns++
	}
}

// counted counts what is sent.
type counted struct {
	net.Listener
	sent *atomic.Int64
}

// Accept implements net.Listener.
func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return countedConn{conn, c.sent}, err
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

// Write implements net.Conn.
func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// Sent is how many bytes the provider has sent, those of TLS included.
func (op *OP) Sent() int64 { return op.sent.Load() }

// Conns is how many connections were opened to the provider.
func (op *OP) Conns() int {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.conns
}

// Requests is what was asked so far.
func (op *OP) Requests() []Request {
	op.mu.Lock()
	defer op.mu.Unlock()
	return slices.Clone(op.requests)
}

// Hits is how often a path was asked for, at any host; with a host in front
// (bob.example/jwks) only there. An empty path counts everything.
func (op *OP) Hits(path string) int {
	n := 0
	for _, r := range op.Requests() {
		if path == "" || r.Path == path || r.Host+r.Path == path {
			n++
		}
	}
	return n
}

// Forget empties the record.
func (op *OP) Forget() {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.requests, op.conns = nil, 0
	op.sent.Store(0)
}

func issuerPath(issuer string) string {
	u, err := url.Parse(issuer)
	check(err)
	return strings.TrimSuffix(u.Path, "/")
}

func origin(issuer string) string {
	u, err := url.Parse(issuer)
	check(err)
	return u.Scheme + "://" + u.Host
}
