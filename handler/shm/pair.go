package shm

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipe makes a pipe. Its ends block, and do not survive an exec.
func Pipe() (r, w int, err error) {
	return pair("pipe", func() (p [2]int, err error) {
		err = unix.Pipe(p[:])
		return p, err
	})
}

// SocketPair makes two connected stream sockets. They block, and do not survive an exec.
func SocketPair() (a, b int, err error) {
	return pair("socketpair", func() ([2]int, error) {
		return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	})
}

// pair holds the lock that keeps this program from starting another one before both descriptors are marked. Not all systems
// can make them marked.
func pair(call string, make func() ([2]int, error)) (a, b int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	p, err := make()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", call, err)
	}
	unix.CloseOnExec(p[0])
	unix.CloseOnExec(p[1])
	return p[0], p[1], nil
}
