package proxyproto

import (
	"bufio"
	"bytes"
	"cmp"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"moonbridge/handler/backend"
)

// DefaultTimeout is how long a connection may be without a complete header. Proxies send it with the first packet, but that may
// be lost, and is then sent again after one second, and after three.
const DefaultTimeout = 5 * time.Second

// New is what a listener needs to require the header on all its connections: see engine.Listener.SetPreface. A timeout of 0 is
// DefaultTimeout.
func New(timeout time.Duration) *backend.Preface {
	timeout = cmp.Or(timeout, DefaultTimeout)
	return &backend.Preface{Parse: Parse, Bytes: v2BytesMax, Timeout: timeout}
}

// Parse parses the header that p starts with. n is its length, or 0 if it is not complete. local and remote are the two ends of
// the proxy's connection with its client, as the proxy sees them: remote is the client. They are not valid if the proxy speaks
// for itself (LOCAL), does not know them (UNKNOWN, UNSPEC), or if they are not those of a TCP connection. Extensions are checked
// for their lengths and ignored.
func Parse(p []byte) (n int, local, remote netip.AddrPort, err error) {
	n, err = Length(p)
	if err != nil || n == 0 || n > len(p) {
		return 0, local, remote, err
	}
	if noAddresses(p) {
		return n, local, remote, nil
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(p[:n]), v2BytesMax))
	if err != nil || !strict(h, p[:n]) {
		return 0, local, remote, ErrMalformed
	}
	from, to, ok := h.TCPAddrs()
	if !ok { // UNKNOWN, or no TCP
		return n, local, remote, nil
	}
	return n, unmapped(to.AddrPort()), unmapped(from.AddrPort()), nil
}

// noAddresses reports whether a header of version 2 has no addresses that matter, whatever the rest of it says: the proxy speaks for
// itself, or does not know them. The library refuses some of these, which the specification wants to be accepted.
func noAddresses(p []byte) bool {
	const local, proxy, unspec = 0x20, 0x21, 0x0
	at := len(v2Start)
	return p[0] == v2Start[0] && (p[at] == local || p[at] == proxy && p[at+1]>>4 == unspec)
}

// strict refuses what the library lets through: further words in version 1, signs and zones in its numbers, and extensions in
// version 2 that do not fill their room.
func strict(h *proxyproto.Header, p []byte) bool {
	if h.Version == 2 {
		_, err := h.TLVs()
		return err == nil
	}
	return !h.TransportProtocol.IsStream() || bytes.Count(p, []byte(" ")) == 5 && !bytes.ContainsAny(p, "+-%")
}

// unmapped is an address as the server has it everywhere: IPv4 in its own form, and no zone.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
