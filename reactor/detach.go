package reactor

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Detach takes the socket fd, which the loop owns, off the loop. The result is the same connection for goroutines: a *net.TCPConn
// or *net.UnixConn with a descriptor of its own. fd itself is closed as by Close. After an error nothing has changed.
func (l *Loop) Detach(fd int) (net.Conn, error) {
	if e := l.lookup(fd); e == nil || !e.owned {
		return nil, fmt.Errorf("detach %d: %w", fd, syscall.ENOENT)
	}
	conn, err := duplicateConn(fd)
	if err != nil {
		return nil, fmt.Errorf("detach %d: %w", fd, err)
	}
	// Closing fd is not enough: epoll would keep the registration for the duplicate.
	if err := l.poller.remove(fd); err != nil {
		conn.Close()
		return nil, fmt.Errorf("detach %d: %w", fd, err)
	}
	l.Close(fd)
	return conn, nil
}

// duplicateConn returns a net.Conn with a duplicate of the socket fd.
func duplicateConn(fd int) (net.Conn, error) {
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(duplicate), "socket")
	defer f.Close() // FileConn makes another duplicate
	return net.FileConn(f)
}
