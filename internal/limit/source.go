package limit

import "net/netip"

// unknown is the source of everything that is no IP address. They share a
// bucket, so that nobody gets a fresh one by writing nonsense.
const unknown = "unknown"

// Source is the key of an IP address: IPv4 as it is, IPv6 per /64 (the smallest
// network that one customer gets, in which addresses cost nothing). A port is
// cut off, IPv4 inside IPv6 counts as IPv4.
func Source(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		withPort, err := netip.ParseAddrPort(ip)
		if err != nil {
			return unknown
		}
		addr = withPort.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}
