package reactor

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBreakAfter(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for ms, want := range map[uint64]int{1234: 1234, 1 << 40: 1 << 30} {
			BreakAfter(int(fd), ms)
			if v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || v != want {
				t.Errorf("after %d: TCP_USER_TIMEOUT is %d, %v", ms, v, err)
			}
		}
	})
}
