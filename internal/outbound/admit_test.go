package outbound_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// counter admits addresses and knows what is under way.
type counter struct {
	asked, open int
	last        netip.Addr
	err         error
}

func (c *counter) admit(addr netip.Addr) (func(), error) {
	c.asked++
	c.last = addr
	if c.err != nil {
		return nil, c.err
	}
	c.open++
	return func() { c.open-- }, nil
}

func TestSEC_09_AdmitSeesTheDialledAddress(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	var c counter
	r := outbound.Request{URL: "https://bob.example/jwks", Admit: c.admit}
	if resp, err := get(t, connected(op), r); err != nil || resp.Status != 200 {
		t.Fatalf("Get = %+v, %v", resp, err)
	}
	if c.asked != 1 || c.open != 0 || c.last != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("after one request: %+v, want one address, given back", c)
	}
	c.err = errors.New("full")
	op.Forget()
	_, err := get(t, connected(op), r)
	wantErr(t, "refused", err, c.err)
	wantErr(t, "refused", err, outbound.ErrTemporary)
	if op.Conns() != 0 || c.open != 0 {
		t.Errorf("refused: %d connections, %d open, want none", op.Conns(), c.open)
	}
	// What is forbidden takes nothing from a budget.
	blocked := &resolver{addrs: map[string][]string{"evil.example": {"127.0.0.1"}}}
	c = counter{}
	_, err = get(t, outbound.Config{Resolve: blocked.resolve}, outbound.Request{URL: "https://evil.example/", Admit: c.admit})
	wantErr(t, "forbidden", err, outbound.ErrBlocked)
	if c.asked != 0 {
		t.Errorf("Admit was asked for a forbidden address: %+v", c)
	}
}

// Redirects that never end are given up after three, each counted.
func TestSEC_08_RedirectLoop(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Misbehave("/loop", fakeop.RedirectTo("https://bob.example/loop"))
	op.Misbehave("/once", fakeop.RedirectTo("https://other.example/jwks"))
	for _, tc := range []struct {
		path      string
		redirects int
		want      error
		hits      int
	}{
		{"/loop", 3, outbound.ErrBlocked, 4},
		{"/loop", 100, outbound.ErrBlocked, 4},
		{"/loop", 1, outbound.ErrBlocked, 2},
		{"/loop", 0, outbound.ErrBlocked, 1},
		{"/loop", -1, outbound.ErrBlocked, 1},
		{"/once", 1, nil, 2},
	} {
		op.Forget()
		var c counter
		s := outbound.NewLoose(outbound.Config{Roots: op.Roots}, op.Addr)
		_, err := s.Get(t.Context(), outbound.Request{URL: "https://bob.example" + tc.path, Redirects: tc.redirects, Admit: c.admit})
		wantErr(t, tc.path, err, tc.want)
		if n := op.Hits(""); n != tc.hits || c.asked != tc.hits || c.open != 0 {
			t.Errorf("%s with %d redirects: %d requests, %+v, want %d, all counted and given back", tc.path, tc.redirects, n, c, tc.hits)
		}
	}
}
