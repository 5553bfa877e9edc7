package engine

import (
	"log/slog"
	"net"
	"os"
	"syscall"

	"moonbridge/handler/backend"
	"moonbridge/handler/logging"
	"moonbridge/reactor"
)

// A stream that has left HTTP is served by a rawConn, which reads and writes on the loop object of the streams as a conn does. So who speaks
// WebSocket does not know that the bytes travel in DATA frames. END_STREAM is the FIN of the tunnel, and RST_STREAM its RST (RFC 8441
// §5). What the peer does not take waits in the rawConn, and slows down that tunnel alone.

// mayLeave reports whether the exchange of a stream may leave HTTP.
func (m *h2Loop) mayLeave(fd int) bool {
	st := m.stream(fd)
	return st != nil && st.connect && !st.gone
}

// hand is that of a system: the stream is a tunnel from now on.
func (m *h2Loop) hand(fd int, h reactor.Handler) {
	st, raw := m.stream(fd), h.(*rawConn)
	if st == nil || st.closed {
		raw.fail(errReset)
		return
	}
	s := st.s
	m.slot(fd).c, st.c, st.raw = nil, nil, raw
	s.running--
	s.tunnels++
	raw.socket.readable = true
	raw.socket.peerClosed = raw.socket.peerClosed || st.inEnded
	s.again() // another stream may begin
}

// readTunnel takes what the peer has sent on a tunnel.
func (st *h2Stream) readTunnel(p []byte) (n int, errno syscall.Errno) {
	n = st.takeKept(p)
	st.took(int64(n))
	switch {
	case n > 0, st.inEnded:
		return n, 0
	case st.cut: // the connection has ended, and the tunnel did not say that it has
		return 0, syscall.ECONNRESET
	}
	return 0, syscall.EAGAIN
}

// unacknowledged is how many bytes of the tunnel the peer has not acknowledged, if it has acknowledged so many of the connection. Those of
// other streams that were sent in between count too.
func (st *h2Stream) unacknowledged(acked int64) int64 {
	return max(0, min(st.sentAt-acked, st.raw.written))
}

// boundTunnels resets the tunnel for which the most bytes wait, as long as too many wait for all of them together.
func (s *h2Conn) boundTunnels() {
	if s.tunnels == 0 || len(s.waiters) == 0 {
		return
	}
	for {
		held, most := 0, (*h2Stream)(nil)
		for _, st := range s.waiters {
			if st.raw == nil {
				continue
			}
			n := st.raw.Held()
			if held += n; most == nil || n > most.raw.Held() {
				most = st
			}
		}
		if held <= h2TunnelsHeldMax {
			return
		}
		s.countTunnel()
		s.putReset(most.id, h2EnhanceYourCalm)
		most.abandon()
	}
}

// held: bytes wait in a tunnel.
func (m *h2Loop) held(fd int) {
	if st := m.stream(fd); st != nil && !st.closed {
		st.s.again() // boundTunnels
	}
}

// countTunnel counts a tunnel that is reset because of what its peer does not take.
func (s *h2Conn) countTunnel() {
	s.l.parent.e.tally.Add(logging.Event{Level: slog.LevelInfo, Message: h2TunnelsEnded, Cause: causeH2Tunnels}, func() []slog.Attr {
		return clientAttr(s.raw.socket.peer)
	})
}

// hijack makes a tunnel of the stream of c, for goroutines: they get one end of a pair of sockets, and the loop passes everything on between
// the other end and the stream. It counts as a connection, since it takes descriptors.
func (m *h2Loop) hijack(c *conn, head []byte) (_ net.Conn, err error) {
	e := m.parent.e
	if !e.admit() {
		return nil, errNoPlace
	}
	defer func() {
		if err != nil {
			e.conns.Add(-1)
		}
	}()
	pair, err := socketPair()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(pair[0]), "stream")
	defer file.Close()
	near, err := net.FileConn(file)
	if err != nil {
		syscall.Close(pair[1])
		return nil, err
	}
	local, remote := c.Addrs()
	first, plain := m.parent, &m.parent.sys
	if sealed := m.parent.sealed; sealed != nil {
		first, plain = sealed.first, sealed.plain
	}
	bounds := resolveBounds(backend.Bounds{})
	bounds.lingerMS = c.service.limits.drainMS
	r := c.becomeRaw(head, bounds)
	relayPair(r, pair[1], first, plain)
	r.again()
	return &tunnelConn{near.(streamConn), netAddr(local), netAddr(remote)}, nil
}

// tunnelConn is the end of a tunnel that goroutines have.
type tunnelConn struct {
	streamConn
	local, remote net.Addr
}

// LocalAddr implements net.Conn.
func (c *tunnelConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *tunnelConn) RemoteAddr() net.Addr { return c.remote }
