package reactor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// A listening socket can be passed from process to process: a new version of a server takes it over from the old one, or a
// service manager opens it for a server. Connections that wait to be accepted stay with the socket, so none is refused.

// SocketAddress returns the network and address of the listening stream socket fd, in the terms of OpenListener. It returns an
// error if fd is not such a socket.
func SocketAddress(fd int) (network, address string, err error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return "", "", os.NewSyscallError("getsockopt", err)
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return "", "", os.NewSyscallError("getsockopt", err)
	}
	if kind != unix.SOCK_STREAM || listens == 0 {
		return "", "", errors.New("not a listening stream socket")
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return "", "", os.NewSyscallError("getsockname", err)
	}
	switch a := at.(type) {
	case *unix.SockaddrUnix:
		return "unix", a.Name, nil
	case *unix.SockaddrInet4:
		return "tcp4", netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String(), nil
	case *unix.SockaddrInet6:
		network = "tcp"
		if only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err == nil && only != 0 {
			network = "tcp6"
		}
		return network, netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String(), nil
	}
	return "", "", errors.New("not an IP or Unix socket")
}

// inherit takes over o.Inherited. If the number of sockets differs from that of the loops, because another program has opened
// them, one loop accepts for all.
func (ln *Listener) inherit(network, address string, o ListenOptions) (err error) {
	defer func() {
		if err != nil {
			closeFDs(o.Inherited)
		}
	}()
	for _, fd := range o.Inherited {
		if err := prepareInherited(fd, network); err != nil {
			return fmt.Errorf("inherited socket %d: %w", fd, err)
		}
	}
	is, actual, err := SocketAddress(o.Inherited[0])
	if err != nil {
		return err
	}
	if network == "unix" {
		ln.addr = &net.UnixAddr{Name: actual, Net: "unix"}
		ln.sockFile = inheritFile(actual)
	} else {
		at, err := netip.ParseAddrPort(actual)
		if err != nil {
			return err
		}
		tcp := net.TCPAddrFromAddrPort(at)
		ln.addr, ln.at = tcp, endpointOf(is, tcp)
	}
	ln.foreign = o.Foreign
	ln.shared = network == "unix" || !reusePortBalances || len(o.Inherited) != o.Sockets
	ln.free = o.Inherited
	return nil
}

// prepareInherited sets on an inherited socket what openSocket and bindTCP set on ours.
func prepareInherited(fd int, network string) error {
	is, _, err := SocketAddress(fd)
	if err != nil {
		return err
	}
	if (is == "unix") != (network == "unix") {
		return fmt.Errorf("is on network %s, not %s", is, network)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if network == "unix" {
		return nil
	}
	return setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

// inheritFile is the file of an inherited Unix socket. It is known to be gone if there is nothing, or no socket, at its path.
func inheritFile(path string) *sockFile {
	f, err := newSockFile(path)
	if err != nil || f.info.Mode().Type() != os.ModeSocket {
		f.info = nil
	}
	return f
}

// Files returns duplicates of the listening sockets, to be passed to another process. The caller closes them. The error is
// net.ErrClosed after Close or HandOver, or that of duplicating a descriptor.
func (ln *Listener) Files() (files []*os.File, err error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return nil, net.ErrClosed
	}
	for _, fd := range ln.sockets() {
		other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, os.NewSyscallError("dup", err)
		}
		files = append(files, os.NewFile(uintptr(other), ln.addr.String()))
	}
	return files, nil
}

// Descriptors returns duplicates of the descriptors of files, as ListenOptions.Inherited takes them. The caller closes files.
func Descriptors(files []*os.File) (fds []int, err error) {
	for _, f := range files {
		fd := -1
		raw, err := f.SyscallConn()
		if err == nil {
			// Not File.Fd: it makes the socket blocking in all processes that have it.
			if failed := raw.Control(func(of uintptr) { fd, err = Duplicate(int(of)) }); failed != nil {
				err = failed
			}
		}
		if err != nil {
			closeFDs(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// HandOver is Close for a listener whose sockets another process has now (Files). The sockets stay open there, connections that
// wait to be accepted are left to that process, and the file of a Unix socket stays.
func (ln *Listener) HandOver() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return
	}
	ln.closed = true
	closeFDs(ln.free)
	ln.free = nil
	for _, a := range ln.acceptors {
		a.loop.Post(a.leave)
	}
}

// leave gives up a socket on which another process keeps listening. It has to be removed from the poller, which would report
// events of the socket for as long as any process has it open.
func (a *acceptor) leave() {
	a.closed = true
	if e := a.loop.lookup(a.fd); e == nil || e.handler != a {
		return
	}
	if err := a.loop.poller.remove(a.fd); err != nil {
		a.ln.log.Error("handing over a listener", "listener", a.ln.addr.String(), "err", err)
	}
	a.loop.Close(a.fd)
}
