package reactor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Peek is Read, but the bytes stay unread.
func Peek(fd int, p []byte) (n int, errno syscall.Errno) {
	return uninterrupted(func() (int, error) {
		n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK)
		return n, err
	})
}
