package websocket

import (
	"time"

	"moonbridge/handler/backend"
)

// watch begins to watch for a silent peer.
func (c *Conn) watch() {
	if c.e.o.Ping > 0 {
		c.timer = c.loop.After(c.e.o.Ping, c.tick)
	}
}

func (c *Conn) unwatch() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// tick sends a ping to a peer that has been silent, and ends a connection that did not answer one.
func (c *Conn) tick() {
	c.timer = nil
	if c.state != connOpen {
		return
	}
	silent := time.Duration(c.loop.Now() - c.heard)
	switch {
	case c.raw.Full():
		c.lookStuck()
	case c.unread():
		// It may have answered, and this side does not read.
		c.timer = c.loop.After(c.e.o.Ping, c.tick)
	case c.pinged:
		c.lookStuck()
	case silent < c.e.o.Ping:
		c.timer = c.loop.After(c.e.o.Ping-silent, c.tick)
	default:
		c.pinged, c.stuck = true, false
		c.write(appendHeader(nil, bitFin|opPing, 0), nil)
		c.timer = c.loop.After(c.e.o.Pong, c.tick)
	}
}

// lookStuck looks at a peer that does not answer, or whose answers are not read because it does not take what is sent to it. As long as
// it takes something, it is only slow: the ping may be on its way to it.
func (c *Conn) lookStuck() {
	taken, left := c.progress()
	if left == 0 || c.stuck && taken == c.taken {
		c.vanished()
		return
	}
	c.stuck, c.taken = true, taken
	c.timer = c.loop.After(c.e.o.Pong, c.tick)
}

// awaitAnswer begins to wait for the answer to a close frame, which is about to be written.
func (c *Conn) awaitAnswer() {
	c.unwatch()
	taken, left := c.progress()
	c.taken, c.owing = taken, left > 0
	c.timer = c.loop.After(c.e.o.Close, c.late)
}

// late ends a connection whose peer does not answer a close frame. It cannot answer before it has taken what was sent before that, and a
// slow peer has the same time once more as long as it takes some of it.
func (c *Conn) late() {
	c.timer = nil
	taken, left := c.progress()
	if taken <= c.taken || !c.owing {
		if c.raw.Held() > 0 {
			c.vanished()
			return
		}
		c.end(BecauseSilent, CodeAbnormal, "")
		c.raw.Close() // what the system has of the output still reaches the peer
		return
	}
	c.taken, c.owing = taken, left > 0
	c.timer = c.loop.After(c.e.o.Close, c.late)
}

// Taken is a number that grows when the peer takes some of what is sent to it, even if that does not make room yet. It needs a system
// call, and may be called on the loop only.
func (c *Conn) Taken() int64 {
	taken, _ := c.progress()
	return taken
}

func (c *Conn) progress() (taken, left int64) {
	if p, ok := c.raw.(backend.Progress); ok {
		return p.Progress()
	}
	left = int64(c.raw.Held())
	return -left, left
}

// vanished ends the connection to a peer that does not react.
func (c *Conn) vanished() {
	c.end(BecauseSilent, CodeAbnormal, "")
	c.raw.Reset()
}

// unread reports whether something waits because of Hold or Rate. The beginning of a frame that does not go on is none of this.
func (c *Conn) unread() bool { return (c.held || c.bucket.waiting) && len(c.raw.Unread()) > 0 }
