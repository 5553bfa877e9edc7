package engine

import (
	"moonbridge/reactor"
)

// linger closes our side of the connection and waits, for a short time, until the peer has closed its own: a close with
// bytes unread would make the kernel send a RST, which may destroy the response on its way (RFC 9112 §9.6).
func (c *conn) linger() {
	if c.eof || c.s.limits.drainMS == 0 {
		c.close()
		return
	}
	reactor.ShutdownWrite(c.fd)
	c.state = stateLingering
	c.in.Release(c.l.pool)
	c.setDeadline(c.s.limits.drainMS)
	if c.readable {
		c.again()
	}
}

// reset closes with a RST: the peer must not take what it has for a complete response.
func (c *conn) reset() {
	if c.state == stateClosed {
		return
	}
	reactor.SetLinger0(c.fd)
	c.close()
}

// close is where every connection ends: whatever it holds is given back, the descriptor closes at the end of the turn.
func (c *conn) close() {
	if c.state == stateClosed {
		return
	}
	c.state = stateClosed
	if r := c.running; r != nil {
		if c.access != nil {
			c.noteTimes()
		}
		c.running = nil
		r.Cancel()
	}
	if c.access != nil {
		c.logAccess(false)
	}
	c.in.Release(c.l.pool)
	c.out.Release(c.l.pool)
	c.forget()
	c.l.Close(c.fd)
}

// forget undoes newConn, but for the descriptor.
func (c *conn) forget() {
	c.state = stateClosed
	c.l.CancelTimer(&c.timer)
	c.l.unlink(c)
	c.l.e.conns.Add(-1)
}
