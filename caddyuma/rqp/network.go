package rqp

import (
	"crypto/x509"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-uma/caddy-uma/internal/outbound"
)

// Network says how hosts are reached. The zero value is right for the Internet.
type Network struct {
	// Roots are the CAs for hosts that somebody named (the URL, the STS, pinned
	// servers, ConnectTo). Default: those of the system. Strangers are always
	// checked by the CAs of the system.
	Roots *x509.CertPool
	// ConnectTo maps host:port to the address:port that is dialled for it.
	ConnectTo map[string]string
	// Localhost takes hosts under localhost for named ones, on any port. They
	// are always the loopback addresses.
	Localhost bool
	// Timeout of one request. Default: 30s for named hosts, 10s for strangers.
	Timeout time.Duration
}

// network chooses between the client for named hosts and that for strangers
// (CONFORMANCE SEC-29).
type network struct {
	near, far *http.Client
	named     map[string]bool // host:port
	localhost bool
	own       bool // near is ours
}

func newNetwork(cfg Config, urls []string) *network {
	n := &network{named: map[string]bool{}, localhost: cfg.Network.Localhost}
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && u.Host != "" {
			n.named[outbound.HostPort(u)] = true
		}
	}
	n.far = outbound.NewStrictClient(cfg.Network.outbound(10 * time.Second))
	n.near = cfg.HTTPClient
	if n.near == nil {
		n.near, n.own = outbound.NewNamed(cfg.Network.outbound(30*time.Second)), true
	}
	n.near = unfollowed(n.near)
	return n
}

func (n Network) outbound(timeout time.Duration) outbound.Config {
	if n.Timeout > 0 {
		timeout = n.Timeout
	}
	return outbound.Config{ConnectTo: maps.Clone(n.ConnectTo), Roots: n.Roots, Timeout: timeout}
}

// done closes idle connections of a network that is not used again.
func (n *network) done() {
	if n.own {
		n.near.CloseIdleConnections()
	}
}

// unfollowed never follows a redirect: it would carry identity to a place that
// nobody checked.
func unfollowed(c *http.Client) *http.Client {
	copied := *c
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	copied.Jar = nil
	return &copied
}

// pick gives the client for u; the host of called was named by the caller.
func (n *network) pick(u, called *url.URL) *http.Client {
	if n.named[outbound.HostPort(u)] || n.localhost && isLocalhost(u.Hostname()) ||
		called != nil && outbound.HostPort(u) == outbound.HostPort(called) {
		return n.near
	}
	return n.far
}

// isLocalhost: RFC 6761 §6.3.
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
