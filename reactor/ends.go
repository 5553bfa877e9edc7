package reactor

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Ends is what is known of a TCP listener's connections in advance. local is their address at this end, without a zone; it is
// not valid if they may have several, because the listener is on all interfaces. dual says that they have IPv6 sockets even
// if the peer uses IPv4. For a Unix socket or a closed listener both are zero.
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
	// Ask the socket: an inherited one may be of another kind than those that are opened here. On an IPv4 socket this is an
	// error.
	only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	dual = err == nil && only == 0
	if ip, ok := netip.AddrFromSlice(at.IP); ok && !ip.Unmap().IsUnspecified() {
		local = netip.AddrPortFrom(ip.Unmap(), uint16(at.Port))
	}
	return local, dual
}
