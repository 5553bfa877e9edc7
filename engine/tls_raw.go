package engine

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"

	"moonbridge/handler/backend"
)

// serveRaw is handshake.serve for a listener of ServeProtocol.
func (h *handshake) serveRaw(s *rawService) {
	c := h.rawConn(s.bounds, s.addrs)
	c.open(s.protocol, s.ended)
	c.again()
}

// rawConn makes the connection a raw one.
func (h *handshake) rawConn(b *rawBounds, a *addrs) *rawConn {
	l := h.l.twin
	c := newRaw(l, socket{fd: h.c.fd, peer: h.c.peer, local: h.known, writable: true, readable: true, peerClosed: h.peerClosed}, b, a, &l.e.conns)
	h.hand(c)
	return c
}

// serveSocket is handshake.serve for a listener of ServeSockets. The backend gets one end of a pair of sockets. The engine, which
// has the keys, passes everything on between the other end and the peer.
func (h *handshake) serveSocket(s *socketService) {
	l := h.l.twin
	c := h.rawConn(resolveBounds(backend.Bounds{}), s.addrs)
	c.stream = relayed{}
	pair, err := socketPair()
	if err == nil {
		if b, ok := s.backend.(backend.SecuredSocketBackend); ok {
			err = b.StartSecuredSocket(pair[0], s.index, h.local, h.c.peer, c.TLS())
		} else {
			err = s.backend.StartSocket(pair[0], s.index, h.local, h.c.peer)
		}
		if err != nil {
			syscall.Close(pair[0])
			syscall.Close(pair[1])
		}
	}
	if err != nil {
		_, cause := startRefusal(err)
		l.countConnection(connectionsRefused, cause, h.c.peer)
		c.Reset()
		return
	}
	l.e.conns.Add(1)
	relayPair(c, pair[1], h.l.first, h.l.plain)
}

// relayPair passes everything on between c and the descriptor fd, one of a pair of sockets, on the loop object first with its system. The
// caller has counted it.
func relayPair(c *rawConn, fd int, first *loop, plain *system) {
	far := newRaw(first, socket{fd: fd, writable: true}, c.bounds, nil, &first.e.conns)
	if err := plain.add(fd, far); err != nil {
		first.e.log.Error("connection lost", "loop", first.index, "err", err)
		far.state = rawClosed
		far.leave()
		syscall.Close(fd) // the reactor does not know it
		c.Reset()
		return
	}
	far.stream = relayed{other: c, paired: true}
	c.stream = relayed{other: far}
	far.Splice(c)
	c.Splice(far)
}

// relayed is the Stream of either end of a relay.
type relayed struct {
	other  *rawConn
	paired bool // this is the end that is one of a pair of sockets
}

// Data implements backend.Stream. It is not called after Splice.
func (relayed) Data(backend.Conn) {}

// Room implements backend.Stream.
func (relayed) Room(backend.Conn) {}

// Closed implements backend.Stream. What has arrived is still passed on, unless the end was an error, and came before the end of the data: that
// must not look like one.
func (r relayed) Closed(c backend.Conn, err error) {
	switch {
	case r.other == nil:
	case err != nil && !c.Ended():
		r.other.Reset()
	default:
		r.other.Write(c.Unread())
		r.other.Close()
	}
}

// socketPair returns two sockets that are connected to each other.
func socketPair() (pair [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if pair, err = syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0); err != nil {
		return pair, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range pair {
		syscall.CloseOnExec(fd)
		syscall.SetNonblock(fd, true)
	}
	return pair, nil
}

// detach makes the connection fd, whose socket has left the loop and become conn, one for goroutines. The result has TLS too.
func (l *tlsLoop) detach(fd int, conn net.Conn) net.Conn {
	c := l.conns[fd]
	defer l.drop(fd)
	c.away = newDetached(conn, c.early, append([]byte(nil), c.held.Unsent()...))
	c.early = nil
	if c.withheld {
		return &withheldConn{Conn: c.tls, skip: true}
	}
	return c.tls
}

// withheldConn is a detached connection whose first byte to be written was encrypted already: see tlsLoop.write.
type withheldConn struct {
	*tls.Conn
	skip bool
}

// Write drops the first byte of all.
func (c *withheldConn) Write(p []byte) (n int, err error) {
	if len(p) == 0 || !c.skip {
		return c.Conn.Write(p)
	}
	c.skip = false
	n, err = c.Conn.Write(p[1:])
	return n + 1, err
}

// ReadFrom keeps io.Copy from passing Write by.
func (c *withheldConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}
