package engine

import (
	"errors"
	"net/netip"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/reactor"
)

// ErrNoSockets is returned by ServeSockets for a backend that does not take sockets.
var ErrNoSockets = errors.New("engine: the backend does not take whole connections: no handler.SocketBackend")

// ServeSockets has the connections of ln handed over to b as they are accepted: raw connections, of which nothing has been
// read and about which the engine knows nothing from then on. b's part on each loop has to be a backend.SocketBackend, else
// the error is ErrNoSockets and nothing is served. index is passed to the backend with every connection, to tell its
// listeners apart. As Serve it may be called again, also for a listener that was served by Serve: connections that are there
// then end after the request in progress.
//
// A connection that the backend refuses, or that comes when there are Options.MaxConns of other connections, is reset.
// Those that were handed over are not counted, not bounded by a time, and go on after Drain and Shutdown: all of that is the
// backend's to do.
func (e *Engine) ServeSockets(ln *Listener, b backend.Backend, index int) error {
	parts := make([]backend.SocketBackend, len(e.loops))
	err := e.onEveryLoop(func(l *loop) error {
		lb, err := l.attach(b)
		if err != nil {
			return err
		}
		s, ok := lb.(backend.SocketBackend)
		if !ok {
			return ErrNoSockets
		}
		parts[l.Index()] = s
		return nil
	})
	if err != nil {
		return err
	}
	return e.onEveryLoop(func(l *loop) error {
		return l.bind(ln, nil, &socketService{backend: parts[l.Index()], index: index})
	})
}

// socketService is what the raw connections of one listener are given to, on one loop.
type socketService struct {
	backend backend.SocketBackend
	index   int
	addrs   *addrs
}

// handOver gives a new connection to the backend. The poller never hears of it: an edge that was told here would be missing
// there.
func (l *loop) handOver(s *socketService, fd int, peer netip.AddrPort) {
	if l.e.conns.Load() >= l.e.connsMax {
		l.logLimit()
		resetNow(fd)
		return
	}
	var known uint8
	local, remote := s.addrs.of(fd, peer, &known)
	if err := s.backend.StartSocket(fd, s.index, local, remote); err != nil {
		l.e.refused.Add(1)
		l.logRefused("connections", err)
		resetNow(fd)
	}
}

// resetNow closes a connection that the loop does not know, with a RST: it was not served.
func resetNow(fd int) {
	reactor.SetLinger0(fd)
	syscall.Close(fd)
}
