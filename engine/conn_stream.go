package engine

import (
	"math"

	"moonbridge/handler/backend"
)

// Stream implements backend.Streamer.
func (c *conn) Stream(r backend.Running) {
	if c.state != stateDispatched {
		return
	}
	x := &c.exchange
	x.running = r
	x.traits |= streams
	c.deadline.responseMS = 0
	c.breakWhenGone()
	c.updateDeadline(c.l.sys.nowMS())
	if x.peerEndTold {
		x.peerEndTold = false // r does not know it
		c.again()
	}
}

// Stream implements backend.Streamer.
func (p *pipelined) Stream(r backend.Running) {
	if p.current {
		p.c.Stream(r)
		return
	}
	p.exchange.running, p.exchange.peerEndTold = r, false
	p.exchange.traits |= streams
	p.responseMS = 0
	if c := p.c; p.late { // the connection has a copy already
		c.exchange.peerEndTold = false
		c.deadline.responseMS = 0
		c.updateDeadline(c.l.sys.nowMS())
	}
	p.c.breakWhenGone()
	p.c.again() // r is to know whether the peer has finished sending
}

// Pending implements backend.Streamer. The kernel reports room in a socket only when a third of its buffer is free, so a slow peer may
// take much before OutputRoom is called.
func (c *conn) Pending() int64 {
	left := c.l.sys.unacknowledged(c.socket.fd)
	if left < 0 {
		left = math.MaxInt64 / 2 // it is not known, or the window of a stream is used up: nothing seems to be taken
	}
	return left + int64(c.output.Len())
}

// Pending implements backend.Streamer.
func (p *pipelined) Pending() int64 {
	if p.current {
		return p.c.Pending()
	}
	return int64(p.output.Len())
}

// breakWhenGone makes the system notice a peer that vanishes: what a stream sends may be so little that none of it ever waits here, and
// by itself the system tries for a quarter of an hour.
func (c *conn) breakWhenGone() {
	if ms := c.service.limits.stallMS; ms > 0 {
		c.l.sys.breakAfter(c.socket.fd, ms)
	}
}

var _, _ backend.Streamer = (*conn)(nil), (*pipelined)(nil)
