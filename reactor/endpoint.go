package reactor

import (
	"net"
	"net/netip"
	"strconv"
)

// Endpoint is where a listening TCP socket can be reached.
type Endpoint struct {
	Addr   netip.Addr // unspecified: all addresses
	Port   uint16
	V4, V6 bool // families; both only if Addr is unspecified
}

// EndpointOf returns what OpenListener listens on for a network other than unix. Names are looked up, which may block.
func EndpointOf(network, address string) (e Endpoint, err error) {
	at, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return e, err
	}
	return endpointOf(network, at), nil
}

func endpointOf(network string, at *net.TCPAddr) Endpoint {
	ip, _ := netip.AddrFromSlice(at.IP)
	ip = ip.Unmap().WithZone(at.Zone)
	e := Endpoint{Addr: ip, Port: uint16(at.Port), V4: network != "tcp6" && !ip.Is6(), V6: network != "tcp4" && !ip.Is4()}
	if network == "tcp" && ip == netip.IPv6Unspecified() {
		e.V4 = true
	}
	if !ip.IsValid() || ip.IsUnspecified() {
		e.Addr = netip.IPv6Unspecified()
	}
	return e
}

// Overlaps reports whether a connection could reach both. Two such sockets cannot be open at the same time, unless they
// agree to share the port.
func (e Endpoint) Overlaps(o Endpoint) bool {
	return e.Port == o.Port && e.Port != 0 && (e.V4 && o.V4 || e.V6 && o.V6) &&
		(e.Addr == o.Addr || e.Addr.IsUnspecified() || o.Addr.IsUnspecified())
}

// Covers reports whether every connection that can reach o can reach e too.
func (e Endpoint) Covers(o Endpoint) bool {
	return e.Overlaps(o) && (e.V4 || !o.V4) && (e.V6 || !o.V6) && (e.Addr.IsUnspecified() || e.Addr == o.Addr)
}

func (e Endpoint) String() string {
	return net.JoinHostPort(e.Addr.String(), strconv.Itoa(int(e.Port)))
}
