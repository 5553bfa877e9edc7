// Package reactortest is for tests that need ports.
package reactortest

import (
	"net"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// FreePort returns an address of this machine for a program that cannot choose a port itself. Until the end of the test no other program is
// given the port: a socket is bound to it that does not listen. One that sets SO_REUSEADDR may listen there all the same, as servers do.
// While none does, connections are refused. Systems other than Linux have no such sharing; there, the port is only free at the time.
func FreePort(t testing.TB) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		return portNow(t)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	a := at.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
}

// portNow is a port that is free now.
func portNow(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
