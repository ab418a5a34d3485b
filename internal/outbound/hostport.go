package outbound

import (
	"net"
	"net/url"
	"strings"
)

// HostPort is the key of a URL in ConnectTo and Exceptions: the host in lower
// case and the port, which is never left out.
func HostPort(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case strings.EqualFold(u.Scheme, "http"):
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// normal is HostPort for a key that an administrator wrote.
func normal(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return "" // matches no URL
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}

// isLocalhost: RFC 6761 §6.3, these names are loopback wherever they are asked.
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
