package reactor

import (
	"net"
	"net/netip"
)

// LocalEnd is the address at this end of all connections of a TCP listener, without a zone. It is not valid if they may have
// several, because the listener is on all interfaces, and for a Unix socket or a closed listener.
func (ln *Listener) LocalEnd() (local netip.AddrPort) {
	at, ok := ln.addr.(*net.TCPAddr)
	if !ok {
		return local
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return local
	}
	if ip, ok := netip.AddrFromSlice(at.IP); ok && !ip.Unmap().IsUnspecified() {
		local = netip.AddrPortFrom(ip.Unmap(), uint16(at.Port))
	}
	return local
}
