package engine

import (
	"errors"
	"net/netip"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// ErrNoSockets is returned by ServeSockets for a backend that does not take raw connections.
var ErrNoSockets = errors.New("engine: the backend takes no raw connections: it is no backend.SocketBackend")

// ServeSockets starts handing ln's connections over to b as they are accepted: raw connections, of which the engine has read
// nothing and knows nothing from then on. The backend receives index with every connection, to tell its listeners apart. If
// a part of b on a loop is no backend.SocketBackend, the error is ErrNoSockets and nothing is served; other errors are those
// of Serve. Like Serve, it may be called again, even on a listener that Serve has been given: open connections then end
// after the request in progress.
//
// A connection is reset if the backend refuses it, or if Options.MaxConns other connections are open. Connections that were
// handed over are not counted, have no timeout, and outlive Drain and Shutdown: all of that is up to the backend. With TLS the engine goes
// on to pass bytes between the peer and the backend. Such a connection counts as two until it has ended, Drain waits for it, and Shutdown
// resets it when its context ends.
func (e *Engine) ServeSockets(ln *Listener, b backend.Backend, index int) error {
	e.mustOwn("ServeSockets", ln)
	mustCompare("ServeSockets", b)
	parts, err := e.attachAll(b)
	if err != nil {
		return err
	}
	sockets := make([]backend.SocketBackend, len(parts))
	for i, part := range parts {
		s, ok := part.(backend.SocketBackend)
		if !ok {
			return ErrNoSockets
		}
		sockets[i] = s
	}
	ln.fillLoops(0)
	return e.serveOn(ln, func(l *loop) error {
		return l.bind(ln, nil, &socketService{backend: sockets[l.index], index: index}, nil)
	})
}

// socketService is what takes the raw connections of one listener, on one loop.
type socketService struct {
	backend backend.SocketBackend
	index   int
	addrs   *addrs
}

// handOver gives a new connection to the backend. It never reaches the poller, which reports an edge once: an edge reported
// here would be missing there.
func (l *loop) handOver(s *socketService, fd int, peer netip.AddrPort) {
	if l.e.conns.Load() >= l.e.connsMax+l.e.passing.Load() {
		l.countConnection(aboveLimit, "", peer)
		l.resetNow(fd)
		return
	}
	var known uint8
	local, remote := s.addrs.of(fd, peer, &known)
	l.handOverAs(s, fd, local, remote)
}

// handOverAs is handOver for a connection whose two ends are known.
func (l *loop) handOverAs(s *socketService, fd int, local, remote netip.AddrPort) {
	if err := l.startSocket(s, fd, local, remote); err != nil {
		_, cause := startRefusal(err)
		l.countConnection(connectionsRefused, cause, remote)
		l.resetNow(fd)
		return
	}
	l.accepted++
}

// resetNow closes a connection that the reactor does not know, with a RST: it was not served.
func resetNow(fd int) {
	reactor.SetLinger0(fd)
	syscall.Close(fd)
}
