package reactor

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// A server whose address changes while its port stays, for example from one interface to all of them, would have to close
// the old sockets before it can bind the new ones. For a moment nothing would listen, and there would be no way back. So the
// old and the new sockets agree to share the port (SO_REUSEPORT) for as long as the call takes that binds the new ones, and
// again for the call that makes them listen. In between and later the port is as exclusive as ever.

// beside is what a listener keeps in mind that was bound beside others.
type beside struct {
	others  []*Listener // that overlap with it
	backlog int
}

// bindBeside binds the first socket of a new listener although listeners of this process are in the way. refusal is the
// error of binding it alone. It stays the error if none of them is, or if another process is.
func bindBeside(bind func(sharePort bool) error, refusal error, family int, dualStack bool, to *net.TCPAddr, o ListenOptions) (*beside, error) {
	network := "tcp"
	switch {
	case family == unix.AF_INET:
		network = "tcp4"
	case !dualStack:
		network = "tcp6"
	}
	e := endpointOf(network, to)
	b := &beside{backlog: o.Backlog}
	for _, other := range o.Beside {
		if other.at.Overlaps(e) {
			b.others = append(b.others, other)
		}
	}
	if len(b.others) == 0 || otherProcessListens(e, b.others) {
		return nil, refusal
	}
	return b, sharePort(b.others, func() error { return bind(true) })
}

// sharePort has the sockets of listeners share their ports while fn is called.
func sharePort(listeners []*Listener, fn func() error) error {
	if len(listeners) == 0 {
		return fn()
	}
	ln := listeners[0]
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for _, fd := range ln.sockets() {
		was, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
		if err == nil && was == 0 {
			err = setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			defer setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 0)
		}
		if err != nil {
			return err
		}
	}
	return sharePort(listeners[1:], fn)
}

// sockets are the descriptors of a listener; none if it is closed. Under mu.
func (ln *Listener) sockets() (fds []int) {
	if ln.closed {
		return nil
	}
	fds = append(fds, ln.free...)
	for _, a := range ln.acceptors {
		fds = append(fds, a.fd)
	}
	return fds
}

// Listen starts listening if OpenListener has only bound the address (ListenOptions.Beside). Attach does the same. The
// listeners beside it may still be open; from now on, connections that could reach either go to the one with the more specific
// address.
func (ln *Listener) Listen() error {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return fmt.Errorf("listen %v: %w", ln.addr, net.ErrClosed)
	}
	return ln.listenNow()
}

// listenNow is Listen. Under mu.
func (ln *Listener) listenNow() error {
	if ln.beside == nil {
		return nil
	}
	err := sharePort(ln.beside.others, func() error { return listenAll(ln.free, ln.beside.backlog) })
	if err == nil && len(ln.free) == 1 {
		err = setOption(ln.free[0], unix.SOL_SOCKET, unix.SO_REUSEPORT, 0)
	}
	if err != nil {
		return fmt.Errorf("listen %v: %w", ln.addr, err)
	}
	ln.beside = nil
	return nil
}
