package reactor

import (
	"net/netip"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reusePortBalances: the kernel spreads connections over all sockets of one address (SO_REUSEPORT).
const reusePortBalances = true

// Read reads from a non-blocking socket into p, which must not be empty. n is 0 with errno 0 at the end of file; errno is
// EAGAIN if there is nothing to read now.
func Read(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Write writes to a non-blocking socket, which may take only the first n bytes of p. errno is EAGAIN if there is no room now. A
// connection that is gone is an errno, never a signal.
func Write(fd int, p []byte) (n int, errno syscall.Errno) { return send(fd, p, 0) }

func send(fd int, p []byte, flags uintptr) (n int, errno syscall.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL|flags, 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// WriteMore is Write for bytes that others follow at once: the system may keep them for the same packet.
func WriteMore(fd int, p []byte) (n int, errno syscall.Errno) { return send(fd, p, unix.MSG_MORE) }

// Writev is Write for the bytes of a followed by those of b.
func Writev(fd int, a, b []byte) (n int, errno syscall.Errno) {
	if len(b) == 0 {
		return Write(fd, a)
	}
	if len(a) == 0 {
		return Write(fd, b)
	}
	parts := [2]unix.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	parts[0].SetLen(len(a))
	parts[1].SetLen(len(b))
	message := unix.Msghdr{Iov: &parts[0]}
	message.SetIovlen(2)
	for {
		r, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), unix.MSG_NOSIGNAL)
		runtime.KeepAlive(&parts)
		if e == 0 {
			return int(r), 0
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// rawWrite writes to a non-blocking descriptor of any kind.
func rawWrite(fd int, p []byte) {
	for {
		_, _, e := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if e != unix.EINTR {
			return
		}
	}
}

// acceptRoom is what accept4 fills. It is kept, so that accepting does not allocate.
type acceptRoom struct {
	address unix.RawSockaddrAny
	size    uint32
}

// accept takes one connection from a listening socket: non-blocking, closed on exec. It inherits TCP_NODELAY from the
// listening socket.
func accept(fd int, room *acceptRoom) (conn int, peer netip.AddrPort, errno syscall.Errno) {
	room.size = uint32(unsafe.Sizeof(room.address))
	room.address.Addr.Family = unix.AF_UNSPEC
	r, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&room.address)), uintptr(unsafe.Pointer(&room.size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, netip.AddrPort{}, e
	}
	return int(r), rawAddrPort(&room.address), 0
}

// rawAddrPort translates an address of the kernel, without its zone. The result is zero if it is not an IP address.
func rawAddrPort(raw *unix.RawSockaddrAny) netip.AddrPort {
	switch raw.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(raw))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), hostOrder(in.Port))
	}
	return netip.AddrPort{}
}

// hostOrder turns a port in network byte order, as it is in memory, into a number.
func hostOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

// openSocket opens a non-blocking stream socket that is closed on exec.
func openSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}
