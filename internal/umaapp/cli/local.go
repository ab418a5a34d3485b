package cli

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-uma/caddy-uma/caddyuma/rqp"
)

// network says how hosts are reached. For a URL under localhost that is asked at
// the admin API of the Caddy on this machine: nobody else can run these hosts.
func (g *getOptions) network(u *url.URL) (rqp.Network, error) {
	var n rqp.Network
	if g.cacert != "" {
		pem, err := g.in.file(g.cacert)
		if err != nil {
			return n, err
		}
		if n.Roots, err = roots(pem); err != nil {
			return n, usagef("--cacert %s: %w", g.cacert, err)
		}
	}
	if !isLocalhost(u.Hostname()) {
		return n, nil
	}
	n.Localhost = true
	return n, g.askAdmin(&n)
}

// askAdmin reads Caddy's own CA and the connect_to entries. With --cacert it may
// fail: there need not be a Caddy with an admin API.
func (g *getOptions) askAdmin(n *rqp.Network) error {
	var ca struct {
		Root string `json:"root_certificate"`
	}
	if n.Roots == nil {
		if err := adminGet(g.address, "/pki/ca/local", &ca); err != nil {
			return unreachableError{fmt.Errorf("the admin API of the local Caddy gives no CA certificate: %w. Try: --address of its admin API, or --cacert FILE with the CA of %s", err, g.url.Host)}
		}
		pool, err := roots([]byte(ca.Root))
		if err != nil {
			return unreachableError{fmt.Errorf("the CA certificate of the admin API: %w. Try: --cacert FILE", err)}
		}
		n.Roots = pool
	}
	var app struct {
		ConnectTo map[string]string `json:"connect_to"`
	}
	if adminGet(g.address, "/config/apps/uma", &app) == nil { // there need not be such an app
		n.ConnectTo = app.ConnectTo
	}
	return nil
}

func adminGet(address, path string, v any) error {
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(v)
}

// roots adds certificates to those of the system.
func roots(pem []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in PEM form in it")
	}
	return pool, nil
}

// isLocalhost: RFC 6761 §6.3.
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
