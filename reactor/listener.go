package reactor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// backlogDefault is the length of a listening socket's accept queue, if the system permits that many. It holds what arrives
// while a loop is busy for some milliseconds, at the highest rate at which connections can be accepted.
const backlogDefault = 4096

// ListenOptions are the options of OpenListener. The zero value is fine for one loop.
type ListenOptions struct {
	Sockets int          // loops that will be attached, and sockets to open if the kernel spreads connections; 0 means 1
	Backlog int          // connections waiting to be accepted, per socket; 0 means 4096. The system may have a lower limit
	Mode    fs.FileMode  // permissions of a Unix socket; 0 leaves those that the umask results in
	Logger  *slog.Logger // nil: slog.Default()

	// Beside are listeners of this process that may have to be closed before the address is free, because they listen on the same
	// port at addresses that overlap with it. OpenListener binds the new sockets beside them. The listener then does not listen
	// before Listen is called, so that no connection meets it while it is uncertain whether it will be used.
	Beside []*Listener

	// Inherited are listening sockets of this address that another process has opened. They are taken over, even if an error
	// is returned, and no others are opened.
	Inherited []int
	// Foreign says that another process keeps the inherited sockets and keeps listening on them: Close hands them over
	// (HandOver).
	Foreign bool
}

// AcceptFunc receives an accepted connection: a non-blocking descriptor, closed on exec, with TCP_NODELAY, and the address of
// the peer, without its zone and not valid for a Unix socket. It is called on the loop with which it was attached, and owns
// fd.
type AcceptFunc func(fd int, peer netip.AddrPort)

// Listener is an address that is listened on. Any goroutine may call its methods, unless they say otherwise.
//
// For TCP there is one socket for each loop, and the kernel spreads the connections over them. For Unix sockets, and on
// systems that do not spread connections, there is one socket: the loop that was attached first accepts, and deals the
// connections out to all loops in turn. Fill has few connections stay together.
type Listener struct {
	// Immutable.
	addr     net.Addr
	at       Endpoint // for TCP
	log      *slog.Logger
	shared   bool      // the loop that is attached first accepts for all loops
	sockFile *sockFile // of a Unix socket
	foreign  bool      // another process listens on the sockets too

	shares atomic.Pointer[[]share] // in the order of their loops; a new list for each that is added
	fill   atomic.Int64            // see Fill
	burst  burst                   // that is filled; guarded by its mu
	turn   int                     // index in shares of the last that got a connection in turn; owned by the loop that accepts, if shared

	mu        sync.Mutex
	beside    *beside // not nil: the sockets are bound and do not listen yet
	free      []int   // sockets that are not attached yet
	acceptors []*acceptor
	closed    bool
}

// OpenListener starts listening. Connections wait until loops are attached. It may block, because names are looked up.
//
// The network is tcp4, tcp6 (IPv6 only), tcp or unix. A TCP address is "host:port". The host may be a name, and the port the
// name of a service. No host, or "::" on network tcp, means all interfaces; on network tcp, IPv4 clients are then served too,
// and only they if the system has no IPv6. A port on which another socket listens is an error, even if that socket would share
// it. Port 0 is any free port.
//
// The address of a Unix socket is a path of at most 107 bytes (103 on BSD and macOS). A socket file on which no process listens
// any more is replaced; anything else at that path is an error.
//
// Errors read like "listen 127.0.0.1:80: bind: address already in use".
func OpenListener(network, address string, o ListenOptions) (*Listener, error) {
	o.Backlog = cmp.Or(max(o.Backlog, 0), backlogDefault)
	o.Sockets = max(o.Sockets, 1)
	ln := &Listener{log: cmp.Or(o.Logger, slog.Default())}
	var err error
	switch network {
	case "tcp", "tcp4", "tcp6":
		if len(o.Inherited) > 0 {
			err = ln.inherit(network, address, o)
			break
		}
		ln.shared = !reusePortBalances
		if ln.shared {
			o.Sockets = 1
		}
		err = ln.listenTCP(network, address, o)
	case "unix":
		if len(o.Inherited) > 0 {
			err = ln.inherit(network, address, o)
			break
		}
		ln.shared = true
		ln.sockFile, ln.free, err = listenUnix(address, o)
		ln.addr = &net.UnixAddr{Name: address, Net: "unix"}
	default:
		closeFDs(o.Inherited)
		err = fmt.Errorf("%w: it is none of tcp, tcp4, tcp6 and unix", net.UnknownNetworkError(network))
	}
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", address, err)
	}
	return ln, nil
}

// Addr is the address that is listened on, with the port that was chosen for port 0.
func (ln *Listener) Addr() net.Addr { return ln.addr }

// Attach makes l accept connections and call accept for each from now on. If the process has run out of descriptors and stays
// so for 100 ms, refuse is called for the connections that wait; it must close the descriptor before it returns. With nil, they
// wait.
//
// Attach is called on l, or before l.Run. For TCP it may be called ListenOptions.Sockets times. The error is net.ErrClosed,
// that there are more loops than sockets, or that of Listen or Loop.AddRead: l then has none of the sockets.
func (ln *Listener) Attach(l *Loop, accept, refuse AcceptFunc) error {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.closed {
		return fmt.Errorf("attach %v: %w", ln.addr, net.ErrClosed)
	}
	if err := ln.listenNow(); err != nil {
		return err
	}
	if ln.shared && len(ln.acceptors) > 0 {
		ln.addShare(share{l, accept})
		return nil
	}
	if len(ln.free) == 0 {
		return fmt.Errorf("attach %v: %w", ln.addr, errors.New("more loops than sockets"))
	}
	sockets := 1
	if ln.shared {
		sockets = len(ln.free)
	}
	var acceptors []*acceptor
	for _, fd := range ln.free[:sockets] {
		a := newAcceptor(ln, l, fd, accept, refuse)
		if err := l.AddRead(fd, a); err != nil {
			for _, a := range acceptors {
				l.unregister(a.fd) // nothing has been accepted yet
			}
			return fmt.Errorf("attach %v: %w", ln.addr, err)
		}
		acceptors = append(acceptors, a)
	}
	ln.free = ln.free[sockets:]
	ln.acceptors = append(ln.acceptors, acceptors...)
	ln.addShare(share{l, accept})
	return nil
}

// Close stops listening: each loop closes its socket in its next turn, which is due at once. Accepted connections continue. Those
// that wait to be accepted are accepted first, even if Close has already returned; they are reset if no loop was attached or
// the loop has ended. The file of a Unix socket is removed, if it is still ours: the error is that of removing it, or says that this takes
// too long. Further calls do nothing.
func (ln *Listener) Close() error {
	if ln.foreign {
		ln.HandOver()
		return nil
	}
	ln.mu.Lock()
	if ln.closed {
		ln.mu.Unlock()
		return nil
	}
	ln.closed = true
	ln.mu.Unlock()
	// First, so that no peer finds a file on which nothing listens; and without the lock, which loops take.
	err := ln.sockFile.removeSoon()
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for _, fd := range ln.free {
		unix.Close(fd)
	}
	ln.free = nil
	for _, a := range ln.acceptors {
		a.loop.Post(a.close) // a loop that has ended has closed the socket itself
	}
	return err
}
