package engine

import (
	"net/netip"
	"sync/atomic"

	"moonbridge/bufio"
	"moonbridge/handler/backend"
	"moonbridge/handler/list"
	"moonbridge/reactor"
	"moonbridge/timers"
)

// rawConn is a connection of a backend.Protocol: it was accepted, dialed, or upgraded. It belongs to its loop, like conn.
//
// The Stream is called from three places only, all of them called by the loop: Ready, Expired and resume. The methods of
// backend.Conn, which the Stream calls, never call back. They note what is to be done, and ask for resume.
type rawConn struct {
	// What each write touches comes first, in as few cache lines as possible: a message to 20,000 subscribers finds none of them in
	// the cache.
	l      *loop      // immutable
	bounds *rawBounds // others in their place only before Close: see h2Conn.fail
	pipe   *pipe      // bytes that are sent before output; nil: there are none
	state  rawState

	queued  bool // in l.raw.agains
	busy    bool // Ready, Expired or resume is running: it ends with conclude
	paused  bool
	due     bool // the Stream has not been told of bytes, or of their end
	full    bool // more than bounds.output was held, and not yet less than half of it
	ending  bool // CloseWrite was called
	finSent bool
	told    bool // Drain was called
	gone    bool // nothing is sent or received any more: Closed is due
	hung    bool // the other end of the pair of a relay is closed

	expendable bool // see SetExpendable

	limitMS  uint64 // of SetDeadline; 0: none
	written  int64  // bytes that the socket has taken
	socket   socket
	output   bufio.Output
	deadline deadline

	// Immutable.
	addrs   *addrs        // of its listener; nil: it was dialed
	counter *atomic.Int64 // that it is counted in

	stream  backend.Stream // nil while the Protocol opens it
	err     error          // for Stream.Closed
	input   bufio.Input
	acked   int64 // how many bytes the peer had acknowledged when the deadline was last reached
	drained int32 // bytes thrown away since Close

	tarpitMS uint64 // see tarpitted; 0: it is not

	readMost  int32    // of the next read; 0: any number of bytes
	spliced   *rawConn // gets all input; nil: the Stream does
	bulk      bool     // the last read was a large one, or has filled its room
	withheld  bool     // the next bytes are not read before the Stream was told of them: see conn_splice.go
	follows   *rawConn // input waits while this one is full
	followers *rawConn // those that follow this one, linked by nextFollower

	nextFollower *rawConn
	links        list.Links[rawConn] // in the list of the loop's raw connections
}

// rawState is where a raw connection is in its life.
type rawState uint8

const (
	// rawOpen: the Stream reads and writes. → closing, closed, detached
	rawOpen rawState = iota
	// rawClosing: Close was called, and output is left to be sent. Input is thrown away. → lingering, closed
	rawClosing
	// rawLingering: everything is sent. Input is thrown away, or left unread, until the peer has closed (RFC 9112 §9.6). → closed
	rawLingering
	// rawClosed: the Stream has been told. This is final.
	rawClosed
	// rawDetached: the descriptor has left the loop. This is final.
	rawDetached
)

// over reports whether no call on the connection has an effect.
func (s rawState) over() bool { return s >= rawClosed }

// newRaw makes a connection of the descriptor fd, which is counted in counter already.
func newRaw(l *loop, s socket, b *rawBounds, a *addrs, counter *atomic.Int64) *rawConn {
	c := &rawConn{l: l, socket: s, bounds: b, addrs: a, counter: counter}
	c.deadline.timer.Init(c)
	l.raw.conns.PushFront(c)
	c.moved()
	return c
}

// open lets p take the connection. ended: its listener is closed.
func (c *rawConn) open(p backend.Protocol, ended bool) {
	c.stream = p.Open(c)
	switch {
	case c.state.over():
		return
	case c.stream == nil:
		c.Reset()
	case c.l.e.stopping.Load() || ended:
		c.drain()
	}
}

// Ready implements reactor.Handler: the loop reports what has happened on the descriptor.
func (c *rawConn) Ready(got reactor.Readiness) {
	if c.state.over() {
		return
	}
	c.busy = true
	writable := c.socket.heard(got)
	if got&reactor.Hangup != 0 {
		c.hungUp()
	}
	if writable {
		c.flush()
	}
	c.advance()
}

// hungUp: both directions are closed, or there is an error. What the peer has sent may still be read.
func (c *rawConn) hungUp() {
	c.socket.peerClosed, c.socket.readable = true, true
	if r, relays := c.stream.(relayed); relays && r.paired {
		c.hung = true // the last words may have been read long before: see allSent
	} else if c.socket.eof && !c.finSent {
		c.fail(errReset)
	}
}

// again makes the loop call resume, unless conclude is going to be called anyway.
func (c *rawConn) again() {
	if !c.busy {
		c.queue()
	}
}

// queue makes the loop call resume when the other connections have had their turn.
func (c *rawConn) queue() {
	if !c.queued && !c.state.over() {
		c.queued = true
		c.l.raw.agains.add(c)
	}
}

// resume continues where again was called.
func (c *rawConn) resume() {
	c.queued = false
	if !c.state.over() {
		c.busy = true
		c.advance()
	}
}

// Expired implements timers.Expirer: the timer of the deadline has fired.
func (c *rawConn) Expired(*timers.Timer) {
	nowMS := c.l.sys.nowMS()
	if !c.state.over() && c.deadline.due(&c.l.sys, nowMS) {
		c.busy = true
		c.timedOut(nowMS)
		c.advance()
	}
}

// Addrs implements backend.Conn.
func (c *rawConn) Addrs() (local, remote netip.AddrPort) {
	switch {
	case !c.socket.peer.IsValid() || c.state == rawDetached:
		return local, c.socket.peer
	case c.addrs != nil:
		return c.addrs.of(c.socket.fd, c.socket.peer, &c.socket.local)
	}
	return reactor.LocalAddr(c.socket.fd), c.socket.peer
}

// Loop implements backend.Conn.
func (c *rawConn) Loop() backend.Loop { return c.l.shown }
