package engine

import (
	"maps"
	"net/netip"
	"slices"

	"moonbridge/handler/backend"
)

// ProtocolOptions are options of ServeProtocol.
type ProtocolOptions struct {
	Bounds backend.Bounds // of each connection
}

// ServeProtocol starts serving ln's connections with p, which speaks something other than HTTP. They stay on the loop that has
// accepted them. The error is ErrStopped, or net.ErrClosed for a closed listener; a nil p panics. Like Serve, it may be called again, and even
// for a listener that Serve or ServeSockets was called for, and they after it: that is for new connections. Those of a Protocol
// stay with it.
//
// The connections count for Options.MaxConns; one above it is reset. Drain and Listener.Close tell those Streams that are a
// backend.Drainer, and leave the others alone. Shutdown resets what is left when its context ends: Stream.Closed gets
// ErrStopped.
func (e *Engine) ServeProtocol(ln *Listener, p backend.Protocol, o ProtocolOptions) error {
	e.mustOwn("ServeProtocol", ln)
	if p == nil {
		panic("engine: ServeProtocol: the protocol is nil")
	}
	bounds := resolveBounds(o.Bounds)
	ln.fillLoops(e.fill)
	return e.serveOn(ln, func(l *loop) error { return l.bind(ln, nil, nil, &rawService{protocol: p, bounds: bounds}) })
}

// rawService is what serves the raw connections of one listener, on one loop.
type rawService struct {
	protocol backend.Protocol
	bounds   *rawBounds
	addrs    *addrs
	ended    bool // the listener is closed
}

// acceptRaw takes over a new connection of a listener that s serves.
func (l *loop) acceptRaw(s *rawService, fd int, peer netip.AddrPort, local uint8) {
	if !l.admits() {
		l.countConnection(aboveLimit, "", peer)
		l.resetNow(fd)
		return
	}
	l.accepted++
	c := newRaw(l, socket{fd: fd, peer: peer, local: local, writable: true}, s.bounds, s.addrs, &l.e.conns)
	if err := l.sys.add(fd, c); err != nil {
		l.e.log.Error("connection lost", "loop", l.index, "err", err)
		c.state = rawClosed
		c.leave()
		l.closeNow(fd) // the reactor does not know it
		return
	}
	c.open(s.protocol, s.ended)
}

// drainRaw tells the Streams of accepted connections that they are to end: those of the listener with these addrs, or all.
func (l *loop) drainRaw(of *addrs) {
	if l.tls != nil {
		l.tls.twin.drainRaw(of)
	}
	if l.h2 != nil {
		l.h2.twin.drainRaw(of)
	}
	for _, c := range l.raw.all() {
		if c.addrs != nil && (of == nil || of == c.addrs) {
			c.drain()
		}
	}
}

// complete reports whether everything is sent, and the peer waits for nothing more.
func (c *rawConn) complete() bool {
	s, is := c.stream.(*h2Conn)
	return c.state == rawLingering || is && len(s.streams) == 0 && c.Held() == 0
}

// resetRaw ends all raw connections, and all attempts to establish one.
func (l *loop) resetRaw() {
	if l.tls != nil {
		l.tls.twin.resetRaw()
	}
	if l.h2 != nil {
		l.h2.twin.resetRaw() // before their connections
	}
	for _, d := range slices.Collect(maps.Keys(l.raw.dials)) {
		if !d.over {
			d.fail(ErrStopped)
		}
	}
	for _, c := range l.raw.all() {
		if !c.state.over() {
			if !c.complete() {
				l.sys.resetOnClose(c.socket.fd)
			}
			c.fail(ErrStopped)
			c.conclude()
		}
	}
}
