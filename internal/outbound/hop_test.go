package outbound_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"github.com/caddy-uma/caddy-uma/internal/fakeop"
	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// watched gives what Watch was told, and the error of the request.
func watched(t *testing.T, cfg outbound.Config, url string) (hops []outbound.Hop, err error) {
	t.Helper()
	_, err = get(t, cfg, outbound.Request{URL: url, Redirects: 3, Watch: func(h outbound.Hop) { hops = append(hops, h) }})
	return hops, err
}

func TestWatch(t *testing.T) {
	op := fakeop.New(t, fakeop.Config{})
	op.Misbehave("/from", fakeop.RedirectTo("https://bob.example/large"))
	op.Misbehave("/large", fakeop.Endless())
	op.Misbehave("/away", fakeop.RedirectTo("http://bob.example/x"))
	cfg := connected(op)

	t.Run("redirect and body", func(t *testing.T) {
		cfg := cfg
		r := &resolver{addrs: map[string][]string{"bob.example": {"10.1.2.3"}}}
		cfg.Resolve = r.resolve
		hops, err := watched(t, cfg, "https://bob.example/from")
		// Behind the redirect there is no exception: the address counts.
		if len(hops) != 2 || hops[0].Status != http.StatusFound || hops[0].Header.Get("Location") == "" || hops[0].Err != nil || !errors.Is(err, outbound.ErrBlocked) {
			t.Fatalf("hops = %+v, %v", hops, err)
		}
		if hops[0].Dialled[0].String() != op.Addr || hops[0].URL != "https://bob.example/from" {
			t.Errorf("first hop = %+v", hops[0])
		}
		want := netip.MustParseAddrPort("10.1.2.3:443")
		if second := hops[1]; len(second.Dialled) != 1 || second.Dialled[0] != want || second.Status != 0 || !errors.Is(second.Err, outbound.ErrBlocked) {
			t.Errorf("second hop = %+v", second)
		}
	})
	t.Run("too large", func(t *testing.T) {
		hops, err := watched(t, cfg, "https://bob.example/large")
		if len(hops) != 1 || hops[0].Status != http.StatusOK || !errors.Is(hops[0].Err, outbound.ErrTemporary) || err == nil {
			t.Errorf("hops = %+v, %v", hops, err)
		}
	})
	t.Run("redirect to http", func(t *testing.T) {
		hops, err := watched(t, cfg, "https://bob.example/away")
		if len(hops) != 1 || hops[0].Err != nil || !errors.Is(err, outbound.ErrBlocked) {
			t.Errorf("hops = %+v, %v", hops, err)
		}
	})
	t.Run("nothing is asked", func(t *testing.T) {
		hops, err := watched(t, cfg, "https://bob.example:8443/")
		if len(hops) != 0 || !errors.Is(err, outbound.ErrBlocked) {
			t.Errorf("hops = %+v, %v", hops, err)
		}
	})
}
