package engine

import (
	"net/netip"

	"moonbridge/handler/list"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// conn is a peer's connection. It belongs to its loop: nothing else touches it.
//
// Its parts know nothing of each other; each has a file with its rules. The methods of conn put them together. Calls come
// in from the loop (Ready, Expired, resume), from the backend (the methods of backend.Exchange), and at shutdown. Each of
// them takes the time of the turn once; within the connection nowMS is an argument.
//
// A connection has one exchange, whose response is being sent. Pipelined requests follow it: those that may overlap with it are
// in progress too (conn_pipeline.go), the others wait in the input. So responses have the order of their requests (RFC 9112
// §9.3.2).
type conn struct {
	l       *loop    // immutable
	service *service // what serves the next request: see current

	state     connState
	queued    bool // in l.agains
	remains   bool // it has remainders
	reported  ConnState
	lingering lingering
	socket    socket
	input     input
	exchange  exchange
	body      body
	output    output
	spool     *spooled  // nil: no byte of this connection is in the spool
	files     *fileList // nil: no file is being sent
	pipeline  *pipeline // nil: no request follows the exchange
	deadline  deadline

	links list.Links[conn] // in the list of the loop's connections
}

// newConn takes over the accepted descriptor fd.
func newConn(l *loop, s *service, fd int, peer netip.AddrPort) *conn {
	c := &conn{l: l, service: s, socket: socket{fd: fd, peer: peer, writable: true}}
	c.deadline.timer.Init(c)
	l.conns.PushFront(c)
	c.setTimeout(l.sys.nowMS(), s.limits.idleMS)
	return c
}

// Ready implements reactor.Handler: the loop reports what has happened on the descriptor.
func (c *conn) Ready(got reactor.Readiness) {
	if c.state == stateClosed {
		return
	}
	nowMS := c.l.sys.nowMS()
	writable := c.socket.heard(got)
	if got&reactor.Hangup != 0 {
		c.hungUp(nowMS, writable)
		return
	}
	if writable {
		c.flush(nowMS)
	}
	if c.socket.readable {
		c.advance(nowMS)
	}
}

// hungUp: both directions are gone, or the connection was reset. There is no peer left to answer. But it may have sent a request before: a
// Unix socket says this as soon as the peer has closed its end, where TCP says no more than that it has finished sending.
//
// A connection that lingers has sent its own FIN, so this may be no more than that of the peer, who may still be receiving the response;
// with kqueue, it may be only ours. Bytes that are unread would make the close a RST: see linger.
func (c *conn) hungUp(nowMS uint64, writable bool) {
	switch {
	case c.state == stateLingering:
		c.advance(nowMS)
		return
	case c.state > stateSpooling:
		c.close()
		return
	}
	c.socket.hangUp()
	if writable {
		c.flush(nowMS)
	}
	c.advance(nowMS)
}

// Expired implements timers.Expirer: the timer of the deadline has fired.
func (c *conn) Expired(*timers.Timer) {
	nowMS := c.l.sys.nowMS()
	if c.state != stateClosed && c.deadline.due(&c.l.sys, nowMS) {
		c.timedOut(nowMS)
	}
}

// again makes the loop call resume when the other connections have had their turn.
func (c *conn) again() {
	if !c.queued {
		c.queued = true
		c.l.agains.add(c)
	}
}

// resume continues where again was called.
func (c *conn) resume() {
	c.queued = false
	if c.pipeline != nil && c.state != stateClosed && !c.socket.broken {
		c.sendCorked(c.l.sys.nowMS())
	}
	switch {
	case c.state == stateClosed:
	case c.socket.broken:
		c.close()
	default:
		c.advance(c.l.sys.nowMS())
	}
}

// ConnValue implements backend.ConnKeeper.
func (c *conn) ConnValue() any {
	if m := c.l.multiplexed; m != nil {
		return *m.valueOf(c.socket.fd)
	}
	return c.l.values[c]
}

// SetConnValue implements backend.ConnKeeper.
func (c *conn) SetConnValue(v any) {
	if m := c.l.multiplexed; m != nil {
		*m.valueOf(c.socket.fd) = v
		return
	}
	c.l.values[c] = v
}

// Addrs implements backend.Exchange.
func (c *conn) Addrs() (local, remote netip.AddrPort) {
	return c.service.addrs.of(c.socket.fd, c.socket.peer, &c.socket.local)
}
