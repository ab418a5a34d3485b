package fakeop

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
