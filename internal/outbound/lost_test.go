package outbound_test

import (
	"net"
	"sync/atomic"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// closing passes connections on to a server, and ends the first ones without a word.
type closing struct {
	net.Listener
	left, taken atomic.Int64
}

func closes(t *testing.T, n int64, to string) *closing {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &closing{Listener: listener}
	c.left.Store(n)
	go c.serve(to)
	return c
}

func (c *closing) serve(to string) {
	for {
		from, err := c.Accept()
		if err != nil {
			return
		}
		c.taken.Add(1)
		if c.left.Add(-1) >= 0 {
			_ = from.Close()
			continue
		}
		go relay(from, to)
	}
}

func relay(from net.Conn, to string) {
	defer func() { _ = from.Close() }()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	done := make(chan struct{})
	go func() { _, _ = conn.(*net.TCPConn).ReadFrom(from); _ = conn.Close(); close(done) }()
	_, _ = from.(*net.TCPConn).ReadFrom(conn)
	_ = from.Close()
	<-done
}

func TestLostConnections(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	url := op.Issuer + "/.well-known/openid-configuration"
	for _, tc := range []struct {
		name         string
		closed, want int64
		fails        bool
	}{
		{"none is lost", 0, 1, false},
		{"a lost one is replaced", 1, 2, false},
		{"once", 2, 2, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := closes(t, tc.closed, op.Addr)
			cfg := connected(op)
			for key := range cfg.ConnectTo {
				cfg.ConnectTo[key] = c.Addr().String()
			}
			_, err := get(t, cfg, outbound.Request{URL: url})
			if got := c.taken.Load(); got != tc.want {
				t.Errorf("%d connections, want %d", got, tc.want)
			}
			if !tc.fails {
				wantErr(t, tc.name, err, nil)
				return
			}
			wantErr(t, tc.name, err, outbound.ErrTemporary)
		})
	}
}
