package proxyproto

import (
	"net"
	"net/netip"
	"strconv"

	"github.com/pires/go-proxyproto"
)

// Append appends a header of the version, 1 or 2, which says that local and remote are the two ends of the connection with the
// client. If one of them is not valid, the header says that they are unknown. Of an IPv4 and an IPv6 address, the first is
// written in IPv6 form.
func Append(dst []byte, version int, local, remote netip.AddrPort) []byte {
	known := local.IsValid() && remote.IsValid()
	v4 := known && local.Addr().Unmap().Is4() && remote.Addr().Unmap().Is4()
	if version == 1 {
		return appendV1(dst, known, v4, local, remote)
	}
	h := proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if known {
		h.Command, h.TransportProtocol = proxyproto.PROXY, proxyproto.TCPv6
		h.SourceAddr, h.DestinationAddr = net.TCPAddrFromAddrPort(remote), net.TCPAddrFromAddrPort(local)
	}
	if v4 {
		h.TransportProtocol = proxyproto.TCPv4
	}
	b, _ := h.Format() // it fails for addresses of other kinds only
	return append(dst, b...)
}

// appendV1 writes version 1 itself: the library would write an IPv4 address in its own form into a line for IPv6.
func appendV1(dst []byte, known, v4 bool, local, remote netip.AddrPort) []byte {
	dst = append(dst, v1Start...)
	if !known {
		return append(dst, "UNKNOWN\r\n"...)
	}
	proto, from, to := "TCP6 ", netip.AddrFrom16(remote.Addr().As16()), netip.AddrFrom16(local.Addr().As16())
	if v4 {
		proto, from, to = "TCP4 ", from.Unmap(), to.Unmap()
	}
	dst = append(dst, proto...)
	dst = append(from.AppendTo(dst), ' ')
	dst = append(to.AppendTo(dst), ' ')
	dst = strconv.AppendUint(dst, uint64(remote.Port()), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(local.Port()), 10)
	return append(dst, "\r\n"...)
}
