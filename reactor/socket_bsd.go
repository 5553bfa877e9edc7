//go:build darwin || dragonfly || freebsd || openbsd

package reactor

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// reusePortBalances: on these systems the last socket of an address gets all connections.
const reusePortBalances = false

// Read reads from a non-blocking socket into p, which must not be empty. n is 0 with errno 0 at the end of file; errno is
// EAGAIN if there is nothing to read now.
func Read(fd int, p []byte) (n int, errno syscall.Errno) {
	return uninterrupted(func() (int, error) { return unix.Read(fd, p) })
}

// Write writes to a non-blocking socket, which may take only the first n bytes of p. errno is EAGAIN if there is no room now. A
// connection that is gone is an errno; the Go runtime catches the signal.
func Write(fd int, p []byte) (n int, errno syscall.Errno) {
	return uninterrupted(func() (int, error) { return unix.Write(fd, p) })
}

// WriteMore is Write for bytes that others follow at once.
func WriteMore(fd int, p []byte) (n int, errno syscall.Errno) { return Write(fd, p) }

// Writev is Write for the bytes of a followed by those of b: two calls on these systems.
func Writev(fd int, a, b []byte) (n int, errno syscall.Errno) {
	if len(a) > 0 {
		if n, errno = Write(fd, a); errno != 0 || n < len(a) || len(b) == 0 {
			return n, errno
		}
	}
	m, errno := Write(fd, b)
	if errno != 0 && n > 0 {
		return n, 0 // the next call will return the error
	}
	return n + m, errno
}

// acceptRoom is not needed on these systems.
type acceptRoom struct{}

// accept takes one connection from a listening socket: non-blocking, closed on exec.
func accept(fd int, _ *acceptRoom) (conn int, peer netip.AddrPort, errno syscall.Errno) {
	syscall.ForkLock.RLock()
	conn, address, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(conn)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, peer, errnoOf(err)
	}
	if err = unix.SetNonblock(conn, true); err != nil {
		unix.Close(conn)
		return -1, peer, errnoOf(err)
	}
	peer = addrPort(address)
	if peer.IsValid() {
		unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return conn, peer, 0
}

// openSocket opens a non-blocking stream socket that is closed on exec.
func openSocket(family int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err = unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// pipe opens a pipe whose ends are non-blocking and closed on exec.
func pipe(ends *[2]int) error {
	syscall.ForkLock.RLock()
	err := unix.Pipe(ends[:])
	if err == nil {
		unix.CloseOnExec(ends[0])
		unix.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	for _, fd := range ends {
		if err = unix.SetNonblock(fd, true); err != nil {
			unix.Close(ends[0])
			unix.Close(ends[1])
			return err
		}
	}
	return nil
}
