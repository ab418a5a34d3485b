package umaapp

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Secure tells whether the request came by TLS: to us, or to a trusted proxy
// that says so. Caddy's placeholder {http.request.scheme} looks at our own
// connection only, and a header that is read without asking who sent it would
// let anybody claim TLS.
func Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	proto := r.Header.Values("X-Forwarded-Proto")
	return trusted && len(proto) == 1 && strings.EqualFold(proto[0], "https")
}

// ClientIP is Caddy's client IP (trusted proxies considered), or else the peer's.
func ClientIP(r *http.Request) string {
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		return ip
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
