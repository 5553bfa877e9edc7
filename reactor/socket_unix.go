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

// HungUp reports whether both directions of a connection are closed, or it is broken. Any goroutine may call it.
func HungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	unix.Poll(fds, 0)
	return fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// BreakAfter makes the system break a TCP connection whose peer acknowledges nothing for so many milliseconds. A system that cannot do that
// goes on as long as it does by itself.
func BreakAfter(fd int, ms uint64) { setUserTimeout(fd, int(min(ms, 1<<30))) }

// Unacknowledged is how many bytes that were written to a socket its peer has not acknowledged, or on a Unix socket, not read.
// It is -1 if the system does not tell.
func Unacknowledged(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ) // Linux calls it SIOCOUTQ for sockets
	if err != nil {
		return -1
	}
	return n
}
