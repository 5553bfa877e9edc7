package reactor

import (
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Again is what Read, Write and Writev return instead of blocking: readiness will be told.
const Again = syscall.EAGAIN

// ShutdownWrite ends the sending direction of a socket: the peer reads the end of file after what was written.
func ShutdownWrite(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// SetLinger0 makes the close of a TCP socket a reset: what is unsent is dropped, the peer gets an error.
func SetLinger0(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
}

// SetNoDelay has a TCP socket send small segments at once. Accepted sockets have it already.
func SetNoDelay(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
}

// LocalAddr is the address of this end of a TCP socket, without a zone, IPv4 as such also on a dual-stack socket; the zero
// value for a Unix socket, or if the socket is not connected any more.
func LocalAddr(fd int) netip.AddrPort {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(address)
}

// PeerAddr is LocalAddr for the other end.
func PeerAddr(fd int) netip.AddrPort {
	address, err := unix.Getpeername(fd)
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
