package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// maxAddresses of one name are tried.
const maxAddresses = 4

// errNotAddress says that Config.Resolve answered with something that would
// have to be looked up again.
var errNotAddress = errors.New("the resolver did not give an IP address")

// newGuard allows public unicast addresses at port 443 and nothing else.
func newGuard() *ssrf.Guardian { return ssrf.New(ssrf.WithPorts(443)) }

// dialer connects to a host by one rule.
type dialer struct {
	// to is dialled instead of what the URL says, if not empty.
	to string
	// guard looks at the address of each connection before it is made; nil
	// allows every address.
	guard *ssrf.Guardian
	// lease counts the address, if not nil.
	lease   *lease
	resolve func(ctx context.Context, host string) ([]string, error)
	dns     *net.Resolver
	timeout time.Duration
}

func (d dialer) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	if d.to != "" {
		hostport = d.to
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	targets, err := d.targets(ctx, host)
	if err != nil {
		return nil, err
	}
	return d.first(ctx, network, targets, port)
}

// targets are the addresses of a host, or the host itself where net.Dialer may
// look it up: it checks each address that it finds with Control.
func (d dialer) targets(ctx context.Context, host string) ([]string, error) {
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{host}, nil
	}
	if isLocalhost(host) {
		return []string{"127.0.0.1", "::1"}, nil
	}
	if d.resolve == nil {
		return []string{host}, nil
	}
	found, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, addr := range found {
		if _, err := netip.ParseAddr(addr); err != nil {
			return nil, errNotAddress
		}
	}
	return found[:min(len(found), maxAddresses)], nil
}

// first connects to the first target that answers. If none does, a blocked one
// is reported rather than a silent one: it tells more.
func (d dialer) first(ctx context.Context, network string, targets []string, port string) (net.Conn, error) {
	nd := &net.Dialer{Timeout: d.timeout, Control: d.control, Resolver: d.dns}
	failed := errors.New("the name has no address")
	for i, target := range targets {
		conn, err := nd.DialContext(ctx, network, net.JoinHostPort(target, port))
		if err == nil {
			return conn, nil
		}
		if i == 0 || isGuards(err) {
			failed = err
		}
	}
	return nil, failed // it says "dial tcp" itself
}

// control sees the address that is dialled, whoever looked it up.
func (d dialer) control(network, address string, c syscall.RawConn) error {
	if d.guard != nil {
		if err := d.guard.Safe(network, address, c); err != nil {
			return err
		}
	}
	if d.lease == nil {
		return nil
	}
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return d.lease.take(addr.Addr().Unmap().WithZone(""))
}

// isGuards tells whether the guard refused the address.
func isGuards(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedPort) ||
		errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrInvalidHostPort)
}
