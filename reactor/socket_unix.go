package reactor

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// ShutdownWrite ends the sending direction of a socket: the peer reads the end of file after the bytes that were written.
func ShutdownWrite(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// SetLinger0 turns the close of a TCP socket into a reset: unsent bytes are dropped, and the peer gets an error.
func SetLinger0(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
}

// LocalAddr is the address of this end of a TCP socket, without its zone, and in IPv4 form even on a dual-stack socket. The
// result is not valid for a Unix socket, or if the socket is not connected any more.
func LocalAddr(fd int) netip.AddrPort {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(address)
}

func addrPort(address unix.Sockaddr) netip.AddrPort {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
