package reactor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Peek is Read, but the bytes stay unread.
func Peek(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK)
		switch e, _ := err.(syscall.Errno); {
		case err == nil:
			return n, 0
		case e != unix.EINTR:
			return 0, e
		}
	}
}
