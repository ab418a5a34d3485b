package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"
)

// route is how one host:port is reached.
type route struct {
	dialer
	roots *x509.CertPool
}

// table has the routes of the entries that an administrator wrote.
type table struct {
	connect map[string]route // by ConnectTo alone
	except  map[string]route // by Exceptions, with ConnectTo where both have it
	rest    route
}

// newTable makes the routes; rest is for every other host:port.
func newTable(cfg Config, rest route) table {
	t := table{connect: map[string]route{}, except: map[string]route{}, rest: rest}
	open := dialer{resolve: rest.resolve, dns: rest.dns, timeout: rest.timeout}
	for key, addr := range cfg.ConnectTo {
		to := open
		to.to = addr
		t.connect[normal(key)] = route{dialer: to, roots: cfg.Roots}
	}
	for key, exception := range cfg.Exceptions {
		r := route{dialer: open, roots: cfg.Roots}
		if c, ok := t.connect[normal(key)]; ok {
			r = c
		}
		if exception.Roots != nil {
			r.roots = exception.Roots
		}
		t.except[normal(key)] = r
	}
	return t
}

// find gives the entry for a host:port, if there is one.
func (t table) find(hostport string, exceptions bool) (route, bool) {
	if r, ok := t.except[hostport]; ok && exceptions {
		return r, true
	}
	r, ok := t.connect[hostport]
	return r, ok
}

// transport is a fresh transport for a route: no proxy from the environment
// (the address check would see the proxy's address), no client certificate, no
// decompression, a bounded header.
func (r route) transport() *http.Transport {
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            r.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.roots},
		TLSHandshakeTimeout:    r.timeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// hop is the time for one hop out of the time for all.
func hop(total time.Duration) time.Duration { return total * 3 / 5 }
