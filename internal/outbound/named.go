package outbound

import (
	"context"
	"net/http"
	"time"
)

// idlePerHost: a resource server talks to one authorization server all the time.
const idlePerHost = 64

// NewNamed is the client for hosts that the administrator named: any address,
// ConnectTo and Roots apply, localhost and *.localhost are loopback, no proxy, timeouts, pooled, no redirects followed.
func NewNamed(cfg Config) *http.Client {
	open := dialer{resolve: cfg.Resolve, dns: cfg.DNS, timeout: hop(cfg.timeout())}
	t := newTable(cfg, route{dialer: open, roots: cfg.Roots})
	n := &named{byHost: map[string]*http.Transport{}, rest: pooled(t.rest, cfg), begin: cfg.begin}
	for key, r := range t.connect {
		n.byHost[key] = pooled(r, cfg)
	}
	for key, r := range t.except {
		n.byHost[key] = pooled(r, cfg)
	}
	return &http.Client{
		Transport: n,
		Timeout:   cfg.timeout(),
		// A redirect would carry credentials to a host that nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func pooled(r route, cfg Config) *http.Transport {
	tr := r.transport()
	tr.TLSClientConfig.Certificates = cfg.Certificates
	tr.ForceAttemptHTTP2 = true
	tr.MaxIdleConnsPerHost = idlePerHost
	tr.IdleConnTimeout = 90 * time.Second
	tr.ResponseHeaderTimeout = cfg.timeout()
	return tr
}

// named keeps the pools of different rules apart: what is connected by one is
// never used by another.
type named struct {
	byHost map[string]*http.Transport
	rest   *http.Transport
	begin  func(ctx context.Context, host string) (end func(status int, err error))
}

// RoundTrip implements http.RoundTripper.
func (n *named) RoundTrip(r *http.Request) (*http.Response, error) {
	end := n.begin(r.Context(), r.URL.Host)
	resp, err := n.pool(r).RoundTrip(r)
	end(statusOf(resp), err)
	return resp, err
}

func (n *named) pool(r *http.Request) *http.Transport {
	if tr, ok := n.byHost[HostPort(r.URL)]; ok {
		return tr
	}
	return n.rest
}

func statusOf(resp *http.Response) int {
	if resp == nil {
		return 0
	}
	return resp.StatusCode
}

// CloseIdleConnections is called by the method of http.Client of that name.
func (n *named) CloseIdleConnections() {
	for _, tr := range n.byHost {
		tr.CloseIdleConnections()
	}
	n.rest.CloseIdleConnections()
}

var _ http.RoundTripper = (*named)(nil)
