package rawhttp

import (
	"moonbridge/handler/shm"
	"moonbridge/httpparse"
)

// room is how many bytes go into the in-window.
func (c *Conn) room() uint64 {
	return uint64(len(c.cfg.InWindow)) - (c.inHead - c.cfg.Out.InTail.Load())
}

// pump moves the head block and the body into the in-window as far as there is room, without blocking. While the window is
// full the socket is not read, and TCP slows the peer down: nothing here grows with the body.
func (c *Conn) pump() (moved bool) {
	for !c.broken {
		x, y := shm.Ring(c.cfg.InWindow, c.inHead, c.room())
		switch {
		case len(c.spill) == 0 && !c.body.Missing():
			if c.running && c.flags&(shm.InEnd|shm.InAbort) == 0 {
				c.setFlags(c.flags | shm.InEnd) // after the last InHead
				moved = true
			}
			return moved
		case len(x) == 0:
			return moved
		case len(c.spill) > 0:
			n := copy(x, c.spill)
			n += copy(y, c.spill[n:])
			c.spill = c.spill[n:]
			c.put(n)
		case c.input.Len() > 0:
			c.feed(x, y)
		case !c.readBody(x):
			if c.eof {
				c.abortBody(false)
			}
			return moved || c.eof
		}
		moved = true
	}
	return moved
}

// put publishes n more bytes in the in-window.
func (c *Conn) put(n int) {
	c.inHead += uint64(n)
	c.cfg.In.InHead.Store(c.inHead)
}

// feed moves body bytes from the input into the window x, y.
func (c *Conn) feed(x, y []byte) {
	n, consumed, err := c.body.Move(x, y, c.input.Unread())
	c.input.Discard(consumed)
	c.put(n)
	if err != nil {
		c.abortBody(httpparse.StatusOf(err) == 413)
	}
}

// readBody reads more of the body, directly into the window if that is possible. It returns false if nothing came.
func (c *Conn) readBody(x []byte) bool {
	if x = c.body.Direct(x); len(x) == 0 {
		return c.fill()
	}
	n := c.read(x)
	c.body.Took(n)
	c.put(n)
	return n > 0
}

// abortBody gives up a body that is invalid, too large, or does not come. The response, whatever it is, is the last on the
// connection: where the next request would begin is unknown.
func (c *Conn) abortBody(tooLarge bool) {
	c.body.Abort()
	c.persistent = false
	flags := c.flags | shm.InAbort
	if tooLarge {
		flags |= shm.InTooLarge
	}
	c.setFlags(flags)
}
