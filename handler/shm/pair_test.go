package shm

import (
	"testing"

	"golang.org/x/sys/unix"
)

// What is written to the second end comes out of the first. Both block, and no other program gets them.
func TestPairs(t *testing.T) {
	for name, f := range map[string]func() (a, b int, err error){"Pipe": Pipe, "SocketPair": SocketPair} {
		a, b, err := f()
		if err != nil {
			t.Fatal(name, err)
		}
		for _, fd := range []int{a, b} {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			mode, err2 := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || err2 != nil || flags&unix.FD_CLOEXEC == 0 || mode&unix.O_NONBLOCK != 0 {
				t.Errorf("%s: flags %#x, mode %#x, %v, %v", name, flags, mode, err, err2)
			}
		}
		var got [2]byte
		if _, err := unix.Write(b, []byte("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n, err := unix.Read(a, got[:]); n != 1 || got[0] != 'x' || err != nil {
			t.Errorf("%s: %d, %q, %v", name, n, got, err)
		}
		unix.Close(a)
		unix.Close(b)
	}
}
