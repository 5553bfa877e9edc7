package reactor

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Ends is what is known of the connections of a TCP listener before they are there. local is their address at this end,
// without a zone; it is not valid if they may have several: on all interfaces. dual: they have IPv6 sockets also where the
// peer speaks IPv4. Of a Unix socket, and of a listener that was closed, nothing is known.
func (ln *Listener) Ends() (local netip.AddrPort, dual bool) {
	at, ok := ln.addr.(*net.TCPAddr)
	if !ok {
		return local, false
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return local, false
	}
	fd := -1
	if len(ln.free) > 0 {
		fd = ln.free[0]
	} else if len(ln.acceptors) > 0 {
		fd = ln.acceptors[0].fd
	}
	// The socket is asked: one that was inherited may be of another kind than those that are opened here. On a socket of
	// IPv4 the question is an error.
	only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	dual = err == nil && only == 0
	if ip, ok := netip.AddrFromSlice(at.IP); ok && !ip.Unmap().IsUnspecified() {
		local = netip.AddrPortFrom(ip.Unmap(), uint16(at.Port))
	}
	return local, dual
}
