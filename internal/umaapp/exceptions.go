package umaapp

import (
	"net"
	"net/netip"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-uma/caddy-uma/internal/umaapp/syntax"
)

// warnConnectTo names, at each start, connect_to entries that lead to loopback or
// private addresses: right in a test, a hole when left over from one.
func (a *App) warnConnectTo() {
	for _, from := range sortedKeys(a.ConnectTo) {
		a.WarnLocal("connect_to "+from, a.ConnectTo[from])
	}
}

// WarnLocal warns if hostport, for which an exception of the outbound rules
// stands in the configuration, is a loopback or private address or a name of
// this machine (CONFORMANCE SEC-05). what names the entry, such as
// `email_domain bob.example`. Names are not looked up.
func (a *App) WarnLocal(what, hostport string) {
	if leadsHome(hostport) {
		a.log.Warn("outbound requests may reach a loopback or private address because of an entry in the configuration; remove it if it is left over from a test",
			zap.String("entry", what), zap.String("address", hostport))
	}
}

func leadsHome(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if syntax.IsLocalhost(host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
