package reactor

import (
	"errors"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// listenTCP opens o.Sockets sockets of one address.
func (ln *Listener) listenTCP(network, address string, o ListenOptions) error {
	at, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return err
	}
	if network == "tcp" && (at.IP == nil || at.IP.Equal(net.IPv6unspecified)) {
		err = ln.listenFamily(unix.AF_INET6, true, at, o)
		if !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
		return ln.listenFamily(unix.AF_INET, false, &net.TCPAddr{IP: net.IPv4zero, Port: at.Port}, o)
	}
	family := unix.AF_INET6
	if network == "tcp4" || at.IP.To4() != nil {
		family = unix.AF_INET
	}
	return ln.listenFamily(family, false, at, o)
}

// listenFamily opens the sockets, and makes them listen unless they had to be bound beside others.
func (ln *Listener) listenFamily(family int, dualStack bool, at *net.TCPAddr, o ListenOptions) (err error) {
	to := *at
	if to.IP == nil {
		to.IP = net.IPv6unspecified
		if family == unix.AF_INET {
			to.IP = net.IPv4zero
		}
	}
	defer func() {
		if err != nil {
			closeFDs(ln.free)
			ln.free, ln.beside = nil, nil
		}
	}()
	for len(ln.free) < o.Sockets && err == nil {
		err = ln.addSocket(family, dualStack, &to, o)
	}
	if err != nil {
		return err
	}
	network := "tcp"
	if !dualStack && family == unix.AF_INET6 {
		network = "tcp6"
	}
	ln.addr, ln.at = &to, endpointOf(network, &to)
	if ln.beside != nil {
		return nil
	}
	return listenAll(ln.free, o.Backlog)
}

// addSocket opens and binds one more socket. The first one is bound alone, so that a port on which another process listens
// is refused even if that process would share it with the same user. Only then is the port opened for the other sockets. to
// gets the port that was chosen for port 0.
func (ln *Listener) addSocket(family int, dualStack bool, to *net.TCPAddr, o ListenOptions) error {
	fd, err := openSocket(family)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	first := len(ln.free) == 0
	ln.free = append(ln.free, fd)
	bind := func(sharePort bool) error { return bindTCP(fd, family, dualStack, to, sharePort) }
	if !first {
		return bind(true)
	}
	err = bind(false)
	if errors.Is(err, unix.EADDRINUSE) {
		ln.beside, err = bindBeside(bind, err, family, dualStack, to, o)
	}
	if err != nil {
		return err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	to.Port = portOf(bound)
	if o.Sockets > 1 {
		return setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	return nil
}

func listenAll(fds []int, backlog int) error {
	for _, fd := range fds {
		if err := unix.Listen(fd, backlog); err != nil {
			return os.NewSyscallError("listen", err)
		}
	}
	return nil
}

// bindTCP sets the options of a listening socket and binds it. SO_REUSEADDR permits this while connections of an earlier
// process are in TIME_WAIT. TCP_NODELAY is for the accepted sockets, which inherit it.
func bindTCP(fd, family int, dualStack bool, at *net.TCPAddr, sharePort bool) error {
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := setOption(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if sharePort {
		if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return err
		}
	}
	if family == unix.AF_INET {
		to := &unix.SockaddrInet4{Port: at.Port}
		copy(to.Addr[:], at.IP.To4())
		return os.NewSyscallError("bind", unix.Bind(fd, to))
	}
	only := 1
	if dualStack {
		only = 0
	}
	if err := setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
		return err
	}
	to := &unix.SockaddrInet6{Port: at.Port, ZoneId: zoneID(at.Zone)}
	copy(to.Addr[:], at.IP.To16())
	return os.NewSyscallError("bind", unix.Bind(fd, to))
}

func setOption(fd, level, name, value int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
}

// zoneID is the index of the network interface that a zone names, by its name or index; 0 if there is none.
func zoneID(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(n)
}

func portOf(address unix.Sockaddr) int {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
