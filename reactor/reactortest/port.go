// Package reactortest is for tests and benchmarks that need ports.
package reactortest

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// FreePort returns an address of this machine for a program that cannot choose a port itself. The port is reserved until the end of the
// test, see Reserve.
func FreePort(t testing.TB) string {
	t.Helper()
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address.String()
}

// FreePortNumber is the port of FreePort alone.
func FreePortNumber(t testing.TB) int {
	t.Helper()
	return int(netip.MustParseAddrPort(FreePort(t)).Port())
}

// Reserve returns an address of this machine that no other program is given until it is released: a socket is bound to it that does not
// listen. One that sets SO_REUSEADDR may listen there all the same, as servers do. While none does, connections are refused. Systems other
// than Linux have no such sharing; there, the port is only free at the time.
func Reserve() (address netip.AddrPort, release func(), err error) {
	if runtime.GOOS != "linux" {
		ln, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return address, nil, err
		}
		return ln.Addr().(*net.TCPAddr).AddrPort(), func() {}, ln.Close()
	}
	fd, err := boundSocket()
	if err != nil {
		return address, nil, err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return address, nil, err
	}
	a := at.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), func() { unix.Close(fd) }, nil
}

// boundSocket is a socket that has a port of 127.0.0.1. No program that is started inherits it.
func boundSocket() (fd int, err error) {
	syscall.ForkLock.RLock()
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
