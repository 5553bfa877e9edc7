package engine

import (
	"net/netip"
	"slices"

	"moonbridge/reactor"
)

// localsMax bounds the local addresses that are remembered for a listener on all interfaces: as many as a byte can number, less
// localNamed.
const localsMax = 254

// localNamed says that the local address was given by a preface.
const localNamed = 255

// addrs finds the addresses of a listener's connections. It belongs to one loop.
//
// If the listener is bound to one address, that is the local end of all its connections. On all interfaces the kernel has to
// be asked for each connection. But a machine has few addresses, so a connection keeps no more than a byte, which says which
// of them it is.
type addrs struct {
	local netip.AddrPort   // of all connections; not valid if they may have several
	seen  []netip.AddrPort // local addresses that were found, at most localsMax

	// named are the local addresses that prefaces have given, by descriptor. An entry stays until the number is used again.
	named map[int]netip.AddrPort
}

func newAddrs(ln *Listener) *addrs {
	if ln.adopted != nil {
		return &addrs{}
	}
	return &addrs{local: ln.r.LocalEnd()}
}

// of returns the two ends of the connection fd. peer is the remote end that accept returned, not valid on a Unix socket. known
// is what the connection keeps: 0 at first. An IPv4 address is in its own form, on a dual-stack socket too.
func (a *addrs) of(fd int, peer netip.AddrPort, known *uint8) (local, remote netip.AddrPort) {
	if !peer.IsValid() {
		return local, peer
	}
	switch {
	case a.local.IsValid():
		local = a.local
	case *known == localNamed:
		local = a.named[fd]
	case *known != 0:
		local = a.seen[*known-1]
	default:
		local = reactor.LocalAddr(fd)
		*known = a.remember(local)
	}
	return local, peer
}

// mayDiffer: from now on prefaces may give local addresses that are not the listener's.
func (a *addrs) mayDiffer() {
	a.local = netip.AddrPort{}
	if a.named == nil {
		a.named = make(map[int]netip.AddrPort)
	}
}

// name notes the local address that a preface has given, and returns what the connection keeps.
func (a *addrs) name(fd int, local netip.AddrPort) (known uint8) {
	a.named[fd] = local
	return localNamed
}

// remember returns the number of an address, from 1; or 0 if there is no room for it, or it is not valid.
func (a *addrs) remember(local netip.AddrPort) uint8 {
	if !local.IsValid() {
		return 0
	}
	i := slices.Index(a.seen, local)
	if i < 0 {
		if len(a.seen) == localsMax {
			return 0
		}
		i = len(a.seen)
		a.seen = append(a.seen, local)
	}
	return uint8(i + 1)
}
