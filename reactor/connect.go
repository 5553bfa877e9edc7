package reactor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Connect begins to connect a new non-blocking TCP socket to an address. from is the local address; if it is not valid, the
// system chooses. The connection is not established yet when Connect returns: after Loop.Add, the first Ready of the
// descriptor says that the attempt is over, and ConnectResult says how it went.
func Connect(to netip.AddrPort, from netip.Addr) (fd int, err error) {
	at, family := sockaddrOf(to)
	if fd, err = openSocket(family); err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err = connectTCP(fd, at, family, from); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func connectTCP(fd int, at unix.Sockaddr, family int, from netip.Addr) error {
	if err := setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if from.IsValid() {
		if err := bindLocal(fd, family, from); err != nil {
			return err
		}
	}
	return beginConnect(fd, at)
}

// bindLocal binds fd to a local address. The port is chosen by connect where the system can do that: then the same port may
// serve connections to different peers.
func bindLocal(fd, family int, from netip.Addr) error {
	at, fromFamily := sockaddrOf(netip.AddrPortFrom(from, 0))
	if fromFamily != family {
		return os.NewSyscallError("bind", syscall.EAFNOSUPPORT)
	}
	bindPortLater(fd)
	return os.NewSyscallError("bind", unix.Bind(fd, at))
}

// ConnectUnix is Connect to the Unix socket path. The error wraps syscall.EAGAIN if the listener's queue is full.
func ConnectUnix(path string) (fd int, err error) {
	if fd, err = openSocket(unix.AF_UNIX); err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err = beginConnect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// beginConnect calls connect. An interrupted call goes on in the background, like one that would have to wait.
func beginConnect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR) {
		return nil
	}
	return os.NewSyscallError("connect", err)
}

// ConnectResult is the outcome of Connect or ConnectUnix, once fd is ready. It is syscall.EINPROGRESS if the attempt is not over.
func ConnectResult(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if code != 0 {
		return os.NewSyscallError("connect", syscall.Errno(code))
	}
	peer, err := unix.Getpeername(fd)
	if err == unix.ENOTCONN {
		return os.NewSyscallError("connect", syscall.EINPROGRESS)
	}
	if err == nil && toItself(fd, peer) {
		return os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	return nil
}

// toItself reports whether a TCP socket is connected to itself. That happens if nothing listens at an address of this machine
// and the system has chosen the same port for this end.
func toItself(fd int, peer unix.Sockaddr) bool {
	remote := addrPort(peer)
	return remote.IsValid() && LocalAddr(fd) == remote
}

func sockaddrOf(a netip.AddrPort) (at unix.Sockaddr, family int) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16(), ZoneId: zoneID(ip.Zone())}, unix.AF_INET6
}

// Hand gives an owned descriptor to another handler: it gets the events from now on. An edge that was reported is not reported
// again, so h has to know what the descriptor is ready for. Hand panics if fd is not registered.
func (l *Loop) Hand(fd int, h Handler) {
	e := l.lookup(fd)
	if e == nil {
		panic(fmt.Sprintf("reactor: Hand of descriptor %d, which is not registered", fd))
	}
	e.handler = h
}

// Duplicate returns another descriptor of the same open file. It is closed on exec, and belongs to the caller.
func Duplicate(fd int) (int, error) {
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	return other, nil
}

// Leave is Close for a descriptor of which the caller has a duplicate: a connection then leaves the loop and stays open. Close
// would not do, since the poller goes on reporting events of a file that is open somewhere. Leave panics if fd is not registered.
func (l *Loop) Leave(fd int) error {
	if l.lookup(fd) == nil {
		panic(fmt.Sprintf("reactor: Leave of descriptor %d, which is not registered", fd))
	}
	if err := l.poller.remove(fd); err != nil {
		return fmt.Errorf("leave %d: %w", fd, err)
	}
	l.Close(fd)
	return nil
}
