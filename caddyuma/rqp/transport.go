package rqp

import (
	"net/http"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

// Transport does the nine steps below an http.Client, for requests to the
// allowed origins of its Client only. Everything else passes as it is, and so
// does what a redirect from another origin led to.
type Transport struct {
	// Client does the dance.
	Client *Client
	// Base sends the requests to resources. Default: the network of Client.
	Base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	send := t.base().RoundTrip
	if !t.Client.allows(req.URL) || crossedOrigin(req) {
		return send(req)
	}
	return t.Client.run(req, send)
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	if tr := t.Client.net.near.Transport; tr != nil {
		return tr
	}
	return http.DefaultTransport //nolint:forbidigo // what http.Client uses without a Transport
}

// crossedOrigin: a redirect to another origin ends the dance (CONFORMANCE
// CA-46): an origin must not steer what is done in the user's name at another.
// http.Client notes in a request the response that caused it.
func crossedOrigin(req *http.Request) bool {
	for hop := req; hop.Response != nil && hop.Response.Request != nil; hop = hop.Response.Request {
		if !oauth.SameOrigin(hop.Response.Request.URL, req.URL) {
			return true
		}
	}
	return false
}

var _ http.RoundTripper = (*Transport)(nil)
