package main

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// upstream is the backend, and at /auth what forward_auth asks. It belongs to the
// load, so its CPU time is not the server's.
type upstream struct {
	addr   string
	server *http.Server
	hits   atomic.Int64 // of the backend
}

func startUpstream() (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{addr: listener.Addr().String()}
	u.server = &http.Server{Handler: http.HandlerFunc(u.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = u.server.Serve(listener) }()
	return u, nil
}

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/auth" {
		u.hits.Add(1)
	}
	_, _ = w.Write([]byte("hello\n"))
}

func (u *upstream) stop() { _ = u.server.Close() }
