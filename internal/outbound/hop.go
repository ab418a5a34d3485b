package outbound

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
)

// Hop is one request on the way to an answer, for somebody who wants to know why
// the answer is as it is. It is never sent, logged or remembered.
type Hop struct {
	URL string
	// Dialled are the addresses that were tried, those that the rules forbid
	// included.
	Dialled []netip.AddrPort
	// Status is 0, and Header nil, if there was no answer.
	Status int
	Header http.Header
	// Err is why there is no whole answer.
	Err error
}

// trace sees what becomes of one request.
type trace struct {
	mu    sync.Mutex // two addresses of a host may be dialled at once
	hop   Hop
	stood bool
}

// in notes the addresses, and when the connection stands, TLS included.
func (t *trace) in(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart: func(_, address string) {
			if addr, err := netip.ParseAddrPort(address); err == nil {
				t.mu.Lock()
				defer t.mu.Unlock()
				t.hop.Dialled = append(t.hop.Dialled, addr)
			}
		},
		GotConn: func(httptrace.GotConnInfo) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.stood = true
		},
	})
}

func (t *trace) connected() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stood
}

func (t *trace) answered(resp *http.Response) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hop.Status, t.hop.Header = resp.StatusCode, resp.Header
}

func (t *trace) status() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hop.Status
}

// over gives the hop; a dial may outlive it.
func (t *trace) over(err error) Hop {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hop
	h.Dialled, h.Err = slices.Clone(h.Dialled), err
	return h
}
