package engine

import (
	"net/netip"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/httpparse"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// conn is a peer's connection. It belongs to its loop: nothing else touches it. It is reactor.Handler for its
// descriptor, timers.Expirer for its deadline, and backend.Exchange for the backend, of which it runs one exchange at a
// time: pipelined requests wait in the input, so that responses have the order of their requests (RFC 9112 §9.3.2).
type conn struct {
	// Immutable.
	l    *loop
	fd   int
	peer netip.AddrPort // not valid on a Unix socket

	s     *service
	state connState

	// What the poller's edges told and nobody has used up yet.
	readable, writable bool
	peerClosed         bool // the peer has sent its FIN: reads end with 0
	eof                bool // and we have read that 0
	broken             bool // a system call on the socket failed: there is no peer to answer
	queued             bool // in l.agains

	local uint8 // which of s.addrs.seen our end is, once somebody has asked

	in     bufio.Input
	out    bufio.Output
	parser httpparse.Parser
	need   int // stateBody: bytes of head and body together

	// Of the exchange in progress.
	running    backend.Running
	body       body
	persistent bool // this exchange leaves the connection open
	isHead     bool
	begun      bool // a byte of its response was given to the output
	wantsRoom  bool // the backend holds output that we did not take
	end        backend.End
	access     *access // what is logged of it; nil: nothing

	timer      timers.Timer
	deadlineMS uint64 // when to act; the timer may be armed for an earlier time, never for a later one. 0: none
	respondMS  uint64 // end of the response timeout; 0: none
	discarded  int    // bytes thrown away while lingering

	prev, next *conn // of all connections of the loop
}

// newConn takes over the accepted descriptor fd.
func newConn(l *loop, s *service, fd int, peer netip.AddrPort) *conn {
	c := &conn{l: l, s: s, fd: fd, peer: peer, writable: true}
	c.timer.Init(c)
	l.link(c)
	c.setDeadline(s.limits.idleMS)
	return c
}

// Ready is called by the loop with what happened on the descriptor.
func (c *conn) Ready(got reactor.Readiness) {
	if c.state == stateClosed {
		return
	}
	if got&reactor.PeerClosed != 0 {
		c.peerClosed = true
	}
	if got&(reactor.Readable|reactor.PeerClosed) != 0 {
		c.readable = true
	}
	if got&reactor.Hangup != 0 {
		c.hangup()
		return
	}
	if got&reactor.Writable != 0 && !c.writable {
		c.writable = true
		c.flush()
	}
	if c.readable {
		c.advance()
	}
}

// hangup: both directions are gone, or the connection was reset. Nobody can be answered; an exchange that runs is told.
func (c *conn) hangup() { c.close() }

// again has the connection looked at in the next turn, which comes without blocking.
func (c *conn) again() {
	if !c.queued {
		c.queued = true
		c.l.resumeLater(c)
	}
}

// resume is what again leads to.
func (c *conn) resume() {
	c.queued = false
	switch {
	case c.state == stateClosed:
	case c.broken:
		c.close()
	default:
		c.advance()
	}
}

// Addrs implements backend.Exchange.
func (c *conn) Addrs() (local, remote netip.AddrPort) {
	return c.s.addrs.of(c.fd, c.peer, &c.local)
}
